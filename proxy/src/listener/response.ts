import { ServerResponse } from "node:http";
import type { Milliseconds } from "@tocsin/shared";
import type { Exchange } from "../pipeline/exchange.ts";
import type { Stream } from "../streams/streams.ts";
import type { Connection } from "./connection.ts";
import type { Outflow } from "./outflow.ts";
import type { Upgrade } from "./upgrade.ts";

/** Node's response, knowing which exchange it belongs to: no closure is made for that. */
export class ExchangeResponse extends ServerResponse {
  exchange: Exchange | undefined = undefined;
  connectionState: Connection | undefined = undefined;
  /** How long the client may take nothing of what is ready for it. */
  writeTimeoutMs: Milliseconds = 60_000;
  /** The request may become a WebSocket: the connection is the parser's no more. */
  upgrade: Upgrade | undefined = undefined;
  /** It has become one. */
  switched = false;
  /** What it has become, when that ends in its own way: a WebSocket or an event stream. */
  stream: Stream | undefined = undefined;
  /** Watches that; there is one when the client did not take everything at once. */
  outflow: Outflow | undefined = undefined;

  /** What begins the exchange, while it has not begun. */
  #held: (() => void) | undefined = undefined;
  /** The exchange will never begin: its body cannot be read. */
  abandoned = false;

  get held(): boolean {
    return this.#held !== undefined;
  }

  /**
   * Begins an exchange when everything was read that came in one piece with the head of the request. When that shows that the request
   * is malformed, the upstream sees nothing of it.
   */
  hold(begin: () => void): void {
    this.#held = begin;
    setImmediate(() => this.release());
  }

  /** Begins the exchange now, when it is held. */
  release(): void {
    const begin = this.#held;
    this.#held = undefined;
    if (begin !== undefined && !this.destroyed) begin();
  }

  /** Gives an exchange up that is held. */
  abandon(): void {
    this.#held = undefined;
    this.abandoned = true;
  }

  /** Passes an interim answer on (RFC 9110 §15.2), unless the final one has begun or the client is too old to know of such. */
  inform(status: number, headers: string[]): void {
    if (this.headersSent || this.destroyed || this.req.httpVersionMinor === 0) return;
    this.writeInformation(status, headers);
  }
}
