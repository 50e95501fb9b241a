import type { Milliseconds } from "@tocsin/shared";
import type { Readable } from "node:stream";
import type { Hashable } from "./balance/hash-key.ts";
import type { Switching } from "./switching.ts";

/** A request for a service, and what becomes known about it on the way. */
export interface Call extends Hashable {
  readonly method: string;
  /** Path and query as they are sent. */
  readonly target: string;
  /** The request body; undefined when the request has none. */
  readonly body: Readable | undefined;
  /** The whole body, once it was read to its end: it is sent instead, as often as need be. */
  bytes: Uint8Array | undefined;
  /** What an answer of 101 must fit, when the request asks for another protocol. */
  readonly switching: Switching | undefined;
  /** Set to the service that has the request, when that is another one than it was meant for. */
  service: string;
  /** Set to the instance that has the request. */
  instance: string | undefined;
  /** Set to when the headers of the answer came, or it was clear that none will; on the monotonic clock. */
  answeredAt: Milliseconds;
  /** Takes interim answers (RFC 9110 §15.2) on to the client. Undefined: nobody does. */
  readonly informant: { inform(status: number, headers: string[]): void } | undefined;
  /** Set to what ends the exchange with the upstream from outside. */
  delivery: { abort(reason: Error): void } | undefined;
}

/**
 * Whether all of a request can be sent: its body was kept, or nothing was ever sent, and so nobody reads it.
 *
 * @param sent something of it may have reached an instance
 */
export function isWhole({ body, bytes }: Call, sent: boolean): boolean {
  return body === undefined || bytes !== undefined || !(sent || body.destroyed);
}
