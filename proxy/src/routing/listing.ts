import type { Config } from "@tocsin/shared/contract";
import { autoRoutesOf } from "./auto-routes.ts";
import { inOrder } from "./precedence.ts";

type ConfigRoute = Config["routes"][number];

/** A written route, or an automatic one as it would be written. */
export type ListedRoute = Pick<ConfigRoute, "id" | "match" | "service" | "auth" | "weights">;

/**
 * Every route in the order in which they are tried, as far as it is the same for every request; the automatic ones at the end.
 *
 * @param services those that instances are known of
 */
export function listRoutes(config: Config, services: readonly string[]): readonly ListedRoute[] {
  const auto = autoRoutesOf(config);
  const automatic =
    auto === undefined
      ? []
      : services.toSorted().map((service) => ({
          id: `auto-${service}`,
          match: { path: `${auto.prefix}${service}/*` },
          service,
          auth: auto.policy.auth,
        }));
  return [...inOrderOfPrecedence(config.routes), ...automatic];
}

/** All routes in the order in which they are tried, as far as it is the same for every request. */
export function inOrderOfPrecedence(routes: readonly ConfigRoute[]): readonly ConfigRoute[] {
  return routes
    .map((route) => ({
      route,
      match: route.match,
      fit: { host: mostSpecific(route.match.hosts), method: route.match.methods ? 2 : 0 } as const,
    }))
    .toSorted((a, b) => inOrder(a, b) || (a.match.path < b.match.path ? -1 : 1))
    .map(({ route }) => route);
}

function mostSpecific(hosts: readonly string[] | undefined): string {
  if (hosts === undefined) return "*";
  return (
    hosts.find((host) => !host.startsWith("*.")) ??
    hosts.toSorted((a, b) => b.length - a.length)[0] ??
    "*"
  );
}
