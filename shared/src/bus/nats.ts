/**
 * The bus on NATS. One connection, which comes back by itself for as long as the bus lives.
 *
 * The library reconnects; this file adds what a gateway cannot do without: a bus that can be used before the first connection,
 * calls that end at once when the connection is away, subscribers that may throw, and a way out of a connection that is open and mute.
 */
import {
  connect,
  errors,
  type NatsConnection,
  type NodeConnectionOptions,
  type Subscription,
} from "@nats-io/transport-node";
import { messageOf, once } from "../lifetime.ts";
import type { Log } from "../log.ts";
import { sleep, type Clock, type Milliseconds } from "../time.ts";
import { AttemptWatch } from "./attempt-watch.ts";
import {
  BusUnavailable,
  type Bus,
  type BusState,
  type Headers,
  type Message,
  type RequestOptions,
} from "./bus.ts";
import { encode, NatsMessage } from "./nats-message.ts";
import { leaving, within } from "./patience.ts";
import { ask, refusal, type Pending } from "./nats-request.ts";
import { connectionOptions, type NatsOptions } from "./nats-options.ts";

export type { NatsAddress, NatsOptions, NatsRole } from "./nats-options.ts";
export type { NatsMessage } from "./nats-message.ts";

/** A bus whose answers are {@link NatsMessage}s. */
export interface NatsBus extends Bus {
  requestMany(
    subject: string,
    payload: string | Uint8Array,
    onMessage: (message: NatsMessage) => "more" | "done",
    options: RequestOptions,
  ): Promise<void>;
}

/** How long a subscription or a flush waits for the server before it fails, in milliseconds. */
const serverPatienceMs = 5_000;
/** How long a library call that should drop a connection may take before the connection is left behind, in milliseconds. */
const dropPatienceMs = 2_000;

interface Listener {
  readonly subject: string;
  readonly queue: string | undefined;
  readonly onMessage: (message: Message) => void;
  subscription?: Subscription;
  refused?: Error;
}

/**
 * Connects to NATS.
 *
 * @throws the signal's reason when it aborts before the first connection; Error when the credentials file cannot be read
 */
export async function connectNats(options: NatsOptions): Promise<NatsBus> {
  const bus = new NatsConnectionBus(options);
  try {
    await bus.connected(options.firstConnectTimeoutMs, options.signal);
  } catch (error) {
    await bus[Symbol.asyncDispose]();
    throw error;
  }
  return bus;
}

class NatsConnectionBus implements NatsBus {
  readonly #options: NodeConnectionOptions;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #listeners = new Set<Listener>();
  readonly #pending = new Set<Pending>();
  readonly #stateListeners = new Set<(state: BusState) => void>();
  readonly #disposed = new AbortController();
  #connection: NatsConnection | undefined;
  #state: BusState = "disconnected";

  constructor(options: NatsOptions) {
    this.#options = connectionOptions(options);
    this.#clock = options.clock;
    this.#log = options.log;
    void this.#connect();
  }

  get state(): BusState {
    return this.#state;
  }

  publish(subject: string, payload: string | Uint8Array, fields?: Headers): void {
    if (this.#state !== "connected") return;
    this.#connection!.publish(
      subject,
      payload,
      fields === undefined ? undefined : { headers: encode(fields) },
    );
  }

  async subscribe(
    subject: string,
    onMessage: (message: Message) => void,
    options: { queue?: string } = {},
  ): Promise<AsyncDisposable> {
    await this.connected(serverPatienceMs);
    const connection = this.#using();
    const listener: Listener = { subject, queue: options.queue, onMessage };
    const remove = async () => {
      this.#listeners.delete(listener);
      listener.subscription?.unsubscribe();
    };
    this.#hear(connection, listener);
    this.#listeners.add(listener);
    try {
      // The server answers the flush after it has said what it thinks of the subscription.
      await this.flush();
      if (listener.refused !== undefined)
        throw new BusUnavailable("refused", `the server refuses to let us hear ${subject}`, {
          cause: listener.refused,
        });
    } catch (error) {
      await remove();
      throw error;
    }
    return { [Symbol.asyncDispose]: once(remove) };
  }

  async request(
    subject: string,
    payload: string | Uint8Array,
    options: RequestOptions,
  ): Promise<NatsMessage> {
    let answer: NatsMessage | undefined;
    await this.requestMany(
      subject,
      payload,
      (message) => {
        answer = message;
        return "done";
      },
      options,
    );
    return answer!;
  }

  requestMany(
    subject: string,
    payload: string | Uint8Array,
    onMessage: (message: NatsMessage) => "more" | "done",
    options: RequestOptions,
  ): Promise<void> {
    return ask(
      {
        connection: () => this.#using(),
        inboxPrefix: this.#options.inboxPrefix!,
        clock: this.#clock,
        pending: this.#pending,
      },
      subject,
      payload,
      onMessage,
      options,
    );
  }

  onState(listener: (state: BusState) => void): () => void {
    // Wrapped, so that registering one function twice and stopping one of them leaves the other.
    const own = (state: BusState) => listener(state);
    this.#stateListeners.add(own);
    return () => void this.#stateListeners.delete(own);
  }

  async reconnect(): Promise<void> {
    // One that is away is on its way back already, and what is learned about its attempts is of use.
    if (this.#connection !== undefined && this.#state === "connected")
      this.#leave(this.#connection, "asked to reconnect");
  }

  async flush(): Promise<void> {
    const flushed = this.#using()
      .flush()
      .catch((cause: unknown) => {
        throw new BusUnavailable("disconnected", "the connection ended before the flush", {
          cause,
        });
      });
    if (!(await within(this.#clock, serverPatienceMs, flushed)))
      throw new BusUnavailable("timeout", "the server does not answer a ping");
  }

  /** Resolves when the bus is connected, or after a time. @throws the signal's reason */
  connected(withinMs?: Milliseconds, signal?: AbortSignal): Promise<void> {
    return leaving(this, "disconnected", this.#clock, withinMs, signal);
  }

  readonly [Symbol.asyncDispose] = once(async () => {
    this.#disposed.abort();
    const connection = this.#connection;
    const wasConnected = this.#state === "connected";
    this.#become("closed");
    if (connection === undefined) return;
    // What was published goes out, what was received is handled; but a server that is mute does not keep us.
    const quietly = (work: Promise<void>) =>
      within(
        this.#clock,
        dropPatienceMs,
        work.catch(() => {}),
      );
    if (wasConnected) await quietly(connection.drain());
    await quietly(connection.close());
    this.#listeners.clear();
  });

  #using(): NatsConnection {
    if (this.#state !== "connected" || this.#connection === undefined)
      throw new BusUnavailable("disconnected", `the bus is ${this.#state}`);
    return this.#connection;
  }

  /** Makes the connection, however long it takes. */
  async #connect(): Promise<void> {
    // The one hook that the library's endless loop of attempts offers to end it.
    const reconnectToServer = () => {
      this.#disposed.signal.throwIfAborted();
      return null;
    };
    const options = { ...this.#options, reconnectToServer };
    let connection: NatsConnection;
    try {
      try {
        connection = await connect(options);
      } catch (error) {
        // The library tells the reason of a failed first attempt only when it may give up; so that one comes first.
        this.#log.warn({ error: messageOf(error) }, "bus does not connect, trying on");
        connection = await connect({ ...options, waitOnFirstConnect: true });
      }
    } catch (error) {
      if (this.#disposed.signal.aborted) return;
      this.#log.error({ error: messageOf(error) }, "bus connection failed");
      await sleep(this.#clock, dropPatienceMs, this.#disposed.signal).catch(() => {});
      return this.#connect();
    }
    if (this.#disposed.signal.aborted) return void connection.close();
    this.#connection = connection;
    for (const listener of this.#listeners) this.#hear(connection, listener);
    void this.#watch(connection);
    this.#log.info({ server: connection.getServer() }, "bus connected");
    this.#become("connected");
  }

  async #watch(connection: NatsConnection): Promise<void> {
    const attempts = new AttemptWatch(this.#clock, () => {
      if (this.#connection === connection && this.#state === "disconnected")
        this.#leave(connection, "an attempt to connect is stuck");
    });
    for await (const status of connection.status()) {
      if (this.#connection !== connection) return attempts.over();
      if (status.type === "disconnect") {
        attempts.ended();
        this.#log.warn({ server: status.server }, "bus disconnected");
        this.#become("disconnected");
      } else if (status.type === "reconnecting") {
        attempts.over();
      } else if (status.type === "reconnect") {
        attempts.over();
        this.#log.info({ server: status.server }, "bus connected");
        this.#become("connected");
      } else if (status.type === "staleConnection") {
        // The library lets go when what it has written has left, which on a full half-open connection is never.
        this.#clock.after(dropPatienceMs, () => {
          if (this.#connection === connection && this.#state === "connected")
            this.#leave(connection, "the server is mute");
        });
      } else if (status.type === "error") this.#heardError(status.error);
    }
    attempts.over();
    if (this.#connection === connection && !this.#disposed.signal.aborted)
      this.#leave(connection, "the library gave up");
  }

  /** Leaves a connection behind and makes another. */
  #leave(connection: NatsConnection, why: string): void {
    if (this.#disposed.signal.aborted) return;
    this.#log.warn({ why }, "bus connection left behind");
    this.#connection = undefined;
    this.#become("disconnected");
    connection.close().catch(() => {});
    void this.#connect();
  }

  #hear(connection: NatsConnection, listener: Listener): void {
    listener.subscription = connection.subscribe(listener.subject, {
      ...(listener.queue === undefined ? {} : { queue: listener.queue }),
      callback: (error, message) => {
        // A connection that was left behind may still have something to say; the new one says it too.
        if (this.#connection !== connection) return;
        if (error !== null) {
          listener.refused = error;
          return;
        }
        // An exception here would end the library's reader, and with it everything.
        try {
          listener.onMessage(new NatsMessage(message));
        } catch (thrown) {
          this.#log.error(
            { subject: message.subject, error: messageOf(thrown) },
            "bus subscriber threw",
          );
        }
      },
    });
  }

  #heardError(error: Error): void {
    this.#log.warn({ error: error.message }, "bus error");
    if (!(error instanceof errors.PermissionViolationError) || error.operation !== "publish")
      return;
    for (const pending of this.#pending)
      if (pending.subject === error.subject)
        pending.fail(refusal(`to let us publish ${error.subject}`, error));
  }

  #become(state: BusState): void {
    if (this.#state === state || this.#state === "closed") return;
    this.#state = state;
    if (state !== "connected")
      for (const pending of this.#pending)
        pending.fail(new BusUnavailable("disconnected", `the bus is ${state}`));
    for (const listener of this.#stateListeners) {
      try {
        listener(state);
      } catch (thrown) {
        this.#log.error({ error: messageOf(thrown) }, "bus state listener threw");
      }
    }
  }
}
