/**
 * The connection to Redis: the one place that knows the client library.
 *
 * It is made for those who would rather have no answer than a late one. Nothing waits for a connection that is not there, nothing is
 * sent twice, and every question ends within its bound. The library's own defaults keep a request for as long as Redis is away.
 */
import { isIP } from "node:net";
import { Redis as Client } from "ioredis";
import { messageOf, once } from "../lifetime.ts";
import type { Log, Secret } from "../log.ts";
import type { Clock, Milliseconds, Random } from "../time.ts";
import { redisPlace } from "./place.ts";
import { RedisUnavailable } from "./unavailable.ts";

/** Name and arguments. */
export type Command = readonly [name: string, ...args: (string | number)[]];

export interface RedisOptions {
  /** `redis://` or `rediss://`, user, password and database in it or not. */
  readonly url: Secret;
  /** The longest wait for an answer, in milliseconds. */
  readonly timeoutMs: Milliseconds;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

export interface Redis extends AsyncDisposable {
  /** Host, port and database, for messages. */
  readonly place: string;
  /** Why it is not asked at the moment; undefined: it is. */
  readonly trouble: string | undefined;
  /**
   * Sends commands in one piece, and resolves with their answers in the same order. They are carried out one after the other, not as
   * one.
   *
   * @throws RedisUnavailable at once while there is no connection, within the bound when there is no answer, and when one of the
   * answers is an error
   */
  ask(...commands: readonly Command[]): Promise<readonly unknown[]>;
  /** Resolves when it can be asked. @throws the signal's reason when it aborts first */
  ready(signal?: AbortSignal): Promise<void>;
}

const notYet = "not connected yet";
const closed = "the connection was closed";

/** Longest pause between two attempts to connect. */
const retryAtMostMs: Milliseconds = 1_000;
const connectTimeoutMs: Milliseconds = 2_000;
/** A peer that is frozen does not take part in closing a connection. */
const farewellMs: Milliseconds = 100;

/** Connects, and goes on trying for as long as it takes. @throws TypeError when the URL is none of Redis */
export function connectRedis({ url, timeoutMs, clock, random, log }: RedisOptions): Redis {
  const at = redisPlace(url.reveal());
  if (at === undefined) throw new TypeError("not a redis:// or rediss:// URL");
  const place = `${at.host.includes(":") ? `[${at.host}]` : at.host}:${at.port}/${at.database}`;
  let trouble: string | undefined = notYet;
  let isReady = Promise.withResolvers<void>();

  const client = new Client({
    host: at.host,
    port: at.port,
    ...(at.username === undefined ? {} : { username: at.username }),
    ...(at.password === undefined ? {} : { password: at.password }),
    db: at.database,
    // An address is no server name (RFC 6066 §3); the certificate is held against it all the same.
    ...(at.isEncrypted ? { tls: isIP(at.host) === 0 ? { servername: at.host } : {} } : {}),
    // Answers look the same on every version; and not every proxy in front of a Redis knows `HELLO 3`.
    protocol: 2,
    disableClientInfo: true,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    connectTimeout: connectTimeoutMs,
    // Of the first words on a connection, which nobody else bounds.
    commandTimeout: connectTimeoutMs,
    disconnectTimeout: farewellMs,
    retryStrategy: (attempt) =>
      Math.min(retryAtMostMs, 25 * 2 ** Math.min(attempt, 6)) * (0.5 + random() / 2),
  });
  client.on("ready", () => {
    trouble = undefined;
    isReady.resolve();
    log.info({ redis: place }, "connected to Redis");
  });
  client.on("error", (error: Error) => lost(messageOf(error) || "cannot connect"));
  client.on("close", () => lost(closed));

  /** Told once, when it goes: what each further attempt says would fill the log. */
  function lost(why: string): void {
    if (trouble === undefined) isReady = Promise.withResolvers();
    if (trouble === undefined || trouble === notYet)
      log.warn({ redis: place, reason: why }, "no connection to Redis");
    // That it was closed says less than why.
    else if (why === closed) return;
    trouble = why;
  }

  /** Whoever says nothing is left: what it says later would be an answer to questions that nobody asks any more. */
  function silent(): RedisUnavailable {
    const why = `no answer within ${timeoutMs} ms`;
    if (trouble === undefined) {
      lost(why);
      client.disconnect(true);
    }
    return new RedisUnavailable(why);
  }

  return {
    place,
    get trouble() {
      return trouble;
    },
    async ask(...commands) {
      if (trouble !== undefined) throw new RedisUnavailable(trouble);
      const { promise: late, reject } = Promise.withResolvers<never>();
      const cancel = clock.after(timeoutMs, () => reject(silent()));
      try {
        const sent = client.pipeline();
        for (const [name, ...args] of commands) sent.call(name, ...args);
        const replies = (await Promise.race([sent.exec(), late])) ?? [];
        return replies.map(([error, reply]) => {
          if (error !== null) throw error;
          return reply;
        });
      } catch (error) {
        if (error instanceof RedisUnavailable) throw error;
        throw new RedisUnavailable(messageOf(error), { cause: error });
      } finally {
        cancel();
      }
    },
    async ready(signal) {
      signal?.throwIfAborted();
      const { promise: aborted, reject } = Promise.withResolvers<never>();
      const stop = () => reject(signal!.reason as Error);
      signal?.addEventListener("abort", stop, { once: true });
      try {
        await Promise.race([isReady.promise, aborted]);
      } finally {
        signal?.removeEventListener("abort", stop);
      }
    },
    [Symbol.asyncDispose]: once(async () => {
      trouble = "closed";
      const { status } = client;
      const ended = new Promise<void>((resolve) => {
        client.once("end", () => resolve());
        clock.after(2 * farewellMs, resolve);
      });
      client.disconnect();
      // Between two attempts there is no connection whose end could be heard of.
      if (status !== "end" && status !== "reconnecting") await ended;
    }),
  };
}
