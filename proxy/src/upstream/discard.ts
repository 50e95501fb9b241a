import { Aborted } from "@tocsin/shared";
import type { Cancel, Clock, Milliseconds } from "@tocsin/shared";
import type { ByteSink, ByteSource } from "./byte-stream.ts";

/** So much of a body that nobody wants is read, in bytes, so that its connection can be used again. */
const discardedAtMost = 64 * 1024;
/** For at most this long. */
const discardedWithinMs: Milliseconds = 1_000;

class Discard implements ByteSink {
  readonly #source: ByteSource;
  #stopTimer: Cancel | undefined = undefined;
  #left = discardedAtMost;
  #over = false;

  constructor(source: ByteSource) {
    this.#source = source;
  }

  start(clock: Clock): void {
    this.#source.start(this);
    if (!this.#over) this.#stopTimer = clock.after(discardedWithinMs, () => this.#giveUp());
  }

  write(chunk: Uint8Array): boolean {
    this.#left -= chunk.byteLength;
    if (this.#left < 0) this.#giveUp();
    return true;
  }

  end(): void {
    this.#stop();
  }

  fail(): void {
    this.#stop();
  }

  #giveUp(): void {
    if (this.#over) return;
    this.#stop();
    this.#source.abort(new Aborted("deadline"));
  }

  #stop(): void {
    this.#over = true;
    this.#stopTimer?.();
  }
}

/** Reads a body that nobody wants to its end, or closes its connection where that would cost more than another one. */
export function discard(body: ByteSource, clock: Clock): void {
  new Discard(body).start(clock);
}
