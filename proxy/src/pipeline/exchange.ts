import type { Readable } from "node:stream";
import type { Aborted, Milliseconds, Refusal } from "@tocsin/shared";
import type { Principal } from "../identity/principal.ts";
import type { Route } from "../routing/route.ts";
import type { Origin } from "../upstream/request-headers.ts";
import type { RequestHead } from "../upstream/request-head.ts";
import type { Seat } from "../websocket/census.ts";
import type { Handshake } from "../websocket/handshake.ts";

/**
 * One request and its reply on the way through.
 *
 * There is one object for all stages, and all of its fields exist from the start, so that the engine keeps one hidden class for it.
 * What is known about it is said by the types: a stage takes a {@link Received} and passes on a {@link Routed}.
 */
export class Exchange {
  /** Names this exchange in logs, at the upstream and to the client. 1 to 64 characters of `A-Za-z0-9_-`. */
  readonly id: string;
  readonly method: string;
  /** Path and query as they are matched and sent. */
  target = "/";
  /** The path alone. */
  path = "/";
  /** Other readings of an ambiguous path; the route must be the same for each. */
  variants: readonly string[] | undefined = undefined;
  /** Readings by a server that does not mind the case of letters; none may lead where more is asked for. */
  caseless: readonly string[] | undefined = undefined;
  readonly head: RequestHead;
  /** The peer, and whether it is believed. */
  readonly origin: Origin;
  /** Whom we take for the client: the peer, or whom trusted peers name. */
  readonly clientAddress: string;
  /** W3C Trace Context for the upstream: the client's when it is valid, else a fresh one. */
  readonly traceparent: string;
  /** The request body; undefined when there is none. */
  body: Readable | undefined = undefined;
  /** All of the body, when its route depended on it: {@link body} is then read to its end, and these bytes are sent. */
  bytes: Uint8Array | undefined = undefined;
  /** What the client wants to go on with on its connection: a WebSocket. Undefined: nothing, or the route does not take it. */
  switching: Handshake | undefined = undefined;
  /** The place that it has among the WebSockets of whom it speaks for; given back when it is over. */
  seat: Seat | undefined = undefined;
  /** What is wrong with the request by itself; `match` throws it, so that it takes the way of every refusal. */
  fault: Refusal | undefined = undefined;

  route: Route | undefined = undefined;
  principal: Principal | undefined = undefined;
  permitted = false;
  /** Which service it is sent to; empty: none yet. */
  service = "";
  /** Which instance of the service has it. */
  instance: string | undefined = undefined;

  /** Times on the monotonic clock, in milliseconds; 0: not yet. */
  readonly receivedAt: Milliseconds;
  forwardedAt: Milliseconds = 0;
  answeredAt: Milliseconds = 0;
  repliedAt: Milliseconds = 0;

  /** Body bytes. */
  bytesIn = 0;
  bytesOut = 0;
  /** The status of the reply; 0: not yet. */
  status = 0;
  /** The code of the refusal, when that is the reply. */
  code: string | undefined = undefined;
  /** Why it ended before its time. */
  aborted: Aborted | undefined = undefined;

  /** What ends the exchange with the upstream from outside. Set when there is one. */
  delivery: { abort(reason: Error): void } | undefined = undefined;
  /** Takes interim answers on to the client. Set by the listener. */
  informant: { inform(status: number, headers: string[]): void } | undefined = undefined;
  /** Called once when the last byte of the reply is handed over, or never will be. Set by `observe`. */
  over: ((exchange: Exchange) => void) | undefined = undefined;

  constructor(
    id: string,
    method: string,
    head: RequestHead,
    origin: Origin,
    clientAddress: string,
    traceparent: string,
    receivedAt: Milliseconds,
  ) {
    this.id = id;
    this.method = method;
    this.head = head;
    this.origin = origin;
    this.clientAddress = clientAddress;
    this.traceparent = traceparent;
    this.receivedAt = receivedAt;
  }
}

declare const stage: unique symbol;

/** A request whose head was read. */
export type Received = Exchange;
/** It is known which route it takes. */
export type Routed = Received & {
  readonly route: Route;
  readonly [stage]: { readonly routed: true };
};
/** It is known whom it speaks for. */
export type Identified = Routed & {
  readonly principal: Principal;
  readonly [stage]: { readonly identified: true };
};
/** The principal may do this. Only `authorize` makes one. */
export type Permitted = Identified & {
  readonly permitted: true;
  readonly [stage]: { readonly permitted: true };
};

/** These three are the only places where an exchange becomes more than it was. */
export function routed(exchange: Received, route: Route): Routed {
  exchange.route = route;
  return exchange as Routed;
}

export function identified(exchange: Routed, principal: Principal): Identified {
  (exchange as Exchange).principal = principal;
  return exchange as Identified;
}

export function permitted(exchange: Identified): Permitted {
  (exchange as Exchange).permitted = true;
  return exchange as Permitted;
}
