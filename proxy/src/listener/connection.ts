import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { unmapped } from "@tocsin/shared/contract";
import type { Gate } from "../pipeline/gate.ts";
import { Deadline } from "../upstream/deadlines.ts";
import { forwardedNode } from "../upstream/request-headers.ts";
import type { Origin } from "../upstream/request-headers.ts";
import type { ExchangeResponse } from "./response.ts";

/**
 * One connection from a client. What is the same for all of its requests is found out once.
 *
 * It is itself the wait for its next request, and at the end the wait for the other side to close.
 */
export class Connection extends Deadline {
  readonly socket: Socket;
  readonly address: string;
  /** A Host that was found in order. */
  host: string | undefined = undefined;
  /** Exchanges that are not over. */
  active = 0;
  /** No request has come on it yet. */
  fresh = true;
  /** The response to the newest request. */
  newest: ExchangeResponse | undefined = undefined;
  /** Nothing that comes on it is served any more: what came was refused, or could not be read as a request. */
  closing = false;
  /** The last request that asked for another protocol and is served as a plain one. */
  plain: IncomingMessage | undefined = undefined;
  /** Bytes that had come when it was idle the last time. */
  bytesBefore = 0;
  /** Sent when the exchanges that came before it are over. */
  farewell: string | undefined = undefined;
  #gate: Gate | undefined = undefined;
  #origin: Origin | undefined = undefined;

  constructor(socket: Socket) {
    super();
    this.socket = socket;
    this.address = unmapped(socket.remoteAddress ?? "");
  }

  /** It was idle for long enough, or closed by us alone for long enough. */
  expire(): void {
    if (this.closing) this.socket.destroy();
    else this.socket.destroySoon();
  }

  /** The peer as requests under this config meet it. */
  origin(gate: Gate): Origin {
    if (this.#origin === undefined || this.#gate !== gate) {
      const { address } = this;
      this.#gate = gate;
      // A socket that is already closed has no address any more; nobody believes it.
      this.#origin = {
        address,
        trusted: address !== "" && gate.trusts(address),
        forwardedNode: forwardedNode(address === "" ? "unknown" : address),
      };
    }
    return this.#origin;
  }
}
