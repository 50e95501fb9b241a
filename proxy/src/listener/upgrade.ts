import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { Handshake, namesWebSocket } from "../websocket/handshake.ts";
import type { Exchange } from "../pipeline/exchange.ts";
import type { Connection } from "./connection.ts";
import { ExchangeResponse } from "./response.ts";

/** So much of what a client sends before it has an answer is kept; then it waits. */
const earlyBytes = 64 * 1024;

/**
 * Whether a request with `Connection: Upgrade` is one for a WebSocket (RFC 6455 §4.1). Everything else is served as a plain request, as
 * if it had asked for nothing (RFC 9110 §7.8): h2c above all, in which others behind us could find requests that we never saw.
 */
export function asksForWebSocket({ method, headers, httpVersionMinor }: IncomingMessage): boolean {
  const { upgrade, "content-length": length = "0" } = headers;
  return (
    method === "GET" &&
    httpVersionMinor === 1 &&
    upgrade !== undefined &&
    namesWebSocket(upgrade) &&
    // A body would stand where frames are expected.
    length === "0" &&
    headers["transfer-encoding"] === undefined
  );
}

/**
 * Whether Node's parser may have thrown bytes away. It does so with what came in one piece behind a request that asks for another
 * protocol, also when it is served as a plain one: half a request may be gone, and its rest would be taken for the next one.
 */
export function mayLackBytes({ plain: request, socket, bytesBefore }: Connection): boolean {
  if (request === undefined) return false;
  const { method = "", url = "", rawHeaders, headers } = request;
  // `GET /path HTTP/1.1`, the empty line, and each field as usual clients write it; of any other spelling nothing is known.
  let bytes = method.length + url.length + " ".length + " HTTP/1.1\r\n\r\n".length;
  for (let index = 0; index + 1 < rawHeaders.length; index += 2)
    bytes += rawHeaders[index]!.length + rawHeaders[index + 1]!.length + ": \r\n".length;
  return socket.bytesRead - bytesBefore !== bytes + Number(headers["content-length"] ?? 0);
}

/**
 * A connection that Node's parser has let go of, because its last request may become a WebSocket. Whatever the answer is, it is the
 * last one; it is written by the same means as all others.
 */
export class Upgrade {
  readonly socket: Socket;
  readonly response: ExchangeResponse;
  /** What came behind the request, until somebody takes it. */
  #early: Buffer[] = [];
  #bytes = 0;
  #answered = false;

  constructor(request: IncomingMessage, socket: Socket, first: Buffer) {
    this.socket = socket;
    const response = new ExchangeResponse(request);
    this.response = response;
    response.upgrade = this;
    response.shouldKeepAlive = false;
    response.assignSocket(socket);
    response.on("finish", this.#onFinish);
    socket.on("drain", this.#onDrain);
    socket.on("error", ignore);
    // Whoever says nothing more before there is an answer does not wait for one.
    socket.on("end", this.#onEnd);
    socket.on("data", this.#onData);
    if (first.length > 0) this.#onData(first);
  }

  /** This is its exchange, and the last one of the connection. */
  begin(exchange: Exchange, connection: Connection): void {
    // Only what goes on counts: a field that `Connection` names does not.
    exchange.switching = new Handshake(exchange.head.passing);
    // `Connection` names what is asked for, and nothing else.
    exchange.head.wantsTrailers = false;
    connection.closing = true;
    connection.farewell = "";
  }

  /** Gives the connection away, paused. @returns what came behind the request */
  release(): Buffer {
    const { socket } = this;
    socket.pause();
    socket.off("data", this.#onData);
    socket.off("end", this.#onEnd);
    socket.off("drain", this.#onDrain);
    socket.off("error", ignore);
    this.response.off("finish", this.#onFinish);
    this.response.detachSocket(socket);
    return Buffer.concat(this.#early);
  }

  readonly #onData = (bytes: Buffer): void => {
    // Behind an answer that is the last one nothing counts (RFC 9112 §9.6).
    if (this.#answered) return;
    this.#early.push(bytes);
    this.#bytes += bytes.length;
    if (this.#bytes > earlyBytes) this.socket.pause();
  };

  readonly #onEnd = (): void => void this.socket.destroy();
  readonly #onDrain = (): void => void this.response.emit("drain");

  /** Node's server does this for the answers to requests whose connection it has. */
  readonly #onFinish = (): void => {
    this.#answered = true;
    this.#early = [];
    this.socket.resume();
    this.response.detachSocket(this.socket);
    this.response.emit("close");
  };
}

function ignore(): void {
  // The end of the connection is what tells.
}
