import type { Config, ServicePolicy } from "@tocsin/shared/contract";
import type { Route } from "./route.ts";
import { spelled } from "./trie.ts";

/** What the router asks about the fleet: services appear and go without a new config. */
export interface KnownServices {
  of(service: string): unknown;
}

/** `{prefix}/{service}/…` for services that have instances; on by default when the config has no routes of its own. */
export interface AutoRoutes {
  /** With a slash at the end, spelled as paths of requests are. */
  readonly prefix: string;
  readonly policy: NonNullable<Config["discovery"]["autoRoutes"]>;
}

const defaultPolicy: AutoRoutes["policy"] = {
  prefix: "/api",
  auth: { mode: "required" },
};

/** @returns undefined when the config has none */
export function autoRoutesOf(config: Config): AutoRoutes | undefined {
  const policy =
    config.discovery.autoRoutes ?? (config.routes.length === 0 ? defaultPolicy : undefined);
  if (policy === undefined) return undefined;
  const prefix = `${policy.prefix.replace(/\/+$/, "").split("/").map(spelled).join("/")}/`;
  return { prefix, policy };
}

/** The service that a path names behind the prefix; empty: none. Whether there is one of this name is another question. */
export function serviceIn({ prefix }: AutoRoutes, path: string): string {
  if (!path.startsWith(prefix)) return "";
  const end = path.indexOf("/", prefix.length);
  return end === -1 ? path.slice(prefix.length) : path.slice(prefix.length, end);
}

/** @returns finds the automatic route of a path */
export function autoRouter(
  auto: AutoRoutes,
  services: () => KnownServices,
  policyOf: (service: string) => ServicePolicy,
): (path: string) => Route | undefined {
  const { policy } = auto;
  const made = new Map<string, Route>();
  return (path) => {
    const service = serviceIn(auto, path);
    // Asked each time: only services that exist get a route, so strangers cannot fill the map.
    if (service === "" || services().of(service) === undefined) return undefined;
    let route = made.get(service);
    if (route === undefined) {
      route = {
        id: `auto-${service}`,
        service,
        auth: policy.auth,
        revocation: { maxStalenessMs: 60_000, denyWhenStale: false },
        upstream: policyOf(service),
        split: undefined,
        fallback: undefined,
        websocket: policy.websocket,
      };
      made.set(service, route);
    }
    return route;
  };
}
