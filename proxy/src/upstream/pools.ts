import type { Clock } from "@tocsin/shared";
import type { Deadlines } from "./deadlines.ts";
import { ConnectionLost } from "./http1/connection.ts";
import { Pool } from "./http1/pool.ts";
import type { UpstreamInstance } from "./instances.ts";
import { Line } from "./switching.ts";

export { ConnectFailure } from "./dial.ts";

/** Whether an error means that a kept-alive connection turned out closed. */
export function isStaleConnection(error: Error): boolean {
  return error instanceof ConnectionLost && error.stale;
}

/** Connection pools, one for each life of an instance. */
export class Pools implements AsyncDisposable {
  readonly #clock: Clock;
  readonly #deadlines: Deadlines;
  readonly #pools = new Map<string, Pool>();
  /** Pools of instances that are gone, while something is in flight there. */
  readonly #closing = new Set<Pool>();
  /** Connections for one request each, by the key of their instance. */
  readonly #lines = new Map<string, Set<Line>>();

  constructor(clock: Clock, deadlines: Deadlines) {
    this.#clock = clock;
    this.#deadlines = deadlines;
  }

  of(instance: UpstreamInstance): Pool {
    let pool = this.#pools.get(instance.key);
    if (pool === undefined) {
      pool = new Pool(instance, this.#clock, this.#deadlines);
      this.#pools.set(instance.key, pool);
    }
    return pool;
  }

  /** A connection of its own, for one request that may go on in another protocol. */
  line(instance: UpstreamInstance): Line {
    let lines = this.#lines.get(instance.key);
    if (lines === undefined) this.#lines.set(instance.key, (lines = new Set()));
    return new Line(instance, this.#clock, lines);
  }

  /** Closes the pools of instances that are gone; what is in flight finishes. */
  keep(isKnown: (key: string) => boolean): void {
    for (const [key, pool] of this.#pools) {
      if (isKnown(key)) continue;
      this.#pools.delete(key);
      this.#closing.add(pool);
      void pool.close().then(() => this.#closing.delete(pool));
    }
    for (const [key, lines] of this.#lines)
      if (lines.size === 0 && !isKnown(key)) this.#lines.delete(key);
  }

  /** Requests that an instance has in flight, and what goes on there in another protocol. */
  busy({ key }: UpstreamInstance): number {
    return (this.#pools.get(key)?.busy ?? 0) + (this.#lines.get(key)?.size ?? 0);
  }

  /** How many pools are open. */
  get size(): number {
    return this.#pools.size;
  }

  /** Breaks off what is in flight. */
  async [Symbol.asyncDispose](): Promise<void> {
    const pools = [...this.#pools.values(), ...this.#closing];
    this.#pools.clear();
    this.#closing.clear();
    for (const pool of pools) pool.destroy();
    for (const lines of this.#lines.values()) for (const line of lines) line.destroy();
  }
}
