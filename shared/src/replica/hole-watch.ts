import type { Sequence } from "../journal/journal.ts";
import type { Cancel, Clock, Milliseconds } from "../time.ts";

export interface HoleWatchOptions {
  readonly clock: Clock;
  readonly graceMs: Milliseconds;
  readonly applied: () => Sequence;
  /** Whether something is missing, and nobody asks for it yet. */
  readonly open: () => boolean;
  readonly onLasting: () => void;
}

/** Gives a hole in the feed, or a head that is ahead, its grace; says when it has lasted longer. */
export class HoleWatch implements Disposable {
  readonly #options: HoleWatchOptions;
  #timer: Cancel | undefined;

  constructor(options: HoleWatchOptions) {
    this.#options = options;
  }

  /** There is a hole. Does nothing while one is watched. */
  begin(): void {
    if (this.#timer !== undefined) return;
    const { clock, graceMs, applied, open, onLasting } = this.#options;
    const before = applied();
    this.#timer = clock.after(graceMs, () => {
      this.#timer = undefined;
      if (!open()) return;
      // What was missing came meanwhile: what is missing now is missing for less long.
      if (applied() > before) return this.begin();
      onLasting();
    });
  }

  [Symbol.dispose](): void {
    this.#timer?.();
  }
}
