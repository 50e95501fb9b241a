import type { Clock } from "@tocsin/shared";
import type { ProxyView } from "@tocsin/shared/contract";
import type { Proxies } from "./proxies.ts";

/** What an operator is shown of the proxies, by name. */
export function proxyViews(proxies: Proxies, clock: Clock): ProxyView[] {
  const now = clock.monotonic();
  return proxies
    .all()
    .map(({ heartbeat, at }) => ({
      proxy: heartbeat.proxy,
      version: heartbeat.version,
      live: proxies.isLive(heartbeat.proxy),
      lastSeenMs: Math.round(now - at),
      journals: heartbeat.journals,
    }))
    .toSorted((a, b) => (a.proxy < b.proxy ? -1 : 1));
}
