import type { Readable } from "node:stream";

/** A request body up to this size, in bytes, is kept when it may have to be sent again. */
const keptAtMost = 64 * 1024;

/** What all bodies that are kept at the same time may hold together, in bytes. */
const keptInAll = 16 * 1024 * 1024;

/** How much memory bodies that are kept may still take. */
export class KeptMemory {
  #free = keptInAll;

  /** @returns false: the body is too large, or there are too many */
  take(bytes: number): boolean {
    // A size that is no number fits nowhere.
    if (!(bytes <= keptAtMost && bytes <= this.#free)) return false;
    this.#free -= bytes;
    return true;
  }

  give(bytes: number): void {
    this.#free += bytes;
  }
}

/** Who waits for a body. */
export interface KeptBodyOwner {
  bodyKept(bytes: Uint8Array): void;
  /** It broke off. */
  bodyBroke(error: Error): void;
}

/** Reads a body to its end, before it is sent: so it can be sent as often as need be. Its size was announced and is bounded. */
export class KeptBody {
  readonly #body: Readable;
  readonly #owner: KeptBodyOwner;
  readonly #memory: KeptMemory;
  /** What it takes of the memory. */
  #bytes: number;
  readonly #pieces: Buffer[] = [];
  #reading = true;
  /** It was given up before its end: what was read of it is gone, and nobody can have the rest for all of it. */
  torn = false;

  /** @param bytes its size, taken of the memory */
  constructor(body: Readable, bytes: number, memory: KeptMemory, owner: KeptBodyOwner) {
    this.#body = body;
    this.#bytes = bytes;
    this.#memory = memory;
    this.#owner = owner;
    body.on("data", this.#onData);
    body.on("end", this.#onEnd);
    body.on("error", this.#onError);
  }

  /** Reads no more of it. @returns false: it was read */
  stop(): boolean {
    if (!this.#reading) return false;
    this.torn = true;
    this.#leave();
    if (!this.#body.destroyed) this.#body.pause();
    return true;
  }

  /** It need not be kept any more. */
  release(): void {
    this.#memory.give(this.#bytes);
    this.#bytes = 0;
  }

  readonly #onData = (bytes: Buffer): void => void this.#pieces.push(bytes);

  readonly #onEnd = (): void => {
    this.#leave();
    const pieces = this.#pieces;
    this.#owner.bodyKept(pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces));
  };

  readonly #onError = (error: Error): void => {
    this.#leave();
    this.#owner.bodyBroke(error);
  };

  #leave(): void {
    this.#reading = false;
    this.#body.off("data", this.#onData);
    this.#body.off("end", this.#onEnd);
    this.#body.off("error", this.#onError);
  }
}
