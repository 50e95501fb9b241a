/**
 * A node of several processes speaks to the fleet with one voice.
 *
 * Each process has its own view of the bus and says what a proxy of one process would say: acknowledgements, heartbeats, reports.
 * Here they become the node's. One process is the keeper: it takes no requests, keeps the node's state on disk, and answers for it.
 */
import { messageOf, type Clock, type Log, type NodeName } from "@tocsin/shared";
import {
  ackOf,
  subjects,
  type Bus,
  type Headers,
  type Message,
  type RequestOptions,
} from "@tocsin/shared/bus";
import { Ack, protocolVersion, ProxyHeartbeat, ProxyReport } from "@tocsin/shared/contract";
import { Acks } from "./acks.ts";
import { WorkersFindings } from "./findings.ts";
import { nodeHeartbeat, sameStanding } from "./heartbeats.ts";
import { SharedSubscriptions } from "./shared-subscriptions.ts";
import type { Standings } from "./words.ts";

export interface VoiceOptions {
  readonly node: NodeName;
  readonly bus: Bus;
  readonly clock: Clock;
  readonly log: Log;
}

const keeper = "keeper";
/** Findings in one report. */
const inOneReport = 1_000;
/** API keys in one heartbeat. */
const keysAtOnce = 1_000;

export class Voice implements Disposable {
  readonly #options: VoiceOptions;
  readonly #acks: Acks;
  readonly #findings: WorkersFindings;
  readonly #subscriptions: SharedSubscriptions;
  /** Of each process the last heartbeat. */
  readonly #heartbeats = new Map<string, ProxyHeartbeat>();
  /** Workers that count. */
  readonly #counted = new Set<string>();
  #said: ProxyHeartbeat | undefined;
  /** API keys that workers have used, not told yet. */
  readonly #usedKeys = new Set<string>();

  constructor(options: VoiceOptions) {
    const { node, bus, clock } = options;
    this.#options = options;
    this.#subscriptions = new SharedSubscriptions(bus);
    this.#acks = new Acks((operation, ack) =>
      bus.publish(subjects.ack(operation, node), JSON.stringify(ack)),
    );
    this.#acks.join(keeper);
    this.#findings = new WorkersFindings(clock, (findings, circuits) => {
      for (let at = 0; at < Math.max(1, findings.length); at += inOneReport) {
        const report: ProxyReport = {
          v: protocolVersion,
          proxy: node,
          instances: findings.slice(at, at + inOneReport),
          circuits,
        };
        bus.publish(subjects.report(node), JSON.stringify(report));
      }
    });
  }

  /** The bus of the process that keeps the state. Disposing it ends nothing. */
  keeperBus(): Bus {
    return new MemberBus(this.#options.bus, {
      publish: (...said) => this.#publish(keeper, ...said),
      subscribe: (subject, onMessage) => this.#subscriptions.subscribe(subject, onMessage),
      reconnect: () => this.#options.bus.reconnect(),
    });
  }

  /** The bus of a worker. Disposing it ends nothing. */
  workerBus(member: string): Bus {
    return new MemberBus(this.#options.bus, {
      publish: (...said) => this.#publish(member, ...said),
      subscribe: async (subject, onMessage) =>
        // What the node holds is asked of the keeper.
        subject === subjects.everyProxy("collect")
          ? { async [Symbol.asyncDispose]() {} }
          : this.#subscriptions.subscribe(subject, onMessage),
      // The keeper hears by the same connection, and gives it up when that is mute.
      reconnect: async () => {},
    });
  }

  /** From now on nothing is said to be applied that this worker has not applied. */
  join(member: string, standings: Standings): void {
    this.#counted.add(member);
    this.#acks.join(member, standings);
  }

  stands(member: string, standings: Standings): void {
    this.#acks.stands(member, standings);
  }

  /** A worker is gone. */
  leave(member: string): void {
    this.#counted.delete(member);
    this.#heartbeats.delete(member);
    this.#findings.forget(member);
    this.#acks.leave(member);
  }

  [Symbol.dispose](): void {
    this.#findings[Symbol.dispose]();
  }

  #publish(member: string, subject: string, payload: string | Uint8Array, headers?: Headers): void {
    const { node, bus } = this.#options;
    if (subject === subjects.heartbeat("proxy", node)) return this.#heartbeat(member, payload);
    if (subject === subjects.report(node)) return this.#report(member, payload);
    const ack = ackOf(subject);
    if (ack?.proxy !== node) return bus.publish(subject, payload, headers);
    const said = this.#read(Ack, payload);
    if (said !== undefined) this.#acks.applied(member, ack.operation, said);
  }

  #heartbeat(member: string, payload: string | Uint8Array): void {
    const said = this.#read(ProxyHeartbeat, payload);
    if (said === undefined) return;
    this.#heartbeats.set(member, said);
    for (const id of said.apiKeys ?? []) this.#usedKeys.add(id);
    const own = this.#heartbeats.get(keeper);
    // Not before the keeper has something to say; it is the node's clock, too.
    if (own === undefined) return;
    const others = [...this.#counted].flatMap((name) => this.#heartbeats.get(name) ?? []);
    // One of whom nothing is known: nothing can be said for it.
    if (others.length < this.#counted.size && own.leaving !== true) return;
    const together = nodeHeartbeat(own, others);
    if (member !== keeper && this.#said !== undefined && sameStanding(this.#said, together)) return;
    // It has said good-bye.
    if (member !== keeper && own.leaving === true) return;
    this.#said = together;
    const { bus, node } = this.#options;
    const apiKeys = [...this.#usedKeys].slice(0, keysAtOnce);
    for (const id of apiKeys) this.#usedKeys.delete(id);
    const heartbeat = apiKeys.length === 0 ? together : { ...together, apiKeys };
    bus.publish(subjects.heartbeat("proxy", node), JSON.stringify(heartbeat));
  }

  #report(member: string, payload: string | Uint8Array): void {
    const said = this.#read(ProxyReport, payload);
    if (said !== undefined) this.#findings.heard(member, said);
  }

  #read<T>(schema: { parse(value: unknown): T }, payload: string | Uint8Array): T | undefined {
    try {
      const text = typeof payload === "string" ? payload : new TextDecoder().decode(payload);
      return schema.parse(JSON.parse(text));
    } catch (error) {
      this.#options.log.error({ cause: messageOf(error) }, "word of a worker not understood");
      return undefined;
    }
  }
}

type Ways = Pick<Bus, "publish" | "subscribe" | "reconnect">;

/** The bus as one process of the node has it. */
class MemberBus implements Bus {
  readonly #bus: Bus;
  readonly #ways: Ways;
  constructor(bus: Bus, ways: Ways) {
    this.#bus = bus;
    this.#ways = ways;
  }
  get state() {
    return this.#bus.state;
  }
  publish(subject: string, payload: string | Uint8Array, headers?: Headers): void {
    this.#ways.publish(subject, payload, headers);
  }
  subscribe(
    subject: string,
    onMessage: (message: Message) => void,
    options?: { queue?: string },
  ): Promise<AsyncDisposable> {
    return options?.queue === undefined
      ? this.#ways.subscribe(subject, onMessage)
      : this.#bus.subscribe(subject, onMessage, options);
  }
  request(subject: string, payload: string | Uint8Array, options: RequestOptions) {
    return this.#bus.request(subject, payload, options);
  }
  requestMany(
    subject: string,
    payload: string | Uint8Array,
    onMessage: (message: Message) => "more" | "done",
    options: RequestOptions,
  ) {
    return this.#bus.requestMany(subject, payload, onMessage, options);
  }
  onState(listener: Parameters<Bus["onState"]>[0]) {
    return this.#bus.onState(listener);
  }
  reconnect(): Promise<void> {
    return this.#ways.reconnect();
  }
  flush(): Promise<void> {
    return this.#bus.flush();
  }
  async [Symbol.asyncDispose](): Promise<void> {}
}
