import type { Socket } from "node:net";
import type { Clock } from "@tocsin/shared";
import type { Exchange } from "../pipeline/exchange.ts";
import type { Reply } from "../pipeline/reply.ts";
import type { Principal } from "../identity/principal.ts";
import { goingAway } from "../streams/streams.ts";
import type { Stream, StreamEnd, Streams } from "../streams/streams.ts";
import { Deadline } from "../upstream/deadlines.ts";
import type { Deadlines } from "../upstream/deadlines.ts";
import type { Switched } from "../upstream/switching.ts";
import { Frames } from "../websocket/frames.ts";
import type { FrameFault } from "../websocket/frames.ts";
import { Pass } from "./pass.ts";
import type { PassOwner } from "./pass.ts";
import type { ExchangeResponse } from "./response.ts";
import { noteEnd } from "./stream-end.ts";

/** How long both sides may take to close, once the end was said, in milliseconds. */
const closingMs = 2_000;
/** How long one side may be silent when the other has ended without a close frame, in milliseconds. */
const lingerMs = 2_000;

/** Codes of close frames (RFC 6455 §7.4.1). */
const codes = { "protocol-error": 1002, "message-too-large": 1009 } as const;

export interface TunnelOptions {
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  readonly streams: Streams;
}

/**
 * An open WebSocket: bytes pass both ways as they are, until either side, a limit or somebody from outside ends it.
 *
 * It is itself the wait for the end of a silence, and then for both sides to close.
 */
export class Tunnel extends Deadline implements Stream, PassOwner {
  readonly kind = "websocket";
  readonly requestId: string;
  readonly principal: Principal | undefined;
  readonly clientAddress: string;
  readonly route: string;
  readonly service: string;
  readonly instance: string | undefined;
  readonly #exchange: Exchange;
  readonly #response: ExchangeResponse;
  readonly #switched: Switched;
  readonly #options: TunnelOptions;
  readonly #lifetime: Lifetime;
  readonly #up: Pass;
  readonly #down: Pass;
  /** Why it ends; undefined: it does not. */
  #end: StreamEnd | undefined = undefined;
  /** Whose connection ended first without a word. */
  #gone: StreamEnd | undefined = undefined;
  #over = false;

  constructor(
    response: ExchangeResponse,
    client: Socket,
    switched: Switched,
    options: TunnelOptions,
  ) {
    super();
    const exchange = response.exchange!;
    this.#exchange = exchange;
    this.#response = response;
    this.#switched = switched;
    this.#options = options;
    this.requestId = exchange.id;
    this.principal = exchange.principal;
    this.clientAddress = exchange.clientAddress;
    this.route = exchange.route!.id;
    this.service = exchange.service;
    this.instance = exchange.instance;
    this.#lifetime = new Lifetime(this);
    const { deadlines } = options;
    const { writeTimeoutMs } = response;
    const { maxMessage: maxMessageBytes } = exchange.route!.websocket!;
    const { extended } = exchange.switching!;
    const upstream = switched.socket;
    // Either side may end its direction alone.
    upstream.allowHalfOpen = true;
    this.#up = new Pass(client, upstream, this, {
      frames: new Frames({ masked: true, extended, maxMessageBytes }),
      toServer: true,
      writeTimeoutMs,
      deadlines,
    });
    this.#down = new Pass(upstream, client, this, {
      frames: new Frames({ masked: false, extended, maxMessageBytes }),
      toServer: false,
      writeTimeoutMs,
      deadlines,
    });
  }

  /** Answers the handshake and begins. @param early what the client sent before it had the answer */
  start(headers: readonly string[], early: Buffer): void {
    const { deadlines, streams } = this.#options;
    const { idle, maxLifetime } = this.#exchange.route!.websocket!;
    this.#down.to.write(headText(headers, this.requestId), "latin1");
    deadlines.start(this, idle);
    deadlines.start(this.#lifetime, maxLifetime);
    streams.opened(this);
    this.#down.start(this.#switched.first);
    this.#up.start(early);
  }

  /** Says the end to both sides; then they have two seconds. */
  close(code: number, reason: StreamEnd): void {
    if (this.#end !== undefined) return;
    this.#ending(reason);
    this.#up.close(code, reason);
    this.#down.close(code, reason);
  }

  /** It was silent for too long; or the sides had time to close, and did not. */
  expire(): void {
    if (this.#end === undefined && this.#gone === undefined) return this.close(goingAway, "idle");
    cut(this.#up.from);
    cut(this.#down.from);
  }

  // ---- what the two directions say

  heard(): void {
    if (this.#end !== undefined) return;
    const { idle } = this.#exchange.route!.websocket!;
    this.#options.deadlines.start(this, this.#gone === undefined ? idle : lingerMs);
  }

  closePassed(): void {
    if (this.#end !== undefined || !this.#up.closed || !this.#down.closed) return;
    // Both have said it: RFC 6455 §7.1.1 has the server close first, which is what we are to the client.
    this.#ending("closed");
    this.#up.close(0, "closed");
    this.#down.close(0, "closed");
  }

  faulty(fault: FrameFault): void {
    this.close(codes[fault], fault);
  }

  stalled(): void {
    if (this.#end !== undefined) return;
    this.#ending("stalled");
    this.expire();
  }

  ended(pass: Pass): void {
    this.#gone ??= pass === this.#up ? "client-gone" : "upstream-gone";
    // What the other side still has to say may pass; but nobody holds a connection by saying nothing on the rest of it.
    this.heard();
  }

  lost(pass: Pass): void {
    const other = pass === this.#up ? this.#down : this.#up;
    if (!pass.over) {
      this.ended(pass);
      // In the middle: the other side must see that, too.
      if (this.#end === undefined) cut(other.from);
      else other.from.destroySoon();
    }
    if (this.#over || !other.from.destroyed) return;
    this.#over = true;
    this.#finish();
  }

  #ending(reason: StreamEnd): void {
    this.#end = reason;
    this.#options.deadlines.stop(this.#lifetime);
    this.#options.deadlines.start(this, closingMs);
  }

  #finish(): void {
    const { deadlines, streams } = this.#options;
    deadlines.stop(this);
    deadlines.stop(this.#lifetime);
    const said = this.#up.closed || this.#down.closed;
    const end = this.#end ?? (said ? "closed" : (this.#gone ?? "client-gone"));
    const exchange = this.#exchange;
    exchange.bytesIn = this.#up.bytes;
    exchange.bytesOut = this.#down.bytes;
    noteEnd(exchange, end);
    streams.ended(this, end);
    this.#response.emit("close");
  }
}

/** The longest life of a tunnel. */
class Lifetime extends Deadline {
  readonly #tunnel: Tunnel;
  constructor(tunnel: Tunnel) {
    super();
    this.#tunnel = tunnel;
  }
  expire(): void {
    this.#tunnel.close(goingAway, "lifetime");
  }
}

/** Goes on with a reply of 101 in the other protocol. */
export function openTunnel(
  response: ExchangeResponse,
  { headers }: Reply,
  switched: Switched,
  options: TunnelOptions,
): void {
  const { upgrade } = response;
  // Gone while the service answered.
  if (upgrade === undefined || upgrade.socket.destroyed) {
    cut(switched.socket);
    return;
  }
  const exchange = response.exchange!;
  exchange.status = 101;
  exchange.repliedAt = options.clock.monotonic();
  response.switched = true;
  const early = upgrade.release();
  const tunnel = new Tunnel(response, upgrade.socket, switched, options);
  response.stream = tunnel;
  tunnel.start(headers, early);
}

/** The fields of the service's answer, then ours (RFC 9110 §7.8). */
function headText(headers: readonly string[], requestId: string): string {
  let text = "HTTP/1.1 101 Switching Protocols\r\n";
  for (let index = 0; index + 1 < headers.length; index += 2)
    text += `${headers[index]}: ${headers[index + 1]}\r\n`;
  return `${text}Upgrade: websocket\r\nConnection: Upgrade\r\nX-Request-ID: ${requestId}\r\n\r\n`;
}

/** Closes at once, by a reset where that is possible: nobody may take it for a proper end. */
function cut(socket: Socket): void {
  if (socket.destroyed) return;
  if ("encrypted" in socket) socket.destroy();
  else socket.resetAndDestroy();
}
