import type { IncomingMessage } from "node:http";
import { Readable } from "node:stream";
import { Refusal } from "@tocsin/shared";

/**
 * A request body on its way in: counted, limited while it streams, and asked for no earlier than somebody reads it.
 */
export class Upload extends Readable {
  /** Body bytes that arrived. */
  bytes = 0;
  readonly #request: IncomingMessage;
  readonly #maxBytes: number;
  readonly #invite: (() => void) | undefined;
  #begun = false;

  /**
   * @param maxBytes more is refused with body-too-large
   * @param invite called once when the body is about to be read: answers `Expect: 100-continue`
   */
  constructor(request: IncomingMessage, maxBytes: number, invite: (() => void) | undefined) {
    super({ highWaterMark: 64 * 1024 });
    this.#request = request;
    this.#maxBytes = maxBytes;
    this.#invite = invite;
  }

  override _read(): void {
    if (!this.#begun) {
      this.#begun = true;
      this.#invite?.();
      this.#request.on("data", this.#onData);
      this.#request.on("end", this.#onEnd);
    }
    this.#request.resume();
  }

  readonly #onData = (chunk: Buffer): void => {
    this.bytes += chunk.length;
    if (this.bytes > this.#maxBytes) this.destroy(new Refusal("body-too-large"));
    else if (!this.push(chunk)) this.#request.pause();
  };

  readonly #onEnd = (): void => {
    this.push(null);
  };

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#request.off("data", this.#onData);
    this.#request.off("end", this.#onEnd);
    if (!this.#request.complete) this.#request.pause();
    done(error);
  }
}
