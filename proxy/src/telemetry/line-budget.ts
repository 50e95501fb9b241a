import type { Clock, Milliseconds } from "@tocsin/shared";

const secondMs: Milliseconds = 1_000;

/**
 * How many log lines may be written about something that others cause: so many in a second, wherever one begins to count it. (A bucket
 * that fills up again lets through twice as many in the second after a quiet one.)
 */
export class LineBudget {
  readonly #clock: Clock;
  /** When the last ones were written, in turn. */
  readonly #writtenAt: Milliseconds[];
  #oldest = 0;

  constructor(perSecond: number, clock: Clock) {
    this.#clock = clock;
    this.#writtenAt = Array.from({ length: perSecond }, () => -Infinity);
  }

  /** Takes one. @returns false: there is none left */
  take(): boolean {
    const now = this.#clock.monotonic();
    if (now - this.#writtenAt[this.#oldest]! < secondMs) return false;
    this.#writtenAt[this.#oldest] = now;
    this.#oldest = (this.#oldest + 1) % this.#writtenAt.length;
    return true;
  }
}
