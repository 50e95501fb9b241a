import { disposable, type Clock, type Milliseconds, type NodeName } from "@tocsin/shared";
import { subjects, type Bus } from "@tocsin/shared/bus";
import { ProxyHeartbeat, type Ack } from "@tocsin/shared/contract";
import { journalNames, type Epoch, type JournalName, type Sequence } from "@tocsin/shared/journal";

/** A proxy that was silent for so long is not waited for, in milliseconds: three heartbeats. */
export const liveForMs = 6_000;

/** A proxy that was silent for so long is forgotten, in milliseconds. */
const rememberedForMs = 600_000;

export interface HeardProxy {
  readonly heartbeat: ProxyHeartbeat;
  /** When it was last heard, by the monotonic clock. */
  readonly at: Milliseconds;
  /** How many entries it was behind then, per journal; absent: it counts in another epoch than this node. */
  readonly lag: Readonly<Partial<Record<JournalName, number>>>;
}

/** Where a journal stands, as far as this node knows. */
export type KnownHead = (journal: JournalName) => {
  readonly epoch: Epoch | undefined;
  readonly head: Sequence;
};

/** Which proxies there are, as their heartbeats tell. */
export class Proxies {
  readonly #clock: Clock;
  readonly #known: KnownHead;
  readonly #heard = new Map<NodeName, HeardProxy>();
  /** What each acknowledged last, per journal, by the process that is known by its heartbeats. */
  readonly #acknowledged = new Map<NodeName, Map<JournalName, Ack>>();
  readonly #listeners = new Set<(proxy: HeardProxy) => void>();
  /** Those that were there when the bus went away, and until when they are waited for although they are silent. */
  #awaited: { readonly names: ReadonlySet<NodeName>; until: Milliseconds } | undefined;

  /** @param known default: nothing is, so nobody is behind anything */
  constructor(clock: Clock, known: KnownHead = () => ({ epoch: undefined, head: 0 })) {
    this.#clock = clock;
    this.#known = known;
  }

  async listen(bus: Bus): Promise<AsyncDisposable> {
    const prefix = subjects.heartbeats("proxy").slice(0, -1);
    const stop = bus.onState((state) => (state === "connected" ? this.#isBack() : this.#isAway()));
    const hearing = await bus.subscribe(subjects.heartbeats("proxy"), (message) => {
      const heartbeat = read(message.text());
      // The subject token is the identity.
      if (heartbeat === undefined || message.subject !== `${prefix}${heartbeat.proxy}`) return;
      const heard = { heartbeat, at: this.#clock.monotonic(), lag: this.#lagOf(heartbeat) };
      if (this.#heard.get(heartbeat.proxy)?.heartbeat.boot !== heartbeat.boot)
        this.#acknowledged.delete(heartbeat.proxy);
      this.#heard.set(heartbeat.proxy, heard);
      for (const listener of this.#listeners) listener(heard);
    });
    return {
      async [Symbol.asyncDispose]() {
        stop();
        await hearing[Symbol.asyncDispose]();
      },
    };
  }

  onHeartbeat(listener: (proxy: HeardProxy) => void): AsyncDisposable {
    this.#listeners.add(listener);
    return disposable(() => void this.#listeners.delete(listener));
  }

  /** Those that are there and stay. */
  live(): HeardProxy[] {
    return [...this.#heard.values()].filter((proxy) => this.isLive(proxy.heartbeat.proxy));
  }

  isLive(name: NodeName): boolean {
    const heard = this.#heard.get(name);
    if (heard === undefined || heard.heartbeat.leaving === true) return false;
    const now = this.#clock.monotonic();
    if (now - heard.at < liveForMs) return true;
    // Its silence says nothing while nobody could be heard.
    return (
      this.#awaited !== undefined && now < this.#awaited.until && this.#awaited.names.has(name)
    );
  }

  get(name: NodeName): HeardProxy | undefined {
    return this.#heard.get(name);
  }

  /** A proxy acknowledged an order: more than its last heartbeat could tell. */
  acknowledged(name: NodeName, ack: Ack): void {
    if (!this.#heard.has(name)) return;
    let acks = this.#acknowledged.get(name);
    if (acks === undefined) this.#acknowledged.set(name, (acks = new Map<JournalName, Ack>()));
    acks.set(ack.journal, ack);
  }

  /** What a proxy acknowledged last since it started, of one journal. */
  lastAcknowledged(name: NodeName, journal: JournalName): Ack | undefined {
    return this.#acknowledged.get(name)?.get(journal);
  }

  #isAway(): void {
    if (this.#awaited?.until === Infinity) return;
    // By the last one who was heard, because that the bus is away is noticed late.
    const last = Math.max(...[...this.#heard.values()].map(({ at }) => at));
    const names = [...this.#heard].filter(([, { at }]) => last - at < liveForMs);
    this.#awaited = { names: new Set(names.map(([name]) => name)), until: Infinity };
  }

  #isBack(): void {
    if (this.#awaited?.until === Infinity)
      this.#awaited.until = this.#clock.monotonic() + liveForMs;
  }

  /** Now, because what is written after a heartbeat cannot be in it. */
  #lagOf({ journals }: ProxyHeartbeat): HeardProxy["lag"] {
    const lags = journalNames.flatMap((name) => {
      const { epoch, applied, head } = journals[name];
      const known = this.#known(name);
      if (epoch === undefined || epoch !== known.epoch) return [];
      return [[name, Math.max(0, Math.max(known.head, head) - applied)]];
    });
    return Object.fromEntries(lags) as HeardProxy["lag"];
  }

  /** All that are remembered, those that went away too. */
  all(): HeardProxy[] {
    const now = this.#clock.monotonic();
    for (const [name, { at }] of this.#heard)
      if (now - at > rememberedForMs) {
        this.#heard.delete(name);
        this.#acknowledged.delete(name);
      }
    return [...this.#heard.values()];
  }
}

function read(text: string): ProxyHeartbeat | undefined {
  try {
    return ProxyHeartbeat.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}
