import { Refusal, type ServiceName } from "@tocsin/shared";
import { Service, type Config, type ServicePolicy } from "@tocsin/shared/contract";
import { bodyWanted } from "../routing/candidates.ts";
import type { Route } from "../routing/route.ts";
import { createRouter, type Router } from "../routing/router.ts";

/**
 * The routes that lead to one service; every other one is not found.
 *
 * A request takes the route that it would take at the edge, and is refused when that leads elsewhere. With the other routes left out,
 * `/users/*` would catch what a stricter `/users/admin/*` of another service keeps to itself.
 *
 * @param router of the whole config
 */
export function localRoutes(router: Router, config: Config, service: ServiceName): Router {
  const upstream = localPolicy(config, service);
  // Only for what is refused: which methods this service has is no secret of another one's.
  const own = createRouter(
    { ...config, routes: config.routes.filter((route) => leadsTo(route, service)) },
    () => ({ of: () => undefined }),
  );
  const ids = new Set(
    config.routes.filter((route) => leadsTo(route, service)).map((route) => route.id),
  );
  const made = new Map<Route, Route>();
  return {
    serves: (host) => router.serves(host),
    find(path, method, asked) {
      const found = findIn(router, own, path, method, asked);
      if (found === bodyWanted) return found;
      let route = made.get(found);
      if (route === undefined) {
        if (found.service !== service && !ids.has(found.id)) throw new Refusal("route-not-found");
        route = { ...found, service, upstream, split: undefined, fallback: undefined };
        made.set(found, route);
      }
      return route;
    },
  };
}

function findIn(
  router: Router,
  own: Router,
  ...asked: Parameters<Router["find"]>
): ReturnType<Router["find"]> {
  try {
    return router.find(...asked);
  } catch (error) {
    if (!(error instanceof Refusal) || error.code !== "method-not-allowed") throw error;
    own.find(...asked);
    throw error;
  }
}

/** As the service of the route, as a share of its requests, or as what stands in. */
function leadsTo(
  { service, weights, fallback }: Config["routes"][number],
  name: ServiceName,
): boolean {
  if (service === name || (weights?.[name] ?? 0) > 0) return true;
  return fallback !== undefined && "service" in fallback && fallback.service === name;
}

/**
 * How requests get to the instance beside us. Trying again, and keeping requests from an instance that fails, is for who could go to
 * another one: done at each station of the way, three attempts would become nine.
 */
function localPolicy(config: Config, service: ServiceName): ServicePolicy {
  const defaults = Service.parse({});
  const { timeouts } =
    (Object.hasOwn(config.services, service) ? config.services[service] : undefined) ?? defaults;
  return { service, timeouts, balance: defaults.balance, circuit: undefined, retry: undefined };
}
