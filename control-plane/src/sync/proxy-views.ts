import type { Clock } from "@tocsin/shared";
import type { JournalReport, ProxyView } from "@tocsin/shared/contract";
import { journalNames, type Epoch, type JournalName, type Sequence } from "@tocsin/shared/journal";
import type { Proxies } from "./proxies.ts";

/** Where a journal stands, as far as this node knows. */
interface Known {
  readonly epoch: Epoch | undefined;
  readonly head: Sequence;
}

/** What an operator is shown of the proxies, by name. */
export function proxyViews(
  proxies: Proxies,
  known: (journal: JournalName) => Known,
  clock: Clock,
): ProxyView[] {
  const now = clock.monotonic();
  return proxies
    .all()
    .map(({ heartbeat, at }): ProxyView => {
      const { proxy, boot, version, uptimeMs, leaving, journals } = heartbeat;
      const reports = journalNames.map((name) => [name, viewOf(journals[name], known(name))]);
      const live = proxies.isLive(proxy);
      // Of a proxy that is gone nobody knows how long it went on after its last word.
      const since = live ? now - at : 0;
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

function viewOf(report: JournalReport, { epoch, head }: Known): ProxyView["journals"][string] {
  if (report.epoch === undefined || report.epoch !== epoch) return report;
  return { ...report, lag: Math.max(0, Math.max(head, report.head) - report.applied) };
}
