/**
 * The bus within one process: the same contract, no network. Messages are delivered in order, never inside the call that sent them.
 */
import { messageOf, once } from "../lifetime.ts";
import type { Log } from "../log.ts";
import { systemClock, type Clock } from "../time.ts";
import {
  BusUnavailable,
  type Bus,
  type BusState,
  type Headers,
  type Message,
  type RequestOptions,
} from "./bus.ts";
import { matches, pattern, assertSubject, type Pattern } from "./patterns.ts";

export interface EmbeddedBusOptions {
  /** Hears of subscribers that throw. */
  readonly log?: Log;
  /** For timeouts of requests. Default the system's. */
  readonly clock?: Clock;
}

interface Listener {
  readonly pattern: Pattern;
  readonly queue: string | undefined;
  readonly onMessage: (message: Message) => void;
}

type Respond = (payload: string | Uint8Array, headers?: Headers) => void;

export function createEmbeddedBus(options: EmbeddedBusOptions = {}): Bus {
  return new EmbeddedBus(options);
}

class EmbeddedBus implements Bus {
  readonly #clock: Clock;
  readonly #log: Log | undefined;
  readonly #listeners = new Set<Listener>();
  readonly #stateListeners = new Set<(state: BusState) => void>();
  readonly #closed = new AbortController();
  /** Which member of a queue group is next. */
  readonly #turns = new Map<string, number>();
  #queue: (() => void)[] = [];
  #state: BusState = "connected";

  constructor(options: EmbeddedBusOptions) {
    this.#clock = options.clock ?? systemClock;
    this.#log = options.log;
  }

  get state(): BusState {
    return this.#state;
  }

  publish(subject: string, payload: string | Uint8Array, headers?: Headers): void {
    assertSubject(subject);
    if (this.#state !== "connected") return;
    this.#send(subject, payload, headers);
  }

  async subscribe(
    subject: string,
    onMessage: (message: Message) => void,
    options: { queue?: string } = {},
  ): Promise<AsyncDisposable> {
    this.#assertOpen();
    const listener: Listener = { pattern: pattern(subject), queue: options.queue, onMessage };
    this.#listeners.add(listener);
    return {
      [Symbol.asyncDispose]: once(() => void this.#listeners.delete(listener)),
    };
  }

  async request(
    subject: string,
    payload: string | Uint8Array,
    options: RequestOptions,
  ): Promise<Message> {
    let answer: Message | undefined;
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

  async requestMany(
    subject: string,
    payload: string | Uint8Array,
    onMessage: (message: Message) => "more" | "done",
    options: RequestOptions,
  ): Promise<void> {
    assertSubject(subject);
    options.signal?.throwIfAborted();
    this.#assertOpen();
    await new Promise<void>((resolve, reject) => {
      let over = false;
      const finish = (settle: () => void) => {
        if (over) return;
        over = true;
        silence();
        options.signal?.removeEventListener("abort", abort);
        this.#closed.signal.removeEventListener("abort", close);
        settle();
      };
      const fail = (kind: BusUnavailable["kind"], text: string) =>
        finish(() => reject(new BusUnavailable(kind, text)));
      const abort = () => finish(() => reject(options.signal!.reason as Error));
      const close = () => fail("disconnected", "the bus is closed");
      const listen = () =>
        this.#clock.after(options.timeoutMs, () =>
          fail("timeout", `no answer on ${subject} in ${options.timeoutMs} ms`),
        );
      let silence = listen();
      options.signal?.addEventListener("abort", abort, { once: true });
      this.#closed.signal.addEventListener("abort", close, { once: true });

      const respond: Respond = (body, headers) => {
        const answer = new EmbeddedMessage(subject, body, headers);
        this.#later(() => {
          if (over) return;
          silence();
          silence = listen();
          try {
            if (onMessage(answer) === "done") finish(resolve);
          } catch (thrown) {
            finish(() => reject(thrown));
          }
        });
      };
      this.#send(subject, payload, options.headers, respond, () =>
        fail("no-responders", `nobody answers ${subject}`),
      );
    });
  }

  onState(listener: (state: BusState) => void): () => void {
    const own = (state: BusState) => listener(state);
    this.#stateListeners.add(own);
    return () => void this.#stateListeners.delete(own);
  }

  /** There is no connection to lose; says so to whoever must ask again what may have been missed. */
  async reconnect(): Promise<void> {
    this.#become("disconnected");
    this.#become("connected");
  }

  async flush(): Promise<void> {
    this.#assertOpen();
    await new Promise<void>((resolve) => this.#later(resolve));
  }

  readonly [Symbol.asyncDispose] = once(async () => {
    if (this.#state === "connected") await this.flush();
    this.#become("closed");
    this.#listeners.clear();
    this.#closed.abort();
  });

  #assertOpen(): void {
    if (this.#state === "closed") throw new BusUnavailable("disconnected", "the bus is closed");
  }

  #send(
    subject: string,
    payload: string | Uint8Array,
    headers?: Headers,
    respond?: Respond,
    onNobody?: () => void,
  ): void {
    const message = new EmbeddedMessage(subject, payload, headers, respond);
    this.#later(() => {
      const hearers = this.#hearers(subject);
      if (hearers.length === 0) onNobody?.();
      for (const { onMessage } of hearers) {
        try {
          onMessage(message);
        } catch (thrown) {
          this.#log?.error({ subject, error: messageOf(thrown) }, "bus subscriber threw");
        }
      }
    });
  }

  /** Who hears a subject: every plain subscriber, and one member of each queue group in turn. */
  #hearers(subject: string): Listener[] {
    const heard = [...this.#listeners].filter((listener) => matches(listener.pattern, subject));
    const hearers = heard.filter(({ queue }) => queue === undefined);
    for (const queue of new Set(heard.map((listener) => listener.queue))) {
      if (queue === undefined) continue;
      const members = heard.filter((listener) => listener.queue === queue);
      const turn = (this.#turns.get(queue) ?? 0) % members.length;
      this.#turns.set(queue, turn + 1);
      hearers.push(members[turn]!);
    }
    return hearers;
  }

  #later(run: () => void): void {
    if (this.#queue.push(run) > 1) return;
    setImmediate(() => {
      const due = this.#queue;
      this.#queue = [];
      for (const deliver of due) deliver();
    });
  }

  #become(state: BusState): void {
    if (this.#state === state || this.#state === "closed") return;
    this.#state = state;
    for (const listener of this.#stateListeners) {
      try {
        listener(state);
      } catch (thrown) {
        this.#log?.error({ error: messageOf(thrown) }, "bus state listener threw");
      }
    }
  }
}

class EmbeddedMessage implements Message {
  readonly subject: string;
  readonly #payload: string | Uint8Array;
  readonly #headers: Headers | undefined;
  readonly #respond: Respond | undefined;

  constructor(subject: string, payload: string | Uint8Array, headers?: Headers, respond?: Respond) {
    this.subject = subject;
    // The sender may use its buffer again, as it may with a network.
    this.#payload = typeof payload === "string" ? payload : payload.slice();
    this.#headers = headers;
    this.#respond = respond;
  }
  text(): string {
    return typeof this.#payload === "string" ? this.#payload : decoder.decode(this.#payload);
  }
  bytes(): Uint8Array {
    return typeof this.#payload === "string" ? encoder.encode(this.#payload) : this.#payload;
  }
  header(name: string): string | undefined {
    return this.#headers?.[name];
  }
  headers(): Headers | undefined {
    return this.#headers;
  }
  respond(payload: string | Uint8Array, headers?: Headers): void {
    this.#respond?.(payload, headers);
  }
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();
