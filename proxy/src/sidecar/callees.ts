import { Refusal } from "@tocsin/shared";
import type { Config, WebSocketPolicy } from "@tocsin/shared/contract";
import { routed } from "../pipeline/exchange.ts";
import type { Received, Routed } from "../pipeline/exchange.ts";
import type { Stage } from "../pipeline/pipeline.ts";
import { policiesOf } from "../routing/policies.ts";
import type { Route } from "../routing/route.ts";
import type { Instances } from "../upstream/instances.ts";

/**
 * Finds the service that the service beside us calls, in the first segment of the path, and takes that off: what follows is the path
 * at that service. `/users/api/me` is `/api/me` at `users`.
 *
 * Any service that the fleet knows may be called. Who may do what there is for the other side to check.
 *
 * @throws Refusal what was wrong with the request from the start; route-not-found for a service that nobody knows; bad-request when a
 * server could read the path as that of another service
 */
export function callee(config: Config, instances: () => Instances): Stage<Received, Routed> {
  const policyOf = policiesOf(config);
  const made = new Map<string, Route>();
  return (exchange, next) => {
    if (exchange.fault !== undefined) throw exchange.fault;
    const { path } = exchange;
    const service = firstSegment(path);
    for (const other of exchange.variants ?? [])
      if (firstSegment(other) !== service)
        throw new Refusal("bad-request", { detail: "the path can be read in more than one way" });
    // Asked each time: services come and go, and nobody can fill the map with names of his own.
    if (service === "" || instances().of(service) === undefined)
      throw new Refusal("route-not-found");
    let route = made.get(service);
    if (route === undefined) {
      route = routeTo(service);
      made.set(service, route);
    }
    const prefix = service.length + 1;
    const query = exchange.target.slice(path.length);
    exchange.path = path.length === prefix ? "/" : path.slice(prefix);
    exchange.target = exchange.path + query;
    return next(routed(exchange, route));
  };

  function routeTo(service: string): Route {
    return {
      id: `outbound-${service}`,
      service,
      // The caller is the service itself, on its own machine: there is nobody to ask for a credential. What it sends goes on.
      auth: { mode: "none" },
      revocation: { maxStalenessMs: Infinity, denyWhenStale: false },
      upstream: policyOf(service),
      split: undefined,
      fallback: undefined,
      websocket: websocketOf(config, service),
    };
  }
}

function firstSegment(path: string): string {
  const end = path.indexOf("/", 1);
  return end === -1 ? path.slice(1) : path.slice(1, end);
}

/** WebSockets come through to a service where one of its routes takes them. Their numbers are limited on the other side. */
function websocketOf({ routes, discovery }: Config, service: string): WebSocketPolicy | undefined {
  const policy =
    routes.find((route) => route.service === service && route.websocket !== undefined)?.websocket ??
    discovery.autoRoutes?.websocket;
  return policy && { ...policy, perPrincipal: undefined, perAddress: undefined };
}
