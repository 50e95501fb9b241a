import type { IncomingMessage } from "node:http";
import { Readable } from "node:stream";
import { Refusal } from "@tocsin/shared";
import type { Milliseconds } from "@tocsin/shared";
import type { Gate } from "../pipeline/gate.ts";
import { Deadline } from "../upstream/deadlines.ts";
import type { Deadlines } from "../upstream/deadlines.ts";
import type { ExchangeResponse } from "./response.ts";
import { faultInTrailers } from "./trailers.ts";

/** So much of a body must come within each pause that is allowed, in bytes, unless its end does: a trickle is a pause too. */
export const leastBytes = 1024;

export interface UploadOptions {
  /** More is refused with body-too-large. */
  readonly maxBytes: number;
  /** More in fields behind the body is refused with headers-too-large. */
  readonly maxTrailerBytes: number;
  /** Time in which {@link leastBytes} or the rest must come, while somebody waits for them; else request-timeout. */
  readonly pauseMs: Milliseconds;
  readonly deadlines: Deadlines;
  /** Called once when the body is about to be read: answers `Expect: 100-continue`. */
  readonly invite: (() => void) | undefined;
}

/**
 * A request body on its way in: counted, limited while it streams, and asked for no earlier than somebody reads it.
 */
export class Upload extends Readable {
  /** Body bytes that arrived. */
  bytes = 0;
  /** Somebody began to read: the client was asked for the body, if it waited for that. */
  begun = false;
  readonly #request: IncomingMessage;
  readonly #options: UploadOptions;
  readonly #pause: Pause;
  #sincePause = 0;

  constructor(request: IncomingMessage, options: UploadOptions) {
    super({ highWaterMark: 64 * 1024 });
    this.#request = request;
    this.#options = options;
    this.#pause = new Pause(this);
  }

  /** It was refused, or will be when its end is read. */
  get isBroken(): boolean {
    return (
      this.errored !== null ||
      faultInTrailers(this.#request, this.#options.maxTrailerBytes) !== undefined
    );
  }

  override _read(): void {
    if (!this.begun) {
      this.begun = true;
      this.#options.invite?.();
      this.#request.on("data", this.#onData);
      this.#request.on("end", this.#onEnd);
    }
    // Whoever reads slowly costs the client no time: this begins when more is wanted.
    if (this.#pause.row === undefined) this.#wait();
    this.#request.resume();
  }

  /** Nothing came for too long. */
  expire(): void {
    // What came is not taken: the client is not the one who is waited for.
    if (this.readableLength > 0) this.#wait();
    else this.destroy(new Refusal("request-timeout"));
  }

  readonly #onData = (chunk: Buffer): void => {
    this.bytes += chunk.length;
    this.#sincePause += chunk.length;
    if (this.bytes > this.#options.maxBytes) this.destroy(new Refusal("body-too-large"));
    else if (!this.push(chunk)) {
      this.#request.pause();
      this.#options.deadlines.stop(this.#pause);
    } else if (this.#sincePause >= leastBytes) this.#wait();
  };

  readonly #onEnd = (): void => {
    this.#options.deadlines.stop(this.#pause);
    const fault = faultInTrailers(this.#request, this.#options.maxTrailerBytes);
    if (fault === undefined) this.push(null);
    else this.destroy(fault);
  };

  #wait(): void {
    this.#sincePause = 0;
    if (!this.#request.complete) this.#options.deadlines.start(this.#pause, this.#options.pauseMs);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#options.deadlines.stop(this.#pause);
    this.#request.off("data", this.#onData);
    this.#request.off("end", this.#onEnd);
    if (!this.#request.complete) this.#request.pause();
    done(error);
  }
}

/** The body of a request that has one. */
export function uploadOf(
  response: ExchangeResponse,
  { body: maxBytes = Infinity, headers, bodyTimeoutMs: pauseMs }: Gate["limits"],
  deadlines: Deadlines,
): Upload {
  const request = response.req;
  // A client of HTTP/1.0 knows of no interim answers (RFC 9110 §10.1.1).
  const expects = response.exchange!.head.expect !== undefined && request.httpVersionMinor > 0;
  const upload = new Upload(request, {
    maxBytes,
    maxTrailerBytes: headers,
    pauseMs,
    deadlines,
    invite: expects ? () => response.writeContinue() : undefined,
  });
  // Whoever reads it hears of an error; when nobody does, it is no reason to end the process.
  upload.on("error", () => {});
  return upload;
}

/** What is wrong with a body in chunks, as far as it has come. */
export function faultInBody(request: IncomingMessage, limits: Gate["limits"]): Refusal | undefined {
  if (request.readableLength > (limits.body ?? Infinity)) return new Refusal("body-too-large");
  return request.complete ? faultInTrailers(request, limits.headers) : undefined;
}

/** Whether the body of a request was refused, or will be: what came behind it is then no request that may be believed. */
export function isBroken({ exchange }: ExchangeResponse): boolean {
  return (exchange!.body as Upload | undefined)?.isBroken === true;
}

/** The wait for more of a body. */
class Pause extends Deadline {
  readonly #upload: Upload;
  constructor(upload: Upload) {
    super();
    this.#upload = upload;
  }
  expire(): void {
    this.#upload.expire();
  }
}
