/** The control-plane nodes there are, as their heartbeats tell. */
import type { Clock, InstanceName, Log, Milliseconds, NodeName, ServiceName } from "@tocsin/shared";
import { subjects, type Bus } from "@tocsin/shared/bus";
import {
  ControlPlaneHeartbeat,
  protocolVersion,
  type ControlPlaneView,
} from "@tocsin/shared/contract";

/** Time between two heartbeats, in milliseconds. */
const heartbeatMs: Milliseconds = 1_000;
/** A node that was silent for so long is not counted on, in milliseconds: three heartbeats. */
export const peerLostMs: Milliseconds = 3_000;
/** A node that was silent for so long is forgotten, in milliseconds. */
const rememberedForMs: Milliseconds = 600_000;
/** Between heartbeats that are sent because renewals wait, in milliseconds. */
const urgentMs: Milliseconds = 250;
/** Renewals that wait make a heartbeat due at once. */
const manyRenewals = 500;
/** Instances that one heartbeat speaks of at most, so that it stays far below what a message may hold. */
const inOneHeartbeat = 2_000;

export type Renewal = readonly [service: ServiceName, instance: InstanceName, boot: string];

/** What a node found when it looked at an instance for another one. */
export interface Opinion {
  readonly service: ServiceName;
  readonly instance: InstanceName;
  readonly boot: string;
  readonly well: boolean;
}

export interface Peer {
  readonly heartbeat: ControlPlaneHeartbeat;
  /** When it was last heard, by the monotonic clock. */
  readonly at: Milliseconds;
}

export interface PeersOptions {
  readonly node: NodeName;
  /** Random per process. */
  readonly boot: string;
  readonly version: string;
  readonly bus: Bus;
  readonly clock: Clock;
  readonly log: Log;
}

/** Tells the other nodes that this one lives, and hears of theirs. */
export class Peers implements AsyncDisposable {
  readonly #options: PeersOptions;
  readonly #stack = new AsyncDisposableStack();
  /** By node and boot: two processes under one name are two. */
  readonly #heard = new Map<string, Peer>();
  readonly #heartbeatListeners = new Set<(heartbeat: ControlPlaneHeartbeat) => void>();
  readonly #changeListeners = new Set<() => void>();
  #renewed: Renewal[] = [];
  #standing: () => { readonly term: number; readonly leading: boolean } = () => ({
    term: 0,
    leading: false,
  });
  #sentAt: Milliseconds;
  #live: readonly NodeName[];
  #left = false;
  #warned = false;

  constructor(options: PeersOptions) {
    this.#options = options;
    this.#sentAt = options.clock.monotonic();
    this.#live = [options.node];
  }

  /** Begins to speak and to hear. */
  async start(): Promise<void> {
    const { bus, clock } = this.#options;
    this.#stack.use(
      await bus.subscribe(subjects.heartbeats("control-plane"), (message) => {
        const [node] = message.subject.split(".").slice(-1);
        const heartbeat = read(message.text());
        // The subject token is the identity.
        if (heartbeat !== undefined && heartbeat.node === node) this.#hear(heartbeat);
      }),
    );
    this.#stack.defer(clock.every(urgentMs, () => this.#tick()));
    this.#stack.defer(
      bus.onState((state) => {
        if (state === "connected") this.beat();
      }),
    );
    this.beat();
  }

  /** What the heartbeats say about leadership. */
  tells(standing: () => { readonly term: number; readonly leading: boolean }): void {
    this.#standing = standing;
  }

  /** A lease was renewed at this node alone: the others are told with the next heartbeat. */
  renewed(service: ServiceName, instance: InstanceName, boot: string): void {
    this.#renewed.push([service, instance, boot]);
  }

  /** Sends a heartbeat now. */
  beat(leaving = false): void {
    this.#say(leaving ? { leaving } : {});
  }

  /** Asks the other nodes to look at instances that this one does not reach. */
  ask(doubts: readonly Renewal[]): void {
    for (let at = 0; at < doubts.length; at += inOneHeartbeat)
      this.#say({ doubts: doubts.slice(at, at + inOneHeartbeat).map(([...parts]) => parts) });
  }

  /** Tells what was found for a node that asked. */
  answer(opinions: readonly Opinion[]): void {
    if (opinions.length > 0) this.#say({ opinions: [...opinions] });
  }

  #say(more: Pick<Partial<ControlPlaneHeartbeat>, "doubts" | "opinions" | "leaving">): void {
    if (this.#left) return;
    this.#left = more.leaving === true;
    const { bus, clock, node, boot, version } = this.#options;
    this.#sentAt = clock.monotonic();
    const renewed = this.#renewed.splice(0, inOneHeartbeat).map(([...parts]) => parts);
    const heartbeat: ControlPlaneHeartbeat = {
      v: protocolVersion,
      node,
      boot,
      version: version.slice(0, 64),
      ...this.#standing(),
      renewed,
      ...more,
    };
    bus.publish(subjects.heartbeat("control-plane", node), JSON.stringify(heartbeat));
  }

  /** This node and those heard within 3 s, by name. */
  live(): readonly NodeName[] {
    return this.#live;
  }

  /** The other nodes that are live. */
  others(): readonly NodeName[] {
    return this.#live.filter((node) => node !== this.#options.node);
  }

  /** Called with what another node found. */
  onOpinion(listener: (node: NodeName, opinion: Opinion) => void): () => void {
    return this.onHeartbeat(({ node, opinions = [] }) => {
      if (node === this.#options.node) return;
      for (const opinion of opinions) listener(node, opinion);
    });
  }

  /** Called with what another node wants to be looked at. */
  onDoubts(listener: (doubts: readonly Renewal[]) => void): () => void {
    return this.onHeartbeat(({ node, doubts }) => {
      if (node !== this.#options.node && doubts !== undefined) listener(doubts);
    });
  }

  /** Whether a process was heard within 3 s and has not said goodbye. */
  hears(node: NodeName, boot: string): boolean {
    return this.#isLive(this.#heard.get(`${node} ${boot}`));
  }

  /** How long ago this process heard itself, in milliseconds: whether its words get out and the others' in. */
  get echoMs(): Milliseconds {
    const { node, boot, clock } = this.#options;
    return clock.monotonic() - (this.#heard.get(`${node} ${boot}`)?.at ?? -Infinity);
  }

  /** Whether a process said that it goes away. */
  hasLeft(node: NodeName, boot: string): boolean {
    return this.#heard.get(`${node} ${boot}`)?.heartbeat.leaving === true;
  }

  /** All that are remembered, those that went away too, by name. */
  views(): ControlPlaneView[] {
    const now = this.#options.clock.monotonic();
    return [...this.#heard.values()]
      .map((peer): ControlPlaneView => {
        const { node, boot, version, term, leading } = peer.heartbeat;
        const live = this.#isLive(peer);
        return {
          node,
          boot,
          ...(version === undefined ? {} : { version }),
          live,
          leading: live && leading,
          term,
          lastSeenMs: Math.round(now - peer.at),
        };
      })
      .toSorted((a, b) =>
        a.node === b.node ? a.lastSeenMs - b.lastSeenMs : a.node < b.node ? -1 : 1,
      );
  }

  onHeartbeat(listener: (heartbeat: ControlPlaneHeartbeat) => void): () => void {
    this.#heartbeatListeners.add(listener);
    return () => void this.#heartbeatListeners.delete(listener);
  }

  /** Called when {@link live} has become another list. */
  onChange(listener: () => void): () => void {
    this.#changeListeners.add(listener);
    return () => void this.#changeListeners.delete(listener);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#left) this.beat(true);
    await this.#stack.disposeAsync();
  }

  #hear(heartbeat: ControlPlaneHeartbeat): void {
    const { node, boot, clock, log } = this.#options;
    const name = `${heartbeat.node} ${heartbeat.boot}`;
    // Who comes is to know at once that it is not alone.
    if (!this.#heard.has(name) && heartbeat.boot !== boot && heartbeat.leaving !== true)
      this.beat();
    this.#heard.set(name, { heartbeat, at: clock.monotonic() });
    if (heartbeat.node === node && heartbeat.boot !== boot && !this.#warned) {
      this.#warned = true;
      log.error({ node }, "another control-plane process has the same name");
    }
    for (const listener of this.#heartbeatListeners) listener(heartbeat);
    this.#review();
  }

  #tick(): void {
    const { clock } = this.#options;
    const now = clock.monotonic();
    const sinceMs = now - this.#sentAt;
    if (sinceMs >= heartbeatMs || (this.#renewed.length >= manyRenewals && sinceMs >= urgentMs))
      this.beat();
    for (const [name, { at }] of this.#heard)
      if (now - at > rememberedForMs) this.#heard.delete(name);
    this.#review();
  }

  #review(): void {
    const { node } = this.#options;
    const names = new Set([node]);
    for (const peer of this.#heard.values()) if (this.#isLive(peer)) names.add(peer.heartbeat.node);
    const live = [...names].toSorted();
    if (live.join() === this.#live.join()) return;
    this.#live = live;
    for (const listener of this.#changeListeners) listener();
  }

  #isLive(peer: Peer | undefined): boolean {
    return (
      peer !== undefined &&
      peer.heartbeat.leaving !== true &&
      this.#options.clock.monotonic() - peer.at < peerLostMs
    );
  }
}

function read(text: string): ControlPlaneHeartbeat | undefined {
  try {
    return ControlPlaneHeartbeat.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}
