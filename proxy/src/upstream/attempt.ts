import type { Readable } from "node:stream";
import type { Milliseconds } from "@tocsin/shared";
import type { Dispatcher } from "undici";
import type { ByteSink, ByteSource } from "./byte-stream.ts";
import { Deadline } from "./deadlines.ts";
import type { Deadlines } from "./deadlines.ts";
import { downstreamHeaders } from "./response-headers.ts";

/** Times that an exchange with an upstream may take, in milliseconds. */
export interface UpstreamTimeouts {
  /** Until a connection is there and the request is about to be written. */
  readonly connect: Milliseconds;
  /** From then (for an upload: from its last progress) to the response headers. */
  readonly firstByte: Milliseconds;
  /** Longest silence within a response body while we are ready to read. */
  readonly idle: Milliseconds;
  /** The whole exchange. Absent: no limit. */
  readonly total?: Milliseconds | undefined;
}

export interface Answer {
  readonly status: number;
  /** Names and values in turn; lower-case names, repeats kept in order. */
  readonly headers: string[];
  /** Undefined: an answer without a body (HEAD, 204, 304). */
  readonly body: ByteSource | undefined;
}

/** Which wait ended an attempt. */
export class UpstreamTimeout extends Error {
  override readonly name = "UpstreamTimeout";
  readonly phase: "connect" | "first-byte" | "idle" | "total";
  constructor(phase: UpstreamTimeout["phase"]) {
    super(`the ${phase} time is up`);
    this.phase = phase;
  }
}

/** The client stopped sending the body it announced. */
export class UploadStalled extends Error {
  override readonly name = "UploadStalled";
}

/** How long a client may pause within a request body, in milliseconds. */
const uploadPauseMs = 60_000;

/** Bytes of a body that are kept for a sink which has not started; beyond that the upstream waits. */
const queuedAtMost = 64 * 1024;

/** Who wants the outcome of an attempt. */
export interface AttemptOwner {
  answered(answer: Answer): void;
  /** There will be no answer. */
  failed(attempt: Attempt, error: Error): void;
  /** An answer was there, and now it is whole, or broken off. */
  over(): void;
}

/**
 * One try at one instance: the request on its way out, and the answer on its way back.
 *
 * It is the handler that undici calls, the wait that may run out and the source of the body in one object, because there is one
 * for every request.
 */
export class Attempt extends Deadline implements Dispatcher.DispatchHandler, ByteSource {
  /** The request is (about to be) on the wire: before this, another instance may have it without risk. */
  sent = false;
  /** The first byte of an answer came. */
  answered = false;

  readonly #deadlines: Deadlines;
  readonly #timeouts: UpstreamTimeouts;
  readonly #upload: Readable | undefined;
  readonly #bodyless: boolean;
  readonly #owner: AttemptOwner;
  #controller: Dispatcher.DispatchController | undefined = undefined;
  #uploading: boolean;
  /** The promise of an answer is settled, one way or the other. */
  #settled = false;
  /** Nothing comes any more: whole, broken or unwanted. */
  #over = false;
  #failure: Error | undefined = undefined;
  #sink: ByteSink | undefined = undefined;
  #queue: Uint8Array[] | undefined = undefined;
  #queuedBytes = 0;

  constructor(
    deadlines: Deadlines,
    timeouts: UpstreamTimeouts,
    method: string,
    upload: Readable | undefined,
    owner: AttemptOwner,
  ) {
    super();
    this.#deadlines = deadlines;
    this.#timeouts = timeouts;
    this.#bodyless = method === "HEAD";
    this.#upload = upload;
    this.#uploading = upload !== undefined;
    this.#owner = owner;
    deadlines.start(this, timeouts.connect);
  }

  /** Ends the attempt; the instance is told by closing the connection. Nothing happens when it is over. */
  abort(reason: Error): void {
    if (this.#over) return;
    this.#finish();
    this.#failure = reason;
    this.#sink = undefined;
    this.#queue = undefined;
    if (!this.#settled) {
      this.#settled = true;
      this.#owner.failed(this, reason);
    }
    this.#controller?.abort(reason);
  }

  // ---- the wait

  expire(): void {
    if (!this.sent) return this.break(new UpstreamTimeout("connect"));
    if (this.#settled) return this.break(new UpstreamTimeout("idle"));
    // Waiting for the client is not the upstream's fault, and has a patience of its own.
    if (this.#uploading && this.#upload!.readableFlowing && !this.#upload!.destroyed)
      return this.break(new UploadStalled("the client stopped sending"));
    this.break(new UpstreamTimeout("first-byte"));
  }

  // ---- what undici calls

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    // Given up while it waited for a connection.
    if (this.#over) return controller.abort(this.#failure!);
    this.sent = true;
    this.#deadlines.start(this, this.#uploading ? uploadPauseMs : this.#timeouts.firstByte);
  }

  onBodySent(): void {
    if (!this.#over && !this.#settled)
      // While the upstream does not read, the time to answer runs; while the client does not send, its patience.
      this.#deadlines.start(
        this,
        this.#upload!.readableFlowing ? uploadPauseMs : this.#timeouts.firstByte,
      );
  }

  onRequestSent(): void {
    if (!this.#uploading) return;
    this.#uploading = false;
    if (!this.#over && !this.#settled) this.#deadlines.start(this, this.#timeouts.firstByte);
  }

  onResponseStarted(): void {
    this.answered = true;
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    // Interim answers (RFC 9110 §15.2) are for us; the final one follows.
    if (status < 200 || this.#over) return;
    let list: string[];
    try {
      list = downstreamHeaders(status, headers);
    } catch (error) {
      return this.break(error as Error);
    }
    this.#settled = true;
    // The body's silence is timed from when somebody listens: nearly always it is there by then.
    this.#deadlines.stop(this);
    const empty = this.#bodyless || status === 204 || status === 304;
    this.#owner.answered({ status, headers: list, body: empty ? undefined : this });
    this.#controller = controller;
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Uint8Array): void {
    if (this.#over) return;
    if (this.#sink !== undefined) {
      if (this.#sink.write(chunk)) this.#deadlines.start(this, this.#timeouts.idle);
      else this.#pause(controller);
      return;
    }
    (this.#queue ??= []).push(chunk);
    this.#queuedBytes += chunk.byteLength;
    if (this.#queuedBytes > queuedAtMost) this.#pause(controller);
  }

  onResponseEnd(): void {
    if (this.#over) return;
    this.#finish();
    this.#sink?.end();
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: Error): void {
    if (this.#over) return;
    this.#finish();
    this.#failure = error;
    if (this.#settled) this.#sink?.fail(error);
    else {
      this.#settled = true;
      this.#owner.failed(this, error);
    }
  }

  // ---- the body, for whom it is

  start(sink: ByteSink): void {
    const queue = this.#queue;
    this.#queue = undefined;
    const whole = this.#over && this.#failure === undefined;
    let open = true;
    if (queue !== undefined) {
      for (const [index, chunk] of queue.entries()) {
        if (whole && index === queue.length - 1) return sink.end(chunk);
        open = sink.write(chunk);
      }
    }
    if (whole) return sink.end();
    if (this.#over) return sink.fail(this.#failure!);
    this.#sink = sink;
    this.#deadlines.start(this, this.#timeouts.idle);
    if (this.#queuedBytes > queuedAtMost) {
      if (open) this.resume();
    } else if (!open) this.#pause(this.#controller!);
  }

  resume(): void {
    if (this.#over) return;
    this.#deadlines.start(this, this.#timeouts.idle);
    this.#controller?.resume();
  }

  #pause(controller: Dispatcher.DispatchController): void {
    // The silence that follows is ours.
    this.#deadlines.stop(this);
    controller.pause();
  }

  #finish(): void {
    this.#over = true;
    this.#deadlines.stop(this);
    if (this.#settled) this.#owner.over();
  }

  /** Ends the attempt as a failure of the other side: who waits for an answer or for more of its body hears of it. */
  break(error: Error): void {
    if (this.#over) return;
    const controller = this.#controller;
    this.onResponseError(null, error);
    controller?.abort(error);
  }
}
