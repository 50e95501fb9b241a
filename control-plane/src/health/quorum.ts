/**
 * What the circuits of proxies say together: when enough of them find an instance failing, it is out for all
 * (docs/design/decisions/0024-a-quorum-of-circuits.md).
 */
import type { Cancel, Clock, Milliseconds, NodeName } from "@tocsin/shared";
import type { InstanceEntry, ProxyReport } from "@tocsin/shared/contract";

/** A proxy that did not repeat what it said, in milliseconds, is not counted on any more. */
const saidMs: Milliseconds = 6_000;
/** Traffic that a proxy told of, in milliseconds, gives it a voice for so long. */
const trafficMs: Milliseconds = 10_000;
/** One proxy alone may be what is broken. */
const leastOpen = 2;

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
  /** Proxies that are trying it. */
  readonly halfOpen: number;
  /** Proxies that had requests for it lately. */
  readonly of: number;
}

export class Quorum implements Disposable {
  readonly #clock: Clock;
  /** By life of an instance. */
  readonly #cases = new Map<string, Case>();
  /** By instance: when each proxy told of requests to it. */
  readonly #traffic = new Map<string, Map<NodeName, Milliseconds>>();
  readonly #listeners: ((life: string) => void)[] = [];
  readonly #stop: Cancel;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#stop = clock.every(saidMs, () => this.#tidy());
  }

  /** A proxy has reported. It speaks for itself alone, and what it leaves out it has taken back. */
  hear({ proxy, instances, circuits = [] }: ProxyReport): void {
    const at = this.#clock.monotonic();
    for (const { service, instance, answered, failed } of instances) {
      if (answered + failed === 0) continue;
      const name = `${service}.${instance}`;
      let proxies = this.#traffic.get(name);
      if (proxies === undefined) this.#traffic.set(name, (proxies = new Map()));
      proxies.set(proxy, at);
    }
    const told = new Set<string>();
    for (const { service, instance, boot, state, restMs } of circuits) {
      const life = `${service}.${instance}.${boot}`;
      told.add(life);
      let found = this.#cases.get(life);
      if (found === undefined) this.#cases.set(life, (found = { said: new Map(), out: undefined }));
      found.said.set(proxy, { state, until: at + restMs, at });
    }
    for (const [life, { said }] of this.#cases) if (!told.has(life)) said.delete(proxy);
    for (const life of told) this.#judge(life);
  }

  /** Why an instance is out although its probes may be good; undefined: it is not. */
  outOf(instance: InstanceEntry): { readonly reason: string } | undefined {
    return this.#cases.get(lifeOf(instance))?.out;
  }

  /** Undefined: no proxy has told of requests to it lately, nor of its circuit. */
  reading(instance: InstanceEntry): CircuitsReading | undefined {
    const reading = this.#read(lifeOf(instance), `${instance.service}.${instance.instance}`);
    return reading.of === 0 ? undefined : reading;
  }

  /** Called when an instance, in this life (`service.instance.boot`), goes out or may come back. */
  onChange(listener: (life: string) => void): void {
    this.#listeners.push(listener);
  }

  [Symbol.dispose](): void {
    this.#stop();
    for (const { out } of this.#cases.values()) out?.cancel();
    this.#cases.clear();
    this.#traffic.clear();
  }

  #judge(life: string): void {
    const found = this.#cases.get(life)!;
    // It stays out for as long as was said then; the proxies try it afterwards, and may speak again.
    if (found.out !== undefined) return;
    const [service = "", instance = ""] = life.split(".");
    const { open, of } = this.#read(life, `${service}.${instance}`);
    if (open < leastOpen || open * 2 <= of) return;
    const now = this.#clock.monotonic();
    const until = Math.max(
      ...[...found.said.values()].flatMap((said) => (said.state === "open" ? [said.until] : [])),
    );
    const cancel = this.#clock.after(Math.max(0, until - now), () => {
      found.out = undefined;
      // Their circuits are asked anew from here on.
      found.said.clear();
      this.#tell(life);
    });
    found.out = { reason: `circuit open on ${open} of ${of} proxies`, cancel };
    this.#tell(life);
  }

  #read(life: string, name: string): CircuitsReading {
    const now = this.#clock.monotonic();
    const voters = new Set<NodeName>();
    for (const [proxy, at] of this.#traffic.get(name) ?? [])
      if (now - at <= trafficMs) voters.add(proxy);
    let open = 0;
    let halfOpen = 0;
    for (const [proxy, { state, at }] of this.#cases.get(life)?.said ?? []) {
      if (now - at > saidMs) continue;
      voters.add(proxy);
      if (state === "open") open += 1;
      else halfOpen += 1;
    }
    return { open, halfOpen, of: voters.size };
  }

  #tell(life: string): void {
    for (const listener of this.#listeners) listener(life);
  }

  /** Forgets what nobody says any more. */
  #tidy(): void {
    const now = this.#clock.monotonic();
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
