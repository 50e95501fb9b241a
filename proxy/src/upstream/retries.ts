import type { Clock } from "@tocsin/shared";
import { Budget } from "./budget.ts";

/**
 * What became of a retry. answered: it got an answer that is not tried again. failed: it did not. aborted: the client went away.
 * over-budget: it was not made.
 */
export type RetryOutcome = "answered" | "failed" | "aborted" | "over-budget";

export interface RetryReading {
  readonly service: string;
  readonly outcome: RetryOutcome;
  readonly count: number;
}

/** What is known of the retries of one service. */
export class ServiceRetries {
  readonly budget: Budget;
  readonly counts: Record<RetryOutcome, number> = {
    answered: 0,
    failed: 0,
    aborted: 0,
    "over-budget": 0,
  };

  constructor(clock: Clock) {
    this.budget = new Budget(clock);
  }
}

/** Retries by service. */
export class Retries {
  readonly #clock: Clock;
  readonly #services = new Map<string, ServiceRetries>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  of(service: string): ServiceRetries {
    let retries = this.#services.get(service);
    if (retries === undefined)
      this.#services.set(service, (retries = new ServiceRetries(this.#clock)));
    return retries;
  }

  /** Outcomes that there were so far. */
  read(): RetryReading[] {
    return [...this.#services].flatMap(([service, { counts }]) =>
      (Object.keys(counts) as RetryOutcome[])
        .filter((outcome) => counts[outcome] > 0)
        .map((outcome) => ({ service, outcome, count: counts[outcome] })),
    );
  }
}
