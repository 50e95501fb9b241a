/** Orders: what is appended so that the whole fleet does it, and the proof that it did. */
import { messageOf, type Clock, type Log, type Milliseconds, type NodeName } from "@tocsin/shared";
import { subjects, type Bus, type Message } from "@tocsin/shared/bus";
import { Ack, type OrderAnswer } from "@tocsin/shared/contract";
import type { Appended, Entry, JournalName, OperationId, Sequence } from "@tocsin/shared/journal";
import type { HeardProxy, Proxies } from "./proxies.ts";
import type { State } from "./state.ts";

export interface OrdersOptions {
  readonly bus: Bus;
  readonly state: State;
  readonly proxies: Proxies;
  readonly clock: Clock;
  readonly log: Log;
}

export interface Order {
  readonly journal: JournalName;
  readonly entry: Entry;
  readonly operation: OperationId;
  readonly expected?: Sequence;
  /** How long to wait for the proxies. 0: not at all. */
  readonly waitMs: Milliseconds;
}

export class Orders {
  readonly #options: OrdersOptions;
  readonly #open = new Map<OperationId, Set<(message: Ack, proxy: NodeName) => void>>();

  constructor(options: OrdersOptions) {
    this.#options = options;
  }

  async listen(): Promise<AsyncDisposable> {
    return this.#options.bus.subscribe(subjects.acks, (message) => this.#hear(message));
  }

  /**
   * Appends an order and waits until every live proxy has applied it, or the time is up.
   *
   * @throws JournalConflict, JournalUnavailable as the journal does; then it is in force nowhere, or can be repeated
   */
  async place(order: Order): Promise<OrderAnswer> {
    const { state, proxies, clock } = this.#options;
    const start = clock.monotonic();
    const tally = new Tally(order, proxies, clock, start);
    // Heard from the beginning: an acknowledgement may come before the journal has answered us.
    const watchers = this.#open.get(order.operation) ?? new Set();
    this.#open.set(order.operation, watchers);
    const hear = (ack: Ack, proxy: NodeName) => tally.acknowledge(ack, proxy);
    watchers.add(hear);
    await using heartbeats = proxies.onHeartbeat((proxy) => tally.heal(proxy));
    void heartbeats;
    try {
      const appended = await state.write(order.journal, order.entry, {
        operation: order.operation,
        ...(order.expected === undefined ? {} : { expected: order.expected }),
      });
      tally.durable(appended, clock.monotonic() - start);
      await tally.settled(order.waitMs);
      return tally.answer();
    } finally {
      watchers.delete(hear);
      if (watchers.size === 0) this.#open.delete(order.operation);
    }
  }

  #hear(message: Message): void {
    const [operation, proxy] = message.subject.split(".").slice(-2);
    const watchers = this.#open.get(operation ?? "");
    if (watchers === undefined || proxy === undefined) return;
    try {
      const ack = Ack.parse(JSON.parse(message.text()));
      for (const watcher of watchers) watcher(ack, proxy);
    } catch (error) {
      this.#options.log.warn(
        { subject: message.subject, cause: messageOf(error) },
        "acknowledgement not understood",
      );
    }
  }
}

interface Applied {
  readonly at: Milliseconds;
  readonly error?: string | undefined;
}

/** Who has applied one order, and when. */
class Tally {
  readonly #order: Order;
  readonly #proxies: Proxies;
  readonly #clock: Clock;
  readonly #start: Milliseconds;
  readonly #applied = new Map<NodeName, Applied>();
  /** Acknowledgements that came before we knew what to compare them with. */
  readonly #early: { readonly ack: Ack; readonly proxy: NodeName; readonly at: Milliseconds }[] =
    [];
  readonly #expected: Set<NodeName>;
  #appended: Appended | undefined;
  #durableMs: Milliseconds = 0;
  #wake: () => void = () => {};

  constructor(order: Order, proxies: Proxies, clock: Clock, start: Milliseconds) {
    this.#order = order;
    this.#proxies = proxies;
    this.#clock = clock;
    this.#start = start;
    this.#expected = new Set(proxies.live().map(({ heartbeat }) => heartbeat.proxy));
  }

  durable(appended: Appended, durableMs: Milliseconds): void {
    this.#appended = appended;
    this.#durableMs = durableMs;
    for (const { ack, proxy, at } of this.#early) this.#note(ack, proxy, at);
    // An order that is repeated may be in force already.
    for (const proxy of this.#proxies.live()) this.heal(proxy);
  }

  acknowledge(ack: Ack, proxy: NodeName): void {
    const at = this.#clock.monotonic();
    if (this.#appended === undefined) this.#early.push({ ack, proxy, at });
    else this.#note(ack, proxy, at);
  }

  /** A heartbeat repeats what is applied, which heals a lost acknowledgement. */
  heal({ heartbeat }: HeardProxy): void {
    const report = heartbeat.journals[this.#order.journal];
    const { epoch, applied, poisoned } = report;
    if (
      this.#appended === undefined ||
      epoch !== this.#appended.epoch ||
      applied < this.#appended.sequence
    )
      return;
    if (poisoned?.sequence === this.#appended.sequence)
      return this.#put(heartbeat.proxy, { at: this.#clock.monotonic(), error: poisoned.error });
    if (!this.#applied.has(heartbeat.proxy))
      this.#put(heartbeat.proxy, { at: this.#clock.monotonic() });
  }

  #note(ack: Ack, proxy: NodeName, at: Milliseconds): void {
    const { epoch, sequence } = this.#appended!;
    if (ack.journal !== this.#order.journal || ack.epoch !== epoch || ack.applied < sequence)
      return;
    this.#put(proxy, { at, error: ack.error });
  }

  #put(proxy: NodeName, applied: Applied): void {
    this.#applied.set(proxy, applied);
    this.#wake();
  }

  #missing(): NodeName[] {
    // Who went away meanwhile is not waited for: it catches up before it is ready again.
    return [...this.#expected].filter(
      (proxy) => !this.#applied.has(proxy) && this.#proxies.isLive(proxy),
    );
  }

  async settled(waitMs: Milliseconds): Promise<void> {
    const until = this.#clock.monotonic() + waitMs;
    while (this.#missing().length > 0) {
      const leftMs = until - this.#clock.monotonic();
      if (leftMs <= 0) return;
      await new Promise<void>((resolve) => {
        // Looks again now and then: a proxy that goes away sends nothing.
        const cancel = this.#clock.after(Math.min(leftMs, 500), resolve);
        this.#wake = () => {
          cancel();
          resolve();
        };
      });
    }
  }

  answer(): OrderAnswer {
    const { sequence, epoch } = this.#appended!;
    const done = [...this.#applied]
      .filter(([, { error }]) => error === undefined)
      .toSorted(([, a], [, b]) => a.at - b.at);
    const refused = [...this.#applied].filter(([, { error }]) => error !== undefined);
    const last = done.at(-1);
    const missing = this.#missing();
    return {
      operation: this.#order.operation,
      sequence,
      epoch,
      durableMs: round(this.#durableMs),
      applied: {
        expected: done.length + refused.length + missing.length,
        count: done.length,
        ms: last === undefined ? 0 : round(last[1].at - this.#start),
        ...(last === undefined ? {} : { slowest: last[0] }),
        missing: [
          ...refused.map(([proxy, { error }]) => ({ proxy, error: error! })),
          ...missing.map((proxy) => ({
            proxy,
            ...lag(this.#proxies.get(proxy), this.#order.journal, sequence),
          })),
        ],
      },
    };
  }
}

function lag(
  proxy: HeardProxy | undefined,
  journal: JournalName,
  sequence: Sequence,
): { lag?: number } {
  const applied = proxy?.heartbeat.journals[journal].applied;
  return applied === undefined ? {} : { lag: Math.max(0, sequence - applied) };
}

const round = (milliseconds: Milliseconds) => Math.round(milliseconds * 100) / 100;
