import type { Sequence } from "../journal/journal.ts";
import type { Cancel, Clock, Milliseconds } from "../time.ts";

export interface HoleWatchOptions {
  readonly clock: Clock;
  readonly graceMs: Milliseconds;
  readonly applied: () => Sequence;
  /** `closed`: nothing is missing. `closing`: what comes next is here and will be applied. `open`: something is missing. */
  readonly hole: () => "closed" | "closing" | "open";
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
    const { clock, graceMs, applied, hole, onLasting } = this.#options;
    const before = applied();
    this.#timer = clock.after(graceMs, () => {
      this.#timer = undefined;
      const now = hole();
      if (now === "closed") return;
      // What was missing came meanwhile: what is missing now is missing for less long.
      if (now === "closing" || applied() > before) return this.begin();
      onLasting();
    });
  }

  [Symbol.dispose](): void {
    this.#timer?.();
  }
}
