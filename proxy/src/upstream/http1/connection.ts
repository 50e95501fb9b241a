import type { Socket } from "node:net";
import type { Readable } from "node:stream";
import { Deadline } from "../deadlines.ts";
import type { Switching } from "../switching.ts";
import { BadAnswer, readAnswerHead } from "./answer-head.ts";
import type { AnswerHead } from "./answer-head.ts";
import { ChunkedDecoder } from "./chunked.ts";
import { UploadPump } from "./upload-pump.ts";
import type { UploadOwner } from "./upload-pump.ts";
import { readTrailers } from "./trailers.ts";

/** One request as it goes on the wire. */
export interface OutgoingRequest {
  readonly method: string;
  /** Request line and fields with the empty line behind them, one character a byte. */
  readonly head: string;
  /** Bytes: the whole body. A stream: its length is announced in the head, unless it is {@link chunked}. */
  readonly body: Readable | Uint8Array | undefined;
  readonly chunked: boolean;
}

/** Hears what becomes of a request. After `end` or `failed` it hears nothing more. */
export interface AnswerHandler {
  /** An interim answer that a client may care for (RFC 9110 §15.2): 103, or one that is not known. */
  interim(status: number, fields: string[]): void;
  /** Nothing of the answer has been read before; its body follows. @throws what breaks the exchange off */
  head(head: AnswerHead): void;
  data(bytes: Buffer): void;
  /** All that has come so far was told. */
  caughtUp(): void;
  /** The body is whole. `trailers`: names and values in turn, those that may pass. */
  end(trailers: readonly string[]): void;
  failed(error: Error): void;
  /** The instance does not take more of the body for now, or does again. */
  blocked(isBlocked: boolean): void;
  /** The last byte of the request was handed over. */
  requestSent(): void;
  /** What an answer of 101 must fit; undefined: none was asked for. */
  readonly switching: Switching | undefined;
  /** The instance goes on in another protocol: the connection is the handler's now, paused, and no HTTP any more. */
  switched(head: AnswerHead, socket: Socket, first: Buffer): void;
}

/** The connection ended before the answer did. */
export class ConnectionLost extends Error {
  override readonly name = "ConnectionLost";
  /**
   * It was an old connection and not a single byte came back: most likely the instance closed it, idle for too long, just when it
   * was used once more (RFC 9112 §9.3.1).
   */
  readonly stale: boolean;
  constructor(message: string, stale: boolean, options?: ErrorOptions) {
    super(message, options);
    this.stale = stale;
  }
}

/** A head, or all interim answers of one request together, may have this many bytes. */
const headBytes = 64 * 1024;
/** So many interim answers may come before the final one. */
const interimAtMost = 64;

const endOfHead = Buffer.from("\r\n\r\n");

/** What of an answer comes next. */
const head = 0;
const length = 1;
const chunks = 2;
const untilClose = 3;

/** Whom a connection belongs to. */
export interface ConnectionOwner {
  /** It can take another request. */
  free(connection: Connection): void;
  /** It is closed. */
  gone(connection: Connection): void;
}

/**
 * One HTTP/1.1 connection to an instance (RFC 9112), one request at a time. While it is idle it is itself the wait for its end.
 *
 * It goes back to its owner only when nothing is left to doubt: the request went out whole, the answer ended where it said, and not
 * a byte came behind it.
 */
export class Connection extends Deadline implements UploadOwner {
  readonly #socket: Socket;
  readonly #owner: ConnectionOwner;
  #handler: AnswerHandler | undefined = undefined;
  #method = "";
  #pump: UploadPump | undefined = undefined;
  #next = head;
  /** Bytes of the body that are still to come. */
  #left = 0;
  #decoder: ChunkedDecoder | undefined = undefined;
  /** The beginning of a head whose end has not come. */
  #begun: Buffer | undefined = undefined;
  #interims = 0;
  #interimBytes = 0;
  /** A byte of the present answer has come. */
  #answering = false;
  #persistent = false;
  #paused = false;
  #closed = false;
  #error: Error | undefined = undefined;
  /** Requests that were answered here. */
  served = 0;
  /** How long the instance keeps it open when it is idle, in seconds, as far as it says so (`Keep-Alive: timeout`). */
  hintSeconds: number | undefined = undefined;

  constructor(socket: Socket, owner: ConnectionOwner) {
    super();
    this.#socket = socket;
    this.#owner = owner;
    socket.on("data", this.#onData);
    socket.on("end", this.#onEnd);
    socket.on("error", this.#onError);
    socket.on("close", this.#onClose);
  }

  readonly #onData = (bytes: Buffer): void => this.#read(bytes);
  readonly #onEnd = (): void => this.#ended();
  readonly #onError = (error: Error): void => void (this.#error ??= error);
  readonly #onClose = (): void => this.#lost();

  /** Whether it can take a request. */
  get usable(): boolean {
    return !this.#closed && this.#handler === undefined && this.#socket.writable;
  }

  /** Sends a request. The connection must be {@link usable}. */
  send({ method, head: text, body, chunked }: OutgoingRequest, handler: AnswerHandler): void {
    this.#handler = handler;
    this.#method = method;
    this.#next = head;
    this.#interims = this.#interimBytes = 0;
    this.#answering = false;
    if (body === undefined) {
      this.#socket.write(text, "latin1");
      handler.requestSent();
      return;
    }
    this.#pump = new UploadPump(this.#socket, this);
    this.#pump.start(text, body, chunked);
  }

  /** Reads no more for now. */
  pause(): void {
    this.#paused = true;
    this.#socket.pause();
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#socket.resume();
  }

  /** Closes it. Who waits for an answer hears nothing more. */
  destroy(): void {
    this.#handler = undefined;
    this.#pump?.stop();
    this.#pump = undefined;
    this.#socket.destroy();
  }

  /** Closes it, and says so to who waits for an answer. */
  break(): void {
    this.#cut("the connection was shut down");
  }

  /** It was idle for long enough. */
  expire(): void {
    this.destroy();
  }

  // ---- the request

  uploadBlocked(isBlocked: boolean): void {
    this.#handler?.blocked(isBlocked);
  }

  uploadSent(): void {
    this.#pump = undefined;
    this.#handler?.requestSent();
  }

  uploadFailed(error: Error): void {
    this.#fail(error);
  }

  // ---- the answer

  #read(bytes: Buffer): void {
    // Nobody asked: whatever it is, the next request must not take it for its answer.
    if (this.#handler === undefined) return this.destroy();
    this.#answering = true;
    try {
      this.#parse(bytes);
      this.#handler?.caughtUp();
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  #parse(bytes: Buffer): void {
    let at = 0;
    let input = bytes;
    if (this.#next === head) {
      if (this.#begun !== undefined) {
        input = Buffer.concat([this.#begun, bytes]);
        this.#begun = undefined;
      }
      at = this.#heads(input);
      if (at === -1) return;
    }
    const handler = this.#handler;
    if (handler === undefined) return;
    switch (this.#next) {
      case length: {
        const end = Math.min(input.length, at + this.#left);
        if (end > at) {
          this.#left -= end - at;
          handler.data(at === 0 && end === input.length ? input : input.subarray(at, end));
        }
        if (this.#left === 0 && this.#handler === handler) this.#whole(input.length > end, []);
        return;
      }
      case chunks: {
        const decoder = this.#decoder!;
        const taken = decoder.write(input, at, this);
        if (decoder.done && this.#handler === handler)
          this.#whole(at + taken < input.length, readTrailers(decoder.trailer));
        return;
      }
      default:
        if (at < input.length) handler.data(at === 0 ? input : input.subarray(at));
    }
  }

  /** Bytes of a chunk. */
  data(bytes: Buffer): void {
    this.#handler?.data(bytes);
  }

  /** Reads heads up to the final one. @returns where its body begins, or -1: more must come first, or there is no body */
  #heads(input: Buffer): number {
    let at = 0;
    for (;;) {
      const end = input.indexOf(endOfHead, at);
      if (end === -1) {
        this.#keep(at === 0 ? input : input.subarray(at));
        return -1;
      }
      if (end - at > headBytes) throw new BadAnswer("a head too long");
      const answer = readAnswerHead(input.toString("latin1", at, end));
      const behind = end + 4;
      if (answer.status >= 200) return this.#final(answer, input, behind);
      if (answer.status === 101) {
        this.#switch(answer, input.subarray(behind));
        return -1;
      }
      this.#interim(answer, behind - at);
      if (this.#handler === undefined) return -1;
      at = behind;
      if (at === input.length) return -1;
    }
  }

  #keep(rest: Buffer): void {
    if (rest.length > headBytes) throw new BadAnswer("a head too long");
    // A line feed without its carriage return ends no line (RFC 9112 §2.2 lets a recipient take it for one; others then see another head).
    for (let at = rest.indexOf(10); at !== -1; at = rest.indexOf(10, at + 1))
      if (rest[at - 1] !== 13) throw new BadAnswer("a bare line feed in the head");
    if (rest.length >= 5 && rest.toString("latin1", 0, 5) !== "HTTP/")
      throw new BadAnswer("a bad status line");
    this.#begun = rest;
  }

  #interim(answer: AnswerHead, bytes: number): void {
    this.#interims += 1;
    this.#interimBytes += bytes;
    if (answer.contentLength !== undefined || answer.chunked)
      throw new BadAnswer("an interim answer with a body");
    if (this.#interims > interimAtMost || this.#interimBytes > headBytes)
      throw new BadAnswer("too many interim answers");
    // RFC 9110 §15.2: those that were not asked for are to be taken all the same.
    if (answer.status > 102) this.#handler!.interim(answer.status, answer.passing);
  }

  /** RFC 9110 §15.2.2: only a client that asks for another protocol may be told to switch, and only to that one. */
  #switch(answer: AnswerHead, first: Buffer): void {
    const handler = this.#handler!;
    const socket = this.#socket;
    if (handler.switching === undefined) throw new BadAnswer("a 101 that nobody asked for");
    if (answer.contentLength !== undefined || answer.chunked)
      throw new BadAnswer("a 101 with a body");
    const fault = handler.switching.accepts(answer);
    if (fault !== undefined) throw new BadAnswer(fault);
    socket.pause();
    socket.off("data", this.#onData);
    socket.off("end", this.#onEnd);
    socket.off("error", this.#onError);
    socket.off("close", this.#onClose);
    this.#handler = undefined;
    this.#closed = true;
    this.#owner.gone(this);
    handler.switched(answer, socket, first);
  }

  #final(answer: AnswerHead, input: Buffer, behind: number): number {
    const { status, contentLength, chunked } = answer;
    const bodyless = this.#method === "HEAD" || status === 204 || status === 304;
    // Some servers send the body of the GET behind the head that was asked for, or one where none may be. Later bytes would be taken
    // for the next answer, so there is none on this connection.
    const dubious =
      this.#method === "HEAD" ||
      (status === 304 && chunked) ||
      (status === 204 && (chunked || (contentLength ?? 0) > 0));
    this.#persistent = answer.persistent && !dubious;
    this.hintSeconds = hintOf(answer.keepAlive);
    this.served += 1;
    const handler = this.#handler!;
    if (bodyless) this.#next = head;
    else if (chunked) {
      this.#next = chunks;
      this.#decoder = new ChunkedDecoder();
    } else if (contentLength === undefined) {
      this.#next = untilClose;
      this.#persistent = false;
    } else {
      this.#next = length;
      this.#left = contentLength;
    }
    handler.head(answer);
    if (this.#handler !== handler) return -1;
    if (!bodyless) return behind;
    this.#whole(input.length > behind, []);
    return -1;
  }

  /** The answer is complete. @param more bytes came behind it */
  #whole(more: boolean, trailers: readonly string[]): void {
    const handler = this.#handler!;
    const free = this.#persistent && !more && this.#pump === undefined && this.#socket.writable;
    this.#handler = undefined;
    this.#decoder = undefined;
    this.#next = head;
    if (free) this.resume();
    else this.destroy();
    handler.end(trailers);
    if (free) this.#owner.free(this);
  }

  #fail(error: Error): void {
    const handler = this.#handler;
    this.destroy();
    handler?.failed(error);
  }

  /** The instance says nothing more. */
  #ended(): void {
    if (this.#handler !== undefined && this.#next === untilClose) this.#whole(false, []);
    else this.#cut("the connection was closed");
  }

  #lost(): void {
    this.#closed = true;
    this.#cut(this.#error === undefined ? "the connection was lost" : this.#error.message);
    this.#owner.gone(this);
  }

  #cut(message: string): void {
    if (this.#handler === undefined) return this.destroy();
    const stale = this.served > 0 && !this.#answering;
    this.#fail(
      new ConnectionLost(message, stale, this.#error === undefined ? {} : { cause: this.#error }),
    );
  }
}

/** `Keep-Alive: timeout=5, max=100` */
function hintOf(keepAlive: string | undefined): number | undefined {
  if (keepAlive === undefined) return undefined;
  const found = /(?:^|[,\s])timeout\s*=\s*"?(\d{1,6})/i.exec(keepAlive);
  return found === null ? undefined : Number(found[1]);
}
