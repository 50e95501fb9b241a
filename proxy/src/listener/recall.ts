import type { Cancel, Clock, Milliseconds } from "@tocsin/shared";
import type { Standing } from "../streams/standing.ts";
import { endNow } from "./ending.ts";
import type { ExchangeResponse } from "./response.ts";

/** Between two looks, in milliseconds: however much is revoked in a second, and however many expire. */
const paceMs: Milliseconds = 20;
/** So many are looked at before others have their turn. */
const atOnce = 1_000;

export interface RecallOptions {
  readonly clock: Clock;
  readonly standing: Standing;
  /** The exchanges that are not over, with what has become a stream. */
  readonly open: ReadonlySet<ExchangeResponse>;
}

/**
 * Ends what is open for somebody who would not be let in any more: whose credential was revoked or has expired, or whose address was shut
 * out.
 */
export class Recall implements Disposable {
  readonly #options: RecallOptions;
  readonly #stop: (() => void)[];
  #wanted = false;
  #looking = false;
  #next: Cancel | undefined;

  constructor(options: RecallOptions) {
    this.#options = options;
    const { standing, clock } = options;
    this.#stop = [
      standing.onChange(() => this.#want()),
      clock.every(paceMs * 2, () => this.#endExpired()),
    ];
  }

  [Symbol.dispose](): void {
    for (const stop of this.#stop) stop();
    this.#next?.();
  }

  #want(): void {
    this.#wanted = true;
    if (this.#looking || this.#next !== undefined) return;
    void this.#look();
  }

  async #look(): Promise<void> {
    const { standing, open } = this.#options;
    this.#looking = true;
    this.#wanted = false;
    let count = 0;
    for (const response of open) {
      const { principal, clientAddress } = response.exchange!;
      const ending = standing.of(principal, clientAddress);
      if (ending !== undefined && !endNow(response, ending)) this.#wanted = true;
      if ((count += 1) % atOnce === 0) await turn();
    }
    this.#looking = false;
    this.#next = this.#options.clock.after(paceMs, () => {
      this.#next = undefined;
      if (this.#wanted) void this.#look();
    });
  }

  #endExpired(): void {
    const { standing, open } = this.#options;
    const { now } = standing;
    for (const response of open) {
      const ending = standing.byTime(response.exchange!.principal, now);
      if (ending !== undefined) endNow(response, ending);
    }
  }
}

const turn = () => new Promise((resolve) => setImmediate(resolve));
