import type { Cancel, Clock, Milliseconds } from "@tocsin/shared";
import type { Deadlines } from "../deadlines.ts";
import { ConnectFailure, dial } from "../dial.ts";
import type { UpstreamInstance } from "../instances.ts";
import { Connection } from "./connection.ts";
import type { ConnectionOwner } from "./connection.ts";

/**
 * Connections to one instance at a time, per proxy. More requests wait for one, at most their connect timeout. Slow clients and streams
 * hold one each, so that a lower bound would let a few hundred of them keep everybody else out.
 */
const connectionsAtMost = 16_384;
/** Connections that are being made at a time, so that a crowd does not overrun what the instance's system holds for it to accept. */
const dialingAtMost = 128;
/** Idle connections are closed after this, in milliseconds, unless the instance says something shorter (`Keep-Alive: timeout`). */
const idleMs: Milliseconds = 4_000;
/** An instance that says how long it waits is believed this much less: the request must still arrive in time. */
const marginMs: Milliseconds = 1_000;

/** Who wants a connection. */
export interface Waiting {
  /** Called once, unless it was forgotten before. */
  connected(connection: Connection): void;
  notConnected(failure: ConnectFailure): void;
}

/** Connections to one life of an instance; the one that was used last is used next, so that those too many become idle and end. */
export class Pool implements ConnectionOwner {
  readonly #instance: UpstreamInstance;
  readonly #clock: Clock;
  readonly #deadlines: Deadlines;
  /** `Host` of the requests. */
  readonly host: string;
  readonly #open = new Set<Connection>();
  readonly #idle: Connection[] = [];
  readonly #dialing = new Set<Cancel>();
  /** In order; nearly always empty. */
  readonly #waiting: Waiting[] = [];
  #closing: (() => void) | undefined = undefined;

  constructor(instance: UpstreamInstance, clock: Clock, deadlines: Deadlines) {
    this.#instance = instance;
    this.#clock = clock;
    this.#deadlines = deadlines;
    this.host = new URL(instance.url).host;
  }

  /** Connections that are open. */
  get size(): number {
    return this.#open.size;
  }

  /** Requests that have a connection, or wait for one. */
  get busy(): number {
    return this.#open.size - this.#idle.length + this.#waiting.length;
  }

  /** A connection that is idle now, or undefined. */
  takeIdle(): Connection | undefined {
    for (let free = this.#idle.pop(); free !== undefined; free = this.#idle.pop()) {
      this.#deadlines.stop(free);
      if (free.usable) return free;
      free.destroy();
    }
    return undefined;
  }

  /** Hands over a connection when there is one. Ask for an idle one first. */
  wait(waiting: Waiting, timeoutMs: Milliseconds): void {
    this.#waiting.push(waiting);
    if (this.#mayDial()) this.#dial(timeoutMs);
  }

  /** It is not wanted any more. */
  forget(waiting: Waiting): void {
    const index = this.#waiting.indexOf(waiting);
    if (index !== -1) this.#waiting.splice(index, 1);
  }

  free(connection: Connection): void {
    const next = this.#waiting.shift();
    if (next !== undefined) return next.connected(connection);
    const { hintSeconds } = connection;
    const lifeMs =
      hintSeconds === undefined ? idleMs : Math.min(idleMs, hintSeconds * 1_000 - marginMs);
    if (this.#closing !== undefined || lifeMs <= 0) return connection.destroy();
    this.#idle.push(connection);
    this.#deadlines.start(connection, lifeMs);
  }

  gone(connection: Connection): void {
    this.#open.delete(connection);
    this.#deadlines.stop(connection);
    const index = this.#idle.indexOf(connection);
    if (index !== -1) this.#idle.splice(index, 1);
    this.#makeUp();
  }

  /** Ends it: idle connections now, others when what is in flight is over. */
  close(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#closing = resolve;
    for (const connection of this.#idle.splice(0)) connection.destroy();
    this.#settle();
    return promise;
  }

  /** Breaks off what is in flight. */
  destroy(): void {
    for (const cancel of this.#dialing) cancel();
    this.#dialing.clear();
    for (const waiting of this.#waiting.splice(0))
      waiting.notConnected(new ConnectFailure("the pool was shut down"));
    for (const connection of this.#open) connection.break();
  }

  #lastTimeoutMs: Milliseconds = 1_000;

  #dial(timeoutMs: Milliseconds): void {
    this.#lastTimeoutMs = timeoutMs;
    const cancel = dial(this.#instance, timeoutMs, this.#clock, (outcome) => {
      this.#dialing.delete(cancel);
      if (outcome instanceof Error) {
        this.#waiting.shift()?.notConnected(outcome);
        return this.#makeUp();
      }
      const connection = new Connection(outcome, this);
      this.#open.add(connection);
      this.free(connection);
      this.#makeUp();
    });
    this.#dialing.add(cancel);
  }

  /** One connection or attempt less: somebody may still wait for one, because there were too many. */
  #makeUp(): void {
    if (this.#waiting.length > this.#dialing.size && this.#closing === undefined && this.#mayDial())
      this.#dial(this.#lastTimeoutMs);
    this.#settle();
  }

  #mayDial(): boolean {
    return (
      this.#dialing.size < dialingAtMost && this.#open.size + this.#dialing.size < connectionsAtMost
    );
  }

  #settle(): void {
    if (this.#open.size === 0 && this.#dialing.size === 0) this.#closing?.();
  }
}
