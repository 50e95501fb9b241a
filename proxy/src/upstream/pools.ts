import type { Milliseconds } from "@tocsin/shared";
import { buildConnector, errors, Pool } from "undici";
import type { UpstreamInstance } from "./instances.ts";

/** Connections to one instance at a time, per proxy. More requests wait for one, at most their connect timeout. */
const connectionsPerInstance = 256;
/** Idle connections are closed after this, in milliseconds, unless the instance says something shorter (`Keep-Alive: timeout`). */
const keepAliveMs = 4_000;
/** An answer's header section may have this many bytes. */
const maxHeaderBytes = 64 * 1024;

/** No connection came about, so nothing was sent. */
export class ConnectFailure extends Error {
  override readonly name = "ConnectFailure";
}

/** Connections whose instance had answered on them before they failed: it closed an idle connection just as we used it. */
const failedInUse = new WeakSet<Error>();

/** Whether an error means that a kept-alive connection turned out closed. */
export function isStaleConnection(error: Error): boolean {
  return (
    failedInUse.has(error) ||
    (error instanceof errors.SocketError && (error.socket?.bytesRead ?? 0) > 0)
  );
}

/** Connection pools, one for each life of an instance. */
export class Pools implements AsyncDisposable {
  readonly #pools = new Map<string, Pool>();
  readonly #closing = new Set<Promise<void>>();

  /** @param connectTimeoutMs when the operating system's attempt is given up; used when the pool is new */
  of(instance: UpstreamInstance, connectTimeoutMs: Milliseconds): Pool {
    let pool = this.#pools.get(instance.key);
    if (pool === undefined) {
      pool = open(instance, connectTimeoutMs);
      this.#pools.set(instance.key, pool);
    }
    return pool;
  }

  /** Closes the pools of instances that are gone; what is in flight finishes. */
  keep(isKnown: (key: string) => boolean): void {
    for (const [key, pool] of this.#pools) {
      if (isKnown(key)) continue;
      this.#pools.delete(key);
      const closing: Promise<void> = pool
        .close()
        .catch(() => {})
        .finally(() => this.#closing.delete(closing));
      this.#closing.add(closing);
    }
  }

  /** How many pools are open. */
  get size(): number {
    return this.#pools.size;
  }

  /** Breaks off what is in flight. */
  async [Symbol.asyncDispose](): Promise<void> {
    const pools = [...this.#pools.values()];
    this.#pools.clear();
    await Promise.all(pools.map((pool) => pool.destroy()));
  }
}

function open(instance: UpstreamInstance, connectTimeoutMs: Milliseconds): Pool {
  const connect = buildConnector({ timeout: connectTimeoutMs, allowH2: false });
  const pool = new Pool(instance.url, {
    connections: connectionsPerInstance,
    pipelining: 1,
    allowH2: false,
    keepAliveTimeout: keepAliveMs,
    maxHeaderSize: maxHeaderBytes,
    // Waits are ours (deadlines.ts): undici's timers are exact to about half a second.
    headersTimeout: 0,
    bodyTimeout: 0,
    connect(options, callback) {
      // To the address that was checked at registration, whatever the name resolves to now. `host` stays, and with it the Host
      // field and the server name in TLS.
      const hostname = instance.address ?? options.hostname;
      connect({ ...options, hostname }, (...[error, socket]) => {
        if (error !== null)
          return callback(new ConnectFailure("connecting failed", { cause: error }), null);
        socket.on("error", (broken: Error) => {
          if (socket.bytesRead > 0) failedInUse.add(broken);
        });
        callback(null, socket);
      });
    },
  });
  // Without a listener such an event would end the process; the request that it hit hears of it by its handler.
  pool.on("error" as "drain", () => {});
  return pool;
}
