import type { Clock } from "@tocsin/shared";
import type { ProxyView } from "@tocsin/shared/contract";
import { journalNames } from "@tocsin/shared/journal";
import type { Proxies } from "./proxies.ts";

/** What an operator is shown of the proxies, by name. */
export function proxyViews(proxies: Proxies, clock: Clock): ProxyView[] {
  const now = clock.monotonic();
  return proxies
    .all()
    .map(({ heartbeat, at, lag }): ProxyView => {
      const { proxy, boot, version, uptimeMs, leaving, journals } = heartbeat;
      const live = proxies.isLive(proxy);
      // Of a proxy that is gone nobody knows how long it went on after its last word.
      const since = live ? now - at : 0;
      const reports = journalNames.map((name) => {
        const behind = lag[name];
        return [name, { ...journals[name], ...(behind === undefined ? {} : { lag: behind }) }];
      });
      return {
        proxy,
        version,
        boot,
        ...(uptimeMs === undefined ? {} : { uptimeMs: Math.round(uptimeMs + since) }),
        live,
        ...(leaving === true ? { leaving } : {}),
        lastSeenMs: Math.round(now - at),
        journals: Object.fromEntries(reports) as ProxyView["journals"],
      };
    })
    .toSorted((a, b) => (a.proxy < b.proxy ? -1 : 1));
}
