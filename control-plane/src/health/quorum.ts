/**
 * What the circuits of proxies say together: when enough of them find an instance failing, it is out for all
 * (docs/design/decisions/0024-a-quorum-of-circuits.md).
 */
import type { Cancel, Clock, Milliseconds, NodeName } from "@tocsin/shared";
import type { Bus } from "@tocsin/shared/bus";
import type { InstanceEntry, ProxyReport } from "@tocsin/shared/contract";
import type { Proxies } from "../sync/proxies.ts";
import type { Roster } from "./roster.ts";
import { quorumReason } from "./standing.ts";

/** A proxy that did not repeat what it said, in milliseconds, is not counted on any more. */
const saidMs: Milliseconds = 6_000;
/** Traffic that a proxy told of, in milliseconds, gives it a voice for so long. */
const trafficMs: Milliseconds = 10_000;
/** Who begins to listen, in milliseconds, has heard every proxy then: they report every 2 s. */
const settleMs: Milliseconds = 3_000;
/** Time between two looks for what nobody says any more, in milliseconds. */
const tidyMs: Milliseconds = 2_000;
/** Without a look for so long, in milliseconds, this process stood still and has missed what was said meanwhile. */
const stoodStillMs: Milliseconds = 5_000;
/** One proxy alone may be what is broken. */
const leastOpen = 2;

export interface QuorumOptions {
  readonly clock: Clock;
  readonly bus: Pick<Bus, "onState">;
  readonly proxies: Pick<Proxies, "isLive" | "live">;
  readonly roster: Pick<Roster, "knows" | "restOf">;
}

interface Said {
  readonly state: "open" | "half-open";
  /** When its circuit lets a trial through, as far as it has said. */
  readonly until: Milliseconds;
  readonly at: Milliseconds;
}

interface Case {
  readonly said: Map<NodeName, Said>;
  /** Set while the instance is out. */
  out: { readonly reason: string; readonly cancel: Cancel } | undefined;
}

/** How the circuits of one instance stand. */
export interface CircuitsReading {
  /** Proxies that send it nothing. */
  readonly open: number;
  /** Proxies that try it, or would try it with the next request. */
  readonly halfOpen: number;
  /** Proxies that had requests for it lately. */
  readonly of: number;
}

interface Votes {
  readonly voters: ReadonlySet<NodeName>;
  /** When the circuits that are open let a trial through. */
  readonly untils: readonly Milliseconds[];
  readonly halfOpen: number;
}

export class Quorum implements Disposable {
  readonly #options: QuorumOptions;
  /** By life of an instance. */
  readonly #cases = new Map<string, Case>();
  /** By instance: when each proxy told of requests to it. */
  readonly #traffic = new Map<string, Map<NodeName, Milliseconds>>();
  readonly #listeners: ((life: string | undefined) => void)[] = [];
  readonly #stop: (() => void)[];
  /** Since when every report has been heard. */
  #since: Milliseconds;
  #settling: Cancel | undefined;
  #tidiedAt: Milliseconds;

  constructor(options: QuorumOptions) {
    const { clock, bus } = options;
    this.#options = options;
    this.#since = this.#tidiedAt = clock.monotonic();
    this.#listen();
    this.#stop = [
      clock.every(tidyMs, () => this.#tidy()),
      bus.onState((state) => {
        if (state === "connected") this.#listen();
      }),
    ];
  }

  /** A proxy has reported. It speaks for itself alone, and what it leaves out it has taken back. */
  hear({ proxy, instances, circuits = [] }: ProxyReport): void {
    const { clock, roster } = this.#options;
    const at = clock.monotonic();
    this.#noteStandstill(at);
    for (const { service, instance, answered, failed } of instances) {
      if (answered + failed === 0 || !roster.knows(service, instance)) continue;
      const name = `${service}.${instance}`;
      let proxies = this.#traffic.get(name);
      if (proxies === undefined) this.#traffic.set(name, (proxies = new Map()));
      proxies.set(proxy, at);
    }
    const told = new Set<string>();
    for (const { service, instance, boot, state, restMs } of circuits) {
      const longestMs = roster.restOf(service, instance, boot);
      if (longestMs === undefined) continue;
      const life = `${service}.${instance}.${boot}`;
      told.add(life);
      let found = this.#cases.get(life);
      if (found === undefined) this.#cases.set(life, (found = { said: new Map(), out: undefined }));
      // Nobody keeps an instance out for longer than its service wants.
      found.said.set(proxy, { state, until: at + Math.min(restMs, longestMs), at });
    }
    for (const [life, { said }] of this.#cases) if (!told.has(life)) said.delete(proxy);
    for (const life of told) this.#judge(life);
  }

  /** Reports may have been missed. Nothing is decided, and what was decided before is not taken back. */
  get settling(): boolean {
    return this.#settling !== undefined;
  }

  /** Why an instance is out although its probes may be good; undefined: it is not. */
  outOf(instance: InstanceEntry): { readonly reason: string } | undefined {
    return this.#cases.size === 0 ? undefined : this.#cases.get(lifeOf(instance))?.out;
  }

  /** Undefined: no proxy has told of requests to it lately, nor of its circuit. */
  reading(instance: InstanceEntry): CircuitsReading | undefined {
    const { untils, halfOpen, voters } = this.#votes(lifeOf(instance));
    return voters.size === 0 ? undefined : { open: untils.length, halfOpen, of: voters.size };
  }

  /** Called when an instance, in this life (`service.instance.boot`), goes out or may come back; undefined: any may. */
  onChange(listener: (life: string | undefined) => void): void {
    this.#listeners.push(listener);
  }

  [Symbol.dispose](): void {
    for (const stop of this.#stop.splice(0)) stop();
    this.#settling?.();
    for (const { out } of this.#cases.values()) out?.cancel();
    this.#cases.clear();
    this.#traffic.clear();
  }

  /** From now on every report is heard; those before may have been missed. */
  #listen(): void {
    const { clock } = this.#options;
    this.#since = clock.monotonic();
    this.#settling?.();
    this.#settling = clock.after(settleMs, () => {
      this.#settling = undefined;
      for (const life of this.#cases.keys()) this.#judge(life);
      this.#tell(undefined);
    });
  }

  #noteStandstill(now: Milliseconds): void {
    if (now - this.#tidiedAt <= stoodStillMs) return;
    this.#tidiedAt = now;
    this.#listen();
  }

  #judge(life: string): void {
    const found = this.#cases.get(life)!;
    // It stays out for as long as was said then; the proxies try it afterwards, and may speak again.
    if (this.settling || found.out !== undefined) return;
    const { clock, proxies } = this.#options;
    const now = clock.monotonic();
    const { voters, untils } = this.#votes(life);
    const open = untils.length;
    // Who has not listened for long does not know who had requests before: anybody may have had some.
    const of =
      now - this.#since >= trafficMs
        ? voters.size
        : new Set([...voters, ...proxies.live().map(({ heartbeat }) => heartbeat.proxy)]).size;
    if (open < leastOpen || open * 2 <= of) return;
    const cancel = clock.after(Math.max(...untils) - now, () => {
      found.out = undefined;
      // Their circuits are asked anew from here on.
      found.said.clear();
      this.#tell(life);
    });
    found.out = { reason: quorumReason(open, of), cancel };
    this.#tell(life);
  }

  #votes(life: string): Votes {
    const { clock, proxies } = this.#options;
    const now = clock.monotonic();
    const [service = "", instance = ""] = life.split(".", 2);
    const voters = new Set<NodeName>();
    for (const [proxy, at] of this.#traffic.get(`${service}.${instance}`) ?? [])
      if (now - at <= trafficMs && proxies.isLive(proxy)) voters.add(proxy);
    const untils: Milliseconds[] = [];
    let halfOpen = 0;
    for (const [proxy, { state, until, at }] of this.#cases.get(life)?.said ?? []) {
      if (now - at > saidMs || !proxies.isLive(proxy)) continue;
      voters.add(proxy);
      // One that has rested stays open until somebody asks: it says nothing against the instance any more.
      if (state === "open" && until > now) untils.push(until);
      else halfOpen += 1;
    }
    return { voters, untils, halfOpen };
  }

  #tell(life: string | undefined): void {
    for (const listener of this.#listeners) listener(life);
  }

  /** Forgets what nobody says any more. */
  #tidy(): void {
    const now = this.#options.clock.monotonic();
    this.#noteStandstill(now);
    this.#tidiedAt = now;
    for (const [name, proxies] of this.#traffic) {
      for (const [proxy, at] of proxies) if (now - at > trafficMs) proxies.delete(proxy);
      if (proxies.size === 0) this.#traffic.delete(name);
    }
    for (const [life, { said, out }] of this.#cases) {
      for (const [proxy, { at }] of said) if (now - at > saidMs) said.delete(proxy);
      if (said.size === 0 && out === undefined) this.#cases.delete(life);
    }
  }
}

function lifeOf({ service, instance, boot }: InstanceEntry): string {
  return `${service}.${instance}.${boot}`;
}
