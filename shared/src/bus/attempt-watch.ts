import type { Cancel, Clock, Milliseconds } from "../time.ts";

/** Longer than the library ever rests between two attempts (`reconnectTimeWait` and its jitter), in milliseconds. */
const stuckAfterMs: Milliseconds = 420;

/**
 * Notices an attempt to connect that has ended without the library knowing.
 *
 * When the socket dies after the server's greeting and before its first answer, the library goes on waiting for that answer until the
 * attempt's time is up, though nobody can give it any more. It says that the connection has ended, and then, for too long, nothing.
 */
export class AttemptWatch {
  readonly #clock: Clock;
  readonly #onStuck: () => void;
  #cancel: Cancel | undefined;

  /** @param onStuck called when an attempt has ended and no other one begins */
  constructor(clock: Clock, onStuck: () => void) {
    this.#clock = clock;
    this.#onStuck = onStuck;
  }

  /** The connection of an attempt has ended. */
  ended(): void {
    this.#cancel ??= this.#clock.after(stuckAfterMs, () => {
      this.#cancel = undefined;
      this.#onStuck();
    });
  }

  /** Another attempt begins, or none is needed any more. */
  over(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }
}
