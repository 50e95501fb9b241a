import type { Socket } from "node:net";
import type { Cancel, Clock, Milliseconds } from "@tocsin/shared";
import { ConnectFailure, dial } from "./dial.ts";
import { Connection } from "./http1/connection.ts";
import type { ConnectionOwner } from "./http1/connection.ts";
import type { Waiting } from "./http1/pool.ts";
import type { UpstreamInstance } from "./instances.ts";

/** A request to go on in another protocol on the same connection (RFC 9110 §7.8). */
export interface Switching {
  /** @returns what is wrong with an answer of 101; undefined: from here on the other protocol is spoken */
  accepts(answer: {
    readonly connection: string | undefined;
    readonly upgrade: string | undefined;
    readonly passing: readonly string[];
  }): string | undefined;
}

/** A connection to an instance that has left HTTP. */
export interface Switched {
  /** It is paused, and nobody listens to it. */
  readonly socket: Socket;
  /** Bytes that came behind the answer. */
  readonly first: Buffer;
}

/** Where the connection for a request comes from that may switch: its own, because it does not come back. */
export class Line implements ConnectionOwner {
  readonly #instance: UpstreamInstance;
  readonly #clock: Clock;
  readonly #opened: Set<Line>;
  #cancel: Cancel | undefined = undefined;
  #waiting: Waiting | undefined = undefined;
  #connection: Connection | undefined = undefined;
  /** `Host` of the request. */
  readonly host: string;

  /** @param opened it is in there while it has something open, in whatever protocol */
  constructor(instance: UpstreamInstance, clock: Clock, opened: Set<Line>) {
    this.#instance = instance;
    this.#clock = clock;
    this.#opened = opened;
    this.host = new URL(instance.url).host;
  }

  /** None is left over from earlier. */
  takeIdle(): undefined {
    return undefined;
  }

  wait(waiting: Waiting, timeoutMs: Milliseconds): void {
    this.#waiting = waiting;
    this.#opened.add(this);
    this.#cancel = dial(this.#instance, timeoutMs, this.#clock, (outcome) => {
      this.#cancel = this.#waiting = undefined;
      if (outcome instanceof Error) {
        this.#opened.delete(this);
        return waiting.notConnected(outcome);
      }
      outcome.once("close", () => this.#opened.delete(this));
      this.#connection = new Connection(outcome, this);
      waiting.connected(this.#connection);
    });
  }

  forget(_waiting: Waiting): void {
    this.#cancel?.();
    this.#cancel = this.#waiting = undefined;
    this.#opened.delete(this);
  }

  free(connection: Connection): void {
    connection.destroy();
  }

  gone(_connection: Connection): void {
    // Closed, or switched; the socket tells when it is over.
  }

  /** Breaks off what is in flight. */
  destroy(): void {
    const waiting = this.#waiting;
    if (waiting !== undefined) {
      this.forget(waiting);
      waiting.notConnected(new ConnectFailure("the connection was shut down"));
    }
    this.#connection?.break();
  }
}
