import type { Socket } from "node:net";
import type { Readable } from "node:stream";

/** Hears how a request gets on. */
export interface UploadOwner {
  /** The other side does not take more for now, or does again. */
  uploadBlocked(isBlocked: boolean): void;
  uploadSent(): void;
  /** The body broke off. */
  uploadFailed(error: Error): void;
}

/** Writes a request with a body: no faster than the other side reads, and no more in memory than the two streams hold. */
export class UploadPump {
  readonly #socket: Socket;
  readonly #owner: UploadOwner;
  #body: Readable | undefined = undefined;
  #chunked = false;
  #blocked = false;
  #over = false;

  constructor(socket: Socket, owner: UploadOwner) {
    this.#socket = socket;
    this.#owner = owner;
  }

  start(head: string, body: Readable | Uint8Array, chunked: boolean): void {
    const socket = this.#socket;
    // Head and the first bytes go in one packet when they are there at once.
    socket.cork();
    process.nextTick(() => socket.uncork());
    socket.write(head, "latin1");
    if (body instanceof Uint8Array) {
      if (chunked) this.#chunk(body);
      else socket.write(body);
      return this.#finish(chunked);
    }
    this.#body = body;
    this.#chunked = chunked;
    body.on("data", this.#onData);
    body.on("end", this.#onEnd);
    body.on("error", this.#onError);
    socket.on("drain", this.#onDrain);
  }

  /** Nobody wants the rest. */
  stop(): void {
    this.#over = true;
    const body = this.#body;
    if (body === undefined) return;
    this.#body = undefined;
    body.off("data", this.#onData);
    body.off("end", this.#onEnd);
    body.off("error", this.#onError);
    this.#socket.off("drain", this.#onDrain);
    if (!body.destroyed) body.pause();
  }

  readonly #onData = (bytes: Buffer): void => {
    const open = this.#chunked ? this.#chunk(bytes) : this.#socket.write(bytes);
    if (open || this.#blocked) return;
    this.#blocked = true;
    this.#body?.pause();
    this.#owner.uploadBlocked(true);
  };

  readonly #onDrain = (): void => {
    if (!this.#blocked) return;
    this.#blocked = false;
    this.#body?.resume();
    this.#owner.uploadBlocked(false);
  };

  readonly #onEnd = (): void => this.#finish(this.#chunked);

  readonly #onError = (error: Error): void => {
    this.stop();
    this.#owner.uploadFailed(error);
  };

  /** RFC 9112 §7.1 */
  #chunk(bytes: Uint8Array): boolean {
    // A chunk of nothing would end the body.
    if (bytes.length === 0) return true;
    const socket = this.#socket;
    socket.cork();
    socket.write(`${bytes.length.toString(16)}\r\n`, "latin1");
    socket.write(bytes);
    const open = socket.write("\r\n", "latin1");
    socket.uncork();
    return open;
  }

  #finish(chunked: boolean): void {
    if (this.#over) return;
    if (chunked) this.#socket.write("0\r\n\r\n", "latin1");
    this.stop();
    this.#owner.uploadSent();
  }
}
