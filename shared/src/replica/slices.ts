import type { Clock, Milliseconds } from "../time.ts";

/** Lets everything else that is due have its turn. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Long work in parts, so that nobody waits for the whole of it. */
export class Slices {
  readonly #clock: Clock;
  readonly #lengthMs: Milliseconds;
  /** Between two slices. */
  readonly pause: () => Promise<void>;

  constructor(clock: Clock, lengthMs: Milliseconds, pause: () => Promise<void> = turn) {
    this.#clock = clock;
    this.#lengthMs = lengthMs;
    this.pause = pause;
  }

  /** When a slice that begins now should end. */
  end(): Milliseconds {
    return this.#clock.monotonic() + this.#lengthMs;
  }

  over(end: Milliseconds): boolean {
    return this.#clock.monotonic() >= end;
  }
}
