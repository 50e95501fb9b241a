import type { InstanceName, ServiceName } from "@tocsin/shared";
import type { UpstreamInstance } from "./instances.ts";

/** What requests found out about one instance since it was asked last. */
export interface Finding {
  readonly service: ServiceName;
  readonly instance: InstanceName;
  /** Requests whose answer began. */
  readonly answered: number;
  /** Requests that got no answer: refused, reset, timed out. */
  readonly failed: number;
}

interface Tally {
  readonly instance: UpstreamInstance;
  answered: number;
  failed: number;
  /** Failures in a row. */
  streak: number;
}

/** So many failures in a row are worth saying at once. */
const streakLength = 3;

/** Counts answers and failures of instances: passive evidence of their health, at the price of a look-up for each request. */
export class Evidence {
  readonly #tallies = new Map<string, Tally>();
  #onStreak: () => void = () => {};
  #onFirst: () => void = () => {};
  #onFailure: () => void = () => {};

  /** The answer to a request began. */
  answered(instance: UpstreamInstance): void {
    const tally = this.#of(instance);
    tally.answered += 1;
    tally.streak = 0;
  }

  /** A request got no answer, and that was not the client's doing. */
  failed(instance: UpstreamInstance): void {
    const tally = this.#of(instance);
    tally.failed += 1;
    tally.streak += 1;
    if (tally.streak === streakLength) this.#onStreak();
    this.#onFailure();
  }

  /** Called at each failure. */
  onFailure(listener: () => void): void {
    this.#onFailure = listener;
  }

  /** Called when an instance has failed three times in a row. */
  onStreak(listener: () => void): void {
    this.#onStreak = listener;
  }

  /** Called when an instance gets its first request for some seconds: from then on this proxy has a say in what becomes of it. */
  onFirst(listener: () => void): void {
    this.#onFirst = listener;
  }

  /** What was found since the last call. Instances without requests are left out, and forgotten. */
  take(): Finding[] {
    const findings: Finding[] = [];
    for (const [key, tally] of this.#tallies) {
      const { instance, answered, failed } = tally;
      if (answered + failed === 0) {
        this.#tallies.delete(key);
        continue;
      }
      findings.push({ service: instance.service, instance: instance.instance, answered, failed });
      tally.answered = tally.failed = 0;
    }
    return findings;
  }

  #of(instance: UpstreamInstance): Tally {
    let tally = this.#tallies.get(instance.key);
    if (tally === undefined) {
      tally = { instance, answered: 0, failed: 0, streak: 0 };
      this.#tallies.set(instance.key, tally);
      this.#onFirst();
    }
    return tally;
  }
}
