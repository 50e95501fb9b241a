import type { Registry } from "@prometheus-io/client";
import type { Milliseconds } from "@tocsin/shared";
import { buckets, expose } from "./exposition.ts";
import { Histogram } from "./series.ts";

/** What a look for a session came to. `cached`: the store was not asked. */
export type SessionLookup = "cached" | "found" | "unknown" | "failed";

/** How sessions were looked for. */
export class SessionSeries {
  readonly counts: Record<SessionLookup, number> = { cached: 0, found: 0, unknown: 0, failed: 0 };
  /** How long the store took, failures included. */
  readonly store = new Histogram();

  count(outcome: SessionLookup, storeMs?: Milliseconds): void {
    this.counts[outcome] += 1;
    if (storeMs !== undefined) this.store.observe(storeMs / 1_000);
  }
}

/** @param isUsed nothing is told where there are no sessions */
export function exposeSessions(
  registry: Registry,
  series: SessionSeries,
  isUsed: () => boolean,
): void {
  expose(
    registry,
    "tocsin_session_lookups_total",
    "counter",
    "Looks for a session, by outcome; cached: the store was not asked.",
    () =>
      isUsed()
        ? Object.entries(series.counts).map(([outcome, value]) => ({ value, labels: { outcome } }))
        : [],
  );
  expose(
    registry,
    "tocsin_session_store_seconds",
    "histogram",
    "How long the store of sessions took to answer, or to fail.",
    () => (isUsed() ? buckets("tocsin_session_store_seconds", series.store, {}) : []),
  );
}
