import type { Cancel, Clock, Milliseconds } from "../time.ts";

export interface SilenceWatchOptions {
  readonly clock: Clock;
  /** How long until the silence is suspicious; 0 or less: it is. */
  readonly leftMs: () => Milliseconds;
  /** Time between two calls of `onSilence` while it lasts. */
  readonly againMs: Milliseconds;
  readonly onSilence: () => void;
}

/** Says that nothing has been heard for too long. One timer, set to when that would be; what is heard meanwhile only moves it. */
export class SilenceWatch implements Disposable {
  readonly #options: SilenceWatchOptions;
  #timer: Cancel | undefined;

  constructor(options: SilenceWatchOptions) {
    this.#options = options;
    this.#set(options.leftMs());
  }

  [Symbol.dispose](): void {
    this.#timer?.();
  }

  #set(delayMs: Milliseconds): void {
    const { clock, leftMs, againMs, onSilence } = this.#options;
    this.#timer = clock.after(Math.max(1, delayMs), () => {
      const left = leftMs();
      this.#set(left > 0 ? left : againMs);
      if (left <= 0) onSilence();
    });
  }
}
