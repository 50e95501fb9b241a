import type { Cancel, Clock, Milliseconds } from "@tocsin/shared";
import type { Answer } from "./attempt.ts";

/** Who tries again. */
export interface RetrialOwner {
  /** The wait is over. @param held what the client gets when there is nowhere to try again */
  again(held: Answer | Error): void;
}

/** The waits between the attempts of one request: there is one for those that are tried again, and none for the others. */
export class Retrial {
  readonly #clock: Clock;
  readonly #owner: RetrialOwner;
  /** Keys of the instances that failed. */
  readonly tried: string[] = [];
  #held: Answer | Error | undefined = undefined;
  #cancel: Cancel | undefined = undefined;

  constructor(clock: Clock, owner: RetrialOwner) {
    this.#clock = clock;
    this.#owner = owner;
  }

  /** @param key the instance that failed @param held how */
  wait(waitMs: Milliseconds, key: string, held: Answer | Error): void {
    this.tried.push(key);
    // Behind an answer not even then: its connection is free again only when all of it was told.
    if (waitMs < 1 && held instanceof Error) return this.#owner.again(held);
    this.#held = held;
    this.#cancel = this.#clock.after(waitMs, () => {
      this.#held = undefined;
      this.#owner.again(held);
    });
  }

  /** Ends a wait. @returns false: there was none */
  stop(reason: Error): boolean {
    const held = this.#held;
    if (held === undefined) return false;
    this.#held = undefined;
    this.#cancel?.();
    if (!(held instanceof Error)) held.body?.abort(reason);
    return true;
  }
}
