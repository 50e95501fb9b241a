import type { Socket } from "node:net";
import type { Readable } from "node:stream";
import type { Milliseconds } from "@tocsin/shared";
import type { ByteSink, ByteSource } from "./byte-stream.ts";
import { Deadline } from "./deadlines.ts";
import type { Deadlines } from "./deadlines.ts";
import type { ConnectFailure } from "./dial.ts";
import type { AnswerHead } from "./http1/answer-head.ts";
import type { AnswerHandler, Connection } from "./http1/connection.ts";
import type { Pool, Waiting } from "./http1/pool.ts";
import type { Switched, Switching } from "./switching.ts";
import { requestText } from "./http1/request-text.ts";

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
  /** Names and values in turn as they came: order, case and repeats kept. */
  readonly headers: string[];
  /** Undefined: an answer without a body (HEAD, 204, 304, 101). */
  readonly body: ByteSource | undefined;
  /** Of an answer of 101: what goes on in another protocol. */
  readonly switched?: Switched;
}

/** Where connections come from. */
type Connections = Pick<Pool, "host" | "takeIdle" | "wait" | "forget">;

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

/** Bytes of a body that are kept for a sink which has not started; beyond that the upstream waits. */
const queuedAtMost = 64 * 1024;

/** Who wants the outcome of an attempt. */
export interface AttemptOwner {
  answered(answer: Answer): void;
  /** An interim answer that a client may care for, 103 for example (RFC 9110 §15.2). */
  interim(status: number, headers: string[]): void;
  /** There will be no answer. */
  failed(attempt: Attempt, error: Error): void;
  /** An answer was there, and now it is whole; or it broke off or was aborted, and this is why. */
  over(attempt: Attempt, failure: Error | undefined): void;
}

/**
 * One try at one instance: the request on its way out, and the answer on its way back.
 *
 * It is who waits for a connection, who hears what comes on it, the wait that may run out and the source of the body in one object,
 * because there is one for every request.
 */
export class Attempt extends Deadline implements Waiting, AnswerHandler, ByteSource {
  /** The request is (about to be) on the wire: before this, another instance may have it without risk. */
  sent = false;
  /** The head of an answer came. */
  answered = false;
  readonly switching: Switching | undefined;

  readonly #deadlines: Deadlines;
  readonly #timeouts: UpstreamTimeouts;
  readonly #method: string;
  readonly #target: string;
  readonly #headers: readonly string[];
  readonly #upload: Readable | Uint8Array | undefined;
  readonly #owner: AttemptOwner;
  #pool: Connections | undefined = undefined;
  #connection: Connection | undefined = undefined;
  #answer: Answer | undefined = undefined;
  /** The promise of an answer is settled, one way or the other. */
  #settled = false;
  /** Nothing comes any more: whole, broken or unwanted. */
  #over = false;
  #failure: Error | undefined = undefined;
  #sink: ByteSink | undefined = undefined;
  #queue: Uint8Array[] | undefined = undefined;
  #queuedBytes = 0;
  #trailers: readonly string[] | undefined = undefined;

  /**
   * @param headers names and values in turn, hop-by-hop fields left out; without Content-Length a body goes out in chunks
   * @param upload the whole body, or a stream of it; undefined: none
   * @param switching what an answer of 101 must fit; undefined: none was asked for
   */
  constructor(
    deadlines: Deadlines,
    timeouts: UpstreamTimeouts,
    method: string,
    target: string,
    headers: readonly string[],
    upload: Readable | Uint8Array | undefined,
    switching: Switching | undefined,
    owner: AttemptOwner,
  ) {
    super();
    this.#deadlines = deadlines;
    this.#timeouts = timeouts;
    this.#method = method;
    this.#target = target;
    this.#headers = headers;
    this.#upload = upload;
    this.switching = switching;
    this.#owner = owner;
  }

  /** Asks for a connection, and goes on from there. */
  go(pool: Connections): void {
    this.#pool = pool;
    const idle = pool.takeIdle();
    if (idle !== undefined) return this.connected(idle);
    this.#deadlines.start(this, this.#timeouts.connect);
    pool.wait(this, this.#timeouts.connect);
  }

  /** Ends the attempt; the instance is told by closing the connection. Nothing happens when it is over. */
  abort(reason: Error): void {
    if (this.#over) return;
    this.#leave();
    this.#failure = reason;
    this.#sink = undefined;
    this.#queue = undefined;
    this.#finish();
    if (this.#settled) return;
    this.#settled = true;
    this.#owner.failed(this, reason);
  }

  /** Ends the attempt as a failure of the other side: who waits for an answer or for more of its body hears of it. */
  break(error: Error): void {
    if (this.#over) return;
    this.#leave();
    this.failed(error);
  }

  // ---- the wait

  expire(): void {
    this.break(new UpstreamTimeout(!this.sent ? "connect" : this.#settled ? "idle" : "first-byte"));
  }

  // ---- the connection

  connected(connection: Connection): void {
    this.#deadlines.stop(this);
    this.sent = true;
    this.#connection = connection;
    const upload = this.#upload;
    const chunked = upload !== undefined && !this.#headers.includes("Content-Length");
    try {
      connection.send(
        {
          method: this.#method,
          head: requestText(
            this.#method,
            this.#target,
            this.#pool!.host,
            this.#headers,
            upload === undefined ? empty(this.#method) : chunked ? chunkedFraming : "",
          ),
          body: upload,
          chunked,
        },
        this,
      );
    } catch (error) {
      this.break(error as Error);
    }
  }

  notConnected(failure: ConnectFailure): void {
    this.failed(failure);
  }

  blocked(isBlocked: boolean): void {
    if (this.#over || this.#settled) return;
    // While the instance does not read, the time to answer runs. While the client does not send, its own patience does.
    if (isBlocked) this.#deadlines.start(this, this.#timeouts.firstByte);
    else this.#deadlines.stop(this);
  }

  /** The request is out: from here on the instance is waited for. */
  requestSent(): void {
    if (!this.#over && !this.#settled) this.#deadlines.start(this, this.#timeouts.firstByte);
  }

  interim(status: number, fields: string[]): void {
    this.#owner.interim(status, fields);
  }

  head({ status, passing }: AnswerHead): void {
    this.answered = true;
    // The body's silence is timed from when somebody listens: nearly always it is there by then.
    this.#deadlines.stop(this);
    const bodyless = this.#method === "HEAD" || status === 204 || status === 304;
    this.#answer = { status, headers: passing, body: bodyless ? undefined : this };
  }

  /** What goes on in another protocol is no attempt any more. */
  switched({ passing }: AnswerHead, socket: Socket, first: Buffer): void {
    this.answered = true;
    this.#settled = true;
    this.#connection = undefined;
    this.#finish();
    this.#owner.answered({
      status: 101,
      headers: passing,
      body: undefined,
      switched: { socket, first },
    });
  }

  /** An answer that is broken in its first piece is none, so it is handed over only when that was read. */
  caughtUp(): void {
    if (this.#answer === undefined || this.#settled) return;
    this.#settled = true;
    this.#owner.answered(this.#answer);
  }

  data(bytes: Uint8Array): void {
    if (this.#sink !== undefined) {
      if (this.#sink.write(bytes)) this.#deadlines.start(this, this.#timeouts.idle);
      else this.#pause();
      return;
    }
    (this.#queue ??= []).push(bytes);
    this.#queuedBytes += bytes.byteLength;
    if (this.#queuedBytes > queuedAtMost) this.#pause();
  }

  end(trailers: readonly string[]): void {
    this.#trailers = trailers.length === 0 ? undefined : trailers;
    this.#connection = undefined;
    this.caughtUp();
    this.#finish();
    this.#sink?.end(undefined, this.#trailers);
  }

  failed(error: Error): void {
    if (this.#over) return;
    this.#connection = undefined;
    this.#failure = error;
    this.#finish();
    if (this.#settled) return this.#sink?.fail(error);
    this.#settled = true;
    this.#owner.failed(this, error);
  }

  // ---- the body, for whom it is

  start(sink: ByteSink): void {
    const queue = this.#queue;
    this.#queue = undefined;
    const whole = this.#over && this.#failure === undefined;
    let open = true;
    if (queue !== undefined) {
      for (const [index, chunk] of queue.entries()) {
        if (whole && index === queue.length - 1) return sink.end(chunk, this.#trailers);
        open = sink.write(chunk);
      }
    }
    if (whole) return sink.end(undefined, this.#trailers);
    if (this.#over) return sink.fail(this.#failure!);
    this.#sink = sink;
    this.#deadlines.start(this, this.#timeouts.idle);
    if (!open) this.#pause();
    else if (this.#queuedBytes > queuedAtMost) this.resume();
  }

  resume(): void {
    if (this.#over) return;
    this.#deadlines.start(this, this.#timeouts.idle);
    this.#connection?.resume();
  }

  #pause(): void {
    // The silence that follows is ours.
    this.#deadlines.stop(this);
    this.#connection?.pause();
  }

  #finish(): void {
    this.#over = true;
    this.#deadlines.stop(this);
    if (this.#settled) this.#owner.over(this, this.#failure);
  }

  /** Nothing more is wanted from the other side. */
  #leave(): void {
    if (this.#connection !== undefined) this.#connection.destroy();
    else this.#pool?.forget(this);
    this.#connection = undefined;
  }
}

const chunkedFraming = "Transfer-Encoding: chunked\r\n";

/** RFC 9110 §8.6: a method that usually has a body says when it has none. */
function empty(method: string): string {
  return method === "POST" || method === "PUT" || method === "PATCH" ? "Content-Length: 0\r\n" : "";
}
