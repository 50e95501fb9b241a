import { Aborted } from "@tocsin/shared";
import type { Clock, Milliseconds } from "@tocsin/shared";
import { Deadline } from "../upstream/deadlines.ts";
import type { Deadlines } from "../upstream/deadlines.ts";
import type { ExchangeResponse } from "./response.ts";
import { leastBytes } from "./upload.ts";

/** How often it is looked at whether the client takes what is ready, in milliseconds. */
const checkMs: Milliseconds = 1_000;

export interface OutflowOptions {
  readonly clock: Clock;
  readonly deadlines: Deadlines;
}

/**
 * Watches that a client takes what is ready for it: within each `writeTimeout` 1 KiB or all of it, else the connection is cut.
 *
 * There is one only for a reply that the system did not take at once.
 */
export class Outflow extends Deadline {
  readonly #response: ExchangeResponse;
  readonly #options: OutflowOptions;
  /** When enough was taken the last time. */
  #since: Milliseconds = 0;
  /** Bytes that were taken since then. */
  #taken = 0;
  #whole = 0;
  #queued = 0;

  constructor(response: ExchangeResponse, options: OutflowOptions) {
    super();
    this.#response = response;
    this.#options = options;
  }

  /** Begins to watch. Nothing happens when it does already. */
  watch(): void {
    if (this.row !== undefined) return;
    this.#look();
    this.#begin(this.#options.clock.monotonic());
    this.#next();
  }

  stop(): void {
    this.#options.deadlines.stop(this);
  }

  expire(): void {
    const response = this.#response;
    if (response.destroyed || response.writableLength === 0) return;
    const now = this.#options.clock.monotonic();
    // Behind the reply to an earlier request on the connection, which is watched itself.
    if (response.socket === null) this.#begin(now);
    else {
      this.#look();
      if (this.#taken >= leastBytes) this.#begin(now);
    }
    if (now - this.#since >= response.writeTimeoutMs) {
      response.exchange!.aborted ??= new Aborted("deadline");
      response.destroy();
    } else this.#next();
  }

  #begin(now: Milliseconds): void {
    this.#since = now;
    this.#taken = 0;
  }

  /** Adds what was taken since the last look: whole writes, and what the system has taken of the one that it is at. */
  #look(): void {
    const { socket } = this.#response;
    if (socket === null) return;
    const whole = socket.bytesWritten - socket.writableLength;
    const queued = queueOf(socket);
    this.#taken += whole === this.#whole ? Math.max(0, this.#queued - queued) : whole - this.#whole;
    this.#whole = whole;
    this.#queued = queued;
  }

  #next(): void {
    this.#options.deadlines.start(this, Math.min(checkMs, this.#response.writeTimeoutMs));
  }
}

/**
 * Bytes of the present write that the system has not taken. Only Node's handle knows; its own socket timeouts look there too. Where it
 * does not say, progress shows when a write is whole.
 */
export function queueOf(socket: object): number {
  const { _handle: handle } = socket as { _handle?: { writeQueueSize?: number } | null };
  return handle?.writeQueueSize ?? 0;
}
