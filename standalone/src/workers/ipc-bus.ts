/** The bus as a worker has it: the primary's, over the line between them. */
import { once, type Clock } from "@tocsin/shared";
import {
  BusUnavailable,
  type Bus,
  type BusState,
  type Headers,
  type Message,
  type RequestOptions,
} from "@tocsin/shared/bus";
import type { Line } from "./line.ts";
import type { BusNews, BusWish, ToPrimary, ToWorker } from "./words.ts";

/** What the primary may take longer than the bus, in milliseconds, before nobody waits for it any more. */
const graceMs = 1_000;
/** How long the bus itself takes for a subscription or a flush at most, in milliseconds. */
const patienceMs = 10_000;

interface Pending {
  /** Something came. */
  heard(news: Extract<BusNews, { kind: "answer" | "done" | "failed" }>): void;
}

export class IpcBus implements Bus {
  readonly #line: Line<ToPrimary, ToWorker>;
  readonly #clock: Clock;
  readonly #stopHearing: () => void;
  readonly #subscribers = new Map<number, (message: Message) => void>();
  readonly #pending = new Map<number, Pending>();
  readonly #stateListeners = new Set<(state: BusState) => void>();
  #state: BusState = "disconnected";
  #last = 0;

  constructor(line: Line<ToPrimary, ToWorker>, clock: Clock) {
    this.#line = line;
    this.#clock = clock;
    this.#stopHearing = line.onWord((news) => this.#hear(news));
  }

  get state(): BusState {
    return this.#state;
  }

  publish(subject: string, payload: string | Uint8Array, headers?: Headers): void {
    if (this.#state !== "connected") return;
    this.#line.say({ kind: "publish", subject, payload, ...(headers && { headers }) });
  }

  async subscribe(
    subject: string,
    onMessage: (message: Message) => void,
    { queue }: { queue?: string } = {},
  ): Promise<AsyncDisposable> {
    const id = ++this.#last;
    this.#subscribers.set(id, onMessage);
    try {
      await this.#done(id, {
        kind: "subscribe",
        id,
        subject,
        ...(queue === undefined ? {} : { queue }),
      });
    } catch (error) {
      this.#subscribers.delete(id);
      throw error;
    }
    return {
      [Symbol.asyncDispose]: once(() => {
        this.#subscribers.delete(id);
        this.#line.say({ kind: "unsubscribe", id });
      }),
    };
  }

  async request(
    subject: string,
    payload: string | Uint8Array,
    options: RequestOptions,
  ): Promise<Message> {
    let answer: Message | undefined;
    const take = (message: Message) => {
      answer = message;
      return "done" as const;
    };
    await this.requestMany(subject, payload, take, options);
    return answer!;
  }

  async requestMany(
    subject: string,
    payload: string | Uint8Array,
    onMessage: (message: Message) => "more" | "done",
    { timeoutMs, headers, signal }: RequestOptions,
  ): Promise<void> {
    signal?.throwIfAborted();
    const id = ++this.#last;
    await new Promise<void>((resolve, reject) => {
      const finish = (settle: () => void) => {
        if (!this.#pending.delete(id)) return;
        silence();
        signal?.removeEventListener("abort", abort);
        settle();
      };
      const leave = (settle: () => void) => {
        this.#line.say({ kind: "enough", id });
        finish(settle);
      };
      const abort = () => leave(() => reject(signal!.reason as Error));
      const listen = () =>
        this.#clock.after(timeoutMs + graceMs, () => leave(() => reject(mute(subject))));
      let silence = listen();
      signal?.addEventListener("abort", abort, { once: true });
      this.#pending.set(id, {
        heard: (news) => {
          if (news.kind === "failed") return finish(() => reject(unavailable(news)));
          if (news.kind === "done") return finish(resolve);
          silence();
          silence = listen();
          try {
            if (onMessage(new IpcMessage(news)) === "done") leave(resolve);
          } catch (thrown) {
            leave(() => reject(thrown));
          }
        },
      });
      const asked = this.#line.say({
        kind: "ask",
        id,
        subject,
        payload,
        timeoutMs,
        ...(headers && { headers }),
      });
      if (!asked) finish(() => reject(mute(subject)));
    });
  }

  onState(listener: (state: BusState) => void): () => void {
    const own = (state: BusState) => listener(state);
    this.#stateListeners.add(own);
    return () => void this.#stateListeners.delete(own);
  }

  async reconnect(): Promise<void> {
    const id = ++this.#last;
    await this.#done(id, { kind: "reconnect", id });
  }

  async flush(): Promise<void> {
    const id = ++this.#last;
    await this.#done(id, { kind: "flush", id });
  }

  readonly [Symbol.asyncDispose] = once(() => {
    this.#become("closed");
    this.#stopHearing();
    for (const pending of this.#pending.values())
      pending.heard({
        kind: "failed",
        id: 0,
        failure: { reason: "disconnected", text: "the bus is closed" },
      });
    this.#subscribers.clear();
  });

  #done(id: number, wish: BusWish): Promise<void> {
    return new Promise((resolve, reject) => {
      const finish = (settle: () => void) => {
        if (!this.#pending.delete(id)) return;
        cancel();
        settle();
      };
      const cancel = this.#clock.after(patienceMs, () => finish(() => reject(mute(wish.kind))));
      this.#pending.set(id, {
        heard: (news) =>
          finish(() => (news.kind === "failed" ? reject(unavailable(news)) : resolve())),
      });
      if (this.#state === "closed" || !this.#line.say(wish)) finish(() => reject(mute(wish.kind)));
    });
  }

  #hear(news: ToWorker): void {
    switch (news.kind) {
      case "bus":
        return this.#become(news.state);
      case "message":
        return this.#subscribers.get(news.id)?.(new IpcMessage(news, this.#line));
      case "answer":
      case "done":
      case "failed":
        return this.#pending.get(news.id)?.heard(news);
      default:
        // The rest is the worker's.
        return undefined;
    }
  }

  #become(state: BusState): void {
    if (this.#state === state || this.#state === "closed") return;
    this.#state = state;
    for (const listener of this.#stateListeners) listener(state);
  }
}

class IpcMessage implements Message {
  readonly subject: string;
  readonly #news: Extract<BusNews, { kind: "answer" | "message" }>;
  readonly #line: Line<ToPrimary, ToWorker> | undefined;
  constructor(
    news: Extract<BusNews, { kind: "answer" | "message" }>,
    line?: Line<ToPrimary, ToWorker>,
  ) {
    this.subject = news.subject;
    this.#news = news;
    this.#line = line;
  }
  text(): string {
    return decoder.decode(this.#news.payload);
  }
  bytes(): Uint8Array {
    return this.#news.payload;
  }
  header(name: string): string | undefined {
    return this.#news.headers?.[name];
  }
  headers(): Headers | undefined {
    return this.#news.headers;
  }
  respond(payload: string | Uint8Array, headers?: Headers): void {
    if (this.#news.kind === "answer") return;
    const { message } = this.#news;
    this.#line?.say({ kind: "respond", message, payload, ...(headers && { headers }) });
  }
}

const decoder = new TextDecoder();

function mute(what: string): BusUnavailable {
  return new BusUnavailable("timeout", `the process that holds the bus does not answer: ${what}`);
}

function unavailable({ failure }: Extract<BusNews, { kind: "failed" }>): BusUnavailable {
  return new BusUnavailable(failure.reason, failure.text);
}
