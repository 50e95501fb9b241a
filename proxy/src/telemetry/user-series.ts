import type { Registry } from "@prometheus-io/client";
import type { Milliseconds } from "@tocsin/shared";
import { buckets, expose } from "./exposition.ts";
import { Histogram } from "./series.ts";

/** What became of a look for a user. `cached`: nobody was asked. */
export type UserLookup = "cached" | "active" | "inactive" | "stale" | "allowed" | "unavailable";

/** How users were looked up. */
export class UserSeries {
  readonly counts: Record<UserLookup, number> = {
    cached: 0,
    active: 0,
    inactive: 0,
    stale: 0,
    allowed: 0,
    unavailable: 0,
  };
  /** How long questions took, failures included. */
  readonly questions = new Histogram();

  count(outcome: UserLookup): void {
    this.counts[outcome] += 1;
  }

  asked(tookMs: Milliseconds): void {
    this.questions.observe(tookMs / 1_000);
  }
}

/** @param isUsed nothing is told where nobody is asked */
export function exposeUsers(registry: Registry, series: UserSeries, isUsed: () => boolean): void {
  expose(
    registry,
    "tocsin_user_lookups_total",
    "counter",
    "Requests whose user was looked up, by outcome; cached: the service of users was not asked.",
    () =>
      isUsed()
        ? Object.entries(series.counts).map(([outcome, value]) => ({ value, labels: { outcome } }))
        : [],
  );
  expose(
    registry,
    "tocsin_user_question_seconds",
    "histogram",
    "How long the service of users took to answer, or to fail; one question for all who wait for it.",
    () => (isUsed() ? buckets("tocsin_user_question_seconds", series.questions, {}) : []),
  );
}
