import { Refusal } from "@tocsin/shared";
import { bodyless, methods as everyMethod } from "@tocsin/shared/contract";
import type { Config, RouteMatch } from "@tocsin/shared/contract";
import { autoRouter, autoRoutesOf } from "./auto-routes.ts";
import type { KnownServices } from "./auto-routes.ts";
import { choose, withCandidate } from "./candidates.ts";
import type { bodyWanted, Candidate, Candidates } from "./candidates.ts";
import { conditionsOf, nothingAsked, type Asked } from "./conditions.ts";
import { standInOf } from "./fallback.ts";
import { hostList, HostTable } from "./hosts.ts";
import { policiesOf } from "./policies.ts";
import type { Route } from "./route.ts";
import { noLots, Split } from "./split.ts";
import type { Lots } from "./split.ts";
import { put, Trie } from "./trie.ts";

/** Which route a request takes. Made once per config. */
export interface Router {
  /**
   * The route of a request. Those of its host come before those of every host; then the most specific path, then the most
   * conditions.
   *
   * @param asked what else a route may depend on. Default: nothing
   * @returns {@link bodyWanted} when that depends on a body which was not read
   * @throws Refusal route-not-found, method-not-allowed (with `Allow`), bad-request when a condition can be read in two ways
   */
  find(path: string, method: string, asked?: Asked): Route | typeof bodyWanted;
  /** Whether a `Host` value is served. */
  serves(host: string): boolean;
}

/**
 * @param services the services that instances are known of, now
 * @param lots what splits of routes are drawn by
 */
export function createRouter(
  config: Config,
  services: () => KnownServices,
  lots: Lots = noLots,
): Router {
  const every: RouteTrie[] = [];
  const makeTrie = (): RouteTrie => {
    const trie: RouteTrie = new Trie(choose);
    every.push(trie);
    return trie;
  };
  const tries = new HostTable(makeTrie());
  const policyOf = policiesOf(config);
  for (const route of config.routes) {
    const made: Route = {
      id: route.id,
      service: route.service,
      auth: route.auth,
      revocation: {
        maxStalenessMs: route.revocation.maxStaleness,
        denyWhenStale:
          (route.revocation.onStale ?? (route.revocation.strict ? "deny" : "allow")) === "deny",
      },
      upstream: policyOf(route.service),
      split: route.weights && new Split(route.weights, policyOf, lots),
      fallback: standInOf(route.fallback, policyOf),
      websocket: route.websocket,
    };
    if (route.match.hosts === undefined) add(tries.rest, route.match, made);
    else for (const host of route.match.hosts) add(tries.at(host, makeTrie), route.match, made);
  }
  for (const trie of every) trie.settle();
  const described = autoRoutesOf(config);
  const auto = described && autoRouter(described, services, policyOf);
  return {
    serves: hostList(config.listen.hosts),
    find(path, method, asked = nothingAsked) {
      const candidates = tries.of(asked.host);
      for (let index = 0; index < candidates.length; index += 1) {
        const route = candidates[index]!.find(path, method, asked);
        if (route !== undefined) return route;
      }
      const route = auto?.(path);
      if (route !== undefined) return route;
      throw notFound(candidates, path, method);
    },
  };
}

type RouteTrie = Trie<Candidates, Asked, Route | typeof bodyWanted>;

/** Adds a route under every method that it takes. One that names no method stands behind those that do. */
function add(trie: RouteTrie, match: RouteMatch, route: Route): void {
  const conditions = conditionsOf(match);
  const place = trie.place(match.path);
  const give = (method: string | undefined, rank: Candidate["method"]) => {
    if (match.body !== undefined && method !== undefined && bodyless.has(method)) return;
    put(place, method, (held) => withCandidate(held, { route, conditions, method: rank }));
  };
  if (match.methods === undefined) {
    // A method that has a place of its own is not taken for one that nobody names, also when the route has nothing for it.
    if (match.body !== undefined)
      for (const method of bodyless) put(place, method, (held) => held ?? []);
    for (const method of everyMethod) give(method, 0);
    give(undefined, 0);
    return;
  }
  for (const method of match.methods) give(method, 2);
  // RFC 9110 §9.3.2: HEAD is GET without the content.
  if (match.methods.includes("GET") && !match.methods.includes("HEAD")) give("HEAD", 1);
}

function notFound(tries: readonly RouteTrie[], path: string, method: string): Refusal {
  const allowed = new Set<string>();
  for (const trie of tries) {
    const methods = trie.methods(path);
    if (methods === "any") return new Refusal("route-not-found");
    for (const name of methods) allowed.add(name);
  }
  // A route has the method, but asks for something else that the request does not have.
  if (allowed.size === 0 || allowed.has(method)) return new Refusal("route-not-found");
  return new Refusal("method-not-allowed", { headers: { allow: allow(allowed) } });
}

/** RFC 9110 §10.2.1, in the order of the contract's method list. */
function allow(methods: ReadonlySet<string>): string {
  return everyMethod.filter((method) => methods.has(method)).join(", ");
}
