import { Refusal } from "@tocsin/shared";
import { methods as everyMethod, Timeouts } from "@tocsin/shared/contract";
import type { AuthPolicy, Config } from "@tocsin/shared/contract";
import { hostList } from "./hosts.ts";
import type { Route } from "./route.ts";
import { spelled, Trie } from "./trie.ts";

/** Which route a request takes. Made once per config. */
export interface Router {
  /**
   * The route of a path and method.
   *
   * @throws Refusal route-not-found, method-not-allowed (with `Allow`)
   */
  find(path: string, method: string): Route;
  /** Whether a `Host` value is served. */
  serves(host: string): boolean;
}

/** What the router asks about the fleet: services appear and go without a new config. */
export interface KnownServices {
  of(service: string): unknown;
}

/** @param services the services that instances are known of, now */
export function createRouter(config: Config, services: () => KnownServices): Router {
  const trie = new Trie<Route>();
  for (const route of config.routes) {
    trie.add(route.match.path, route.match.methods, {
      id: route.id,
      service: route.service,
      auth: route.auth,
      revocation: {
        maxStalenessMs: route.revocation.maxStaleness,
        denyWhenStale:
          (route.revocation.onStale ?? (route.revocation.strict ? "deny" : "allow")) === "deny",
      },
      timeouts: timeoutsOf(config, route.service),
    });
  }
  const auto = autoRoutes(config, services);
  return {
    serves: hostList(config.listen.hosts),
    find(path, method) {
      const route = trie.find(path, method) ?? auto?.(path);
      if (route !== undefined) return route;
      const allowed = trie.methods(path);
      if (allowed === "any" || allowed.size === 0) throw new Refusal("route-not-found");
      throw new Refusal("method-not-allowed", { headers: { allow: allow(allowed) } });
    },
  };
}

/** RFC 9110 §10.2.1, in the order of the contract's method list. */
function allow(methods: ReadonlySet<string>): string {
  return everyMethod
    .filter((method) => methods.has(method) || (method === "HEAD" && methods.has("GET")))
    .join(", ");
}

function timeoutsOf(config: Config, service: string): Timeouts {
  return (
    (Object.hasOwn(config.services, service) ? config.services[service]?.timeouts : undefined) ??
    Timeouts.parse({})
  );
}

/** `{prefix}/{service}/…` for services that have instances; on by default when the config has no routes of its own. */
function autoRoutes(
  config: Config,
  services: () => KnownServices,
): ((path: string) => Route | undefined) | undefined {
  const policy =
    config.discovery.autoRoutes ?? (config.routes.length === 0 ? defaultAutoRoutes : undefined);
  if (policy === undefined) return undefined;
  const prefix = `${policy.prefix.replace(/\/+$/, "").split("/").map(spelled).join("/")}/`;
  const made = new Map<string, Route>();
  return (path) => {
    if (!path.startsWith(prefix)) return undefined;
    const end = path.indexOf("/", prefix.length);
    const service = end === -1 ? path.slice(prefix.length) : path.slice(prefix.length, end);
    // Asked each time: only services that exist get a route, so strangers cannot fill the map.
    if (service === "" || services().of(service) === undefined) return undefined;
    let route = made.get(service);
    if (route === undefined) {
      route = {
        id: `auto-${service}`,
        service,
        auth: policy.auth,
        revocation: { maxStalenessMs: 60_000, denyWhenStale: false },
        timeouts: timeoutsOf(config, service),
      };
      made.set(service, route);
    }
    return route;
  };
}

const defaultAutoRoutes: { readonly prefix: string; readonly auth: AuthPolicy } = {
  prefix: "/api",
  auth: { mode: "required", via: ["jwt"] },
};
