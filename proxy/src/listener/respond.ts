import { Aborted } from "@tocsin/shared";
import type { Clock } from "@tocsin/shared";
import type { Exchange } from "../pipeline/exchange.ts";
import { isWhole } from "../pipeline/reply.ts";
import type { ByteSink, ByteSource, Reply } from "../pipeline/reply.ts";
import type { Streams } from "../streams/streams.ts";
import type { Deadlines } from "../upstream/deadlines.ts";
import { EventStream, lengthOf } from "./event-stream.ts";
import { Outflow } from "./outflow.ts";
import type { ExchangeResponse } from "./response.ts";
import type { Upload } from "./upload.ts";

/**
 * How long a request body that nobody wants is read on after the reply, in milliseconds. Closing with unread bytes would reset the
 * connection, and the client might never see the reply (RFC 9112 §9.6).
 */
const lingerMs = 1_000;

export interface ResponderOptions {
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  /** Where event streams are known while they are open. */
  readonly streams: Streams;
}

/** Writes a reply. @param close whether this is the last one on its connection */
export function respond(
  response: ExchangeResponse,
  reply: Reply,
  close: boolean,
  options: ResponderOptions,
): void {
  const exchange = response.exchange!;
  const { status, headers, body } = reply;
  if (response.destroyed) {
    if (body !== undefined && !isWhole(body))
      body.abort(exchange.aborted ?? new Aborted("client-gone"));
    return;
  }
  exchange.status = status;
  exchange.repliedAt = options.clock.monotonic();
  headers.push("X-Request-ID", exchange.id);
  // Before the body has arrived nobody knows whether the rest of it follows.
  const unfinished = exchange.head.hasBody && !response.req.complete;
  const said = exchange.code !== undefined && headers.includes("connection");
  if (close || unfinished || said) {
    if (!said) headers.push("Connection", "close");
    // RFC 9112 §9.6: who says so serves nothing more that comes on this connection.
    response.connectionState!.closing = true;
  }
  try {
    response.writeHead(status, headers);
  } catch (error) {
    // The upstream's headers hold something that may not be sent.
    if (body !== undefined && !isWhole(body)) body.abort(error as Error);
    throw error;
  }
  if (body === undefined || exchange.method === "HEAD") {
    if (body !== undefined && !isWhole(body)) body.abort(new Aborted("client-gone"));
    return finish(response, undefined, options);
  }
  if (isWhole(body)) {
    exchange.bytesOut = body.byteLength;
    return finish(response, body, options);
  }
  body.start(new ReplySink(response, exchange, body, options));
  // Nearly all bodies are whole by now.
  if (!response.writableEnded && !response.destroyed) goOn(response, headers, body, options);
}

/** What a body needs that is still going on. */
function goOn(
  response: ExchangeResponse,
  headers: readonly string[],
  body: ByteSource,
  options: ResponderOptions,
): void {
  const length = lengthOf(headers);
  if (length === "known") return;
  // A client may wait for the head alone, however long nothing follows.
  if (response.exchange!.bytesOut === 0) response.flushHeaders();
  if (length === "endless")
    new EventStream(response, body, () => finish(response, undefined, options)).open(
      options.streams,
    );
}

class ReplySink implements ByteSink {
  readonly #response: ExchangeResponse;
  readonly #exchange: Exchange;
  readonly #source: ByteSource;
  readonly #options: ResponderOptions;
  #listening = false;

  constructor(
    response: ExchangeResponse,
    exchange: Exchange,
    source: ByteSource,
    options: ResponderOptions,
  ) {
    this.#response = response;
    this.#exchange = exchange;
    this.#source = source;
    this.#options = options;
  }

  write(chunk: Uint8Array): boolean {
    const response = this.#response;
    this.#exchange.bytesOut += chunk.byteLength;
    const open = response.write(chunk);
    if (response.writableLength > 0) watch(response, this.#options);
    if (open) return true;
    if (!this.#listening) {
      this.#listening = true;
      response.on("drain", () => this.#source.resume());
    }
    return false;
  }

  end(last?: Uint8Array, trailers?: readonly string[]): void {
    if (last !== undefined) this.#exchange.bytesOut += last.byteLength;
    // Only to who asked for them (RFC 9110 §6.5.1), and where the coding has a place for them.
    if (trailers !== undefined && this.#exchange.head.wantsTrailers)
      this.#response.addTrailers(pairs(trailers));
    finish(this.#response, last, this.#options);
  }

  fail(): void {
    // A clean end would make half an answer look whole.
    this.#exchange.code = "upstream-failed";
    const { req, socket } = this.#response;
    // HTTP/1.0 knows no chunks: a body may end with the connection, so only a reset tells that it was cut (RFC 9112 §8).
    if (req.httpVersionMinor === 0) socket?.resetAndDestroy();
    this.#response.destroy();
  }
}

function watch(response: ExchangeResponse, options: ResponderOptions): void {
  (response.outflow ??= new Outflow(response, options)).watch();
}

function finish(
  response: ExchangeResponse,
  last: Uint8Array | undefined,
  options: ResponderOptions,
): void {
  const request = response.req;
  const { head, body } = response.exchange!;
  // A client that still waits for `100 Continue` sends nothing more.
  const invited = head.expect === undefined || (body as Upload | undefined)?.begun === true;
  if (!head.hasBody || request.complete || !invited || request.destroyed) {
    end(response, last);
    if (response.writableLength > 0) watch(response, options);
    return;
  }
  if (last === undefined) response.flushHeaders();
  else response.write(last);
  body?.destroy();
  const leave = () => {
    cancel();
    request.off("end", leave);
    response.end();
    if (response.writableLength > 0) watch(response, options);
  };
  const cancel = options.clock.after(lingerMs, leave);
  response.on("close", cancel);
  request.on("data", () => {});
  request.on("end", leave);
  request.resume();
}

/** Bytes up to which a body is sent in one piece with the head. */
const onePieceBytes = 12 * 1024;

function end(response: ExchangeResponse, last: Uint8Array | undefined): void {
  if (last === undefined) response.end();
  // As a text of single bytes (which latin1 is, in both directions) Node joins it to the head and writes both in one system call
  // from the stack; as bytes it would gather two buffers, which costs 4 µs more.
  else if (last.byteLength <= onePieceBytes && Buffer.isBuffer(last))
    response.end(last.toString("latin1"), "latin1");
  else response.end(last);
}

function pairs(list: readonly string[]): [string, string][] {
  const all: [string, string][] = [];
  for (let index = 0; index + 1 < list.length; index += 2)
    all.push([list[index]!, list[index + 1]!]);
  return all;
}
