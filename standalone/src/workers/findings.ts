/** What the requests of all workers found out about instances, as one proxy. */
import type { Cancel, Clock, Milliseconds } from "@tocsin/shared";
import type { ProxyReport } from "@tocsin/shared/contract";

type Finding = ProxyReport["instances"][number];
type Circuit = NonNullable<ProxyReport["circuits"]>[number];

interface Heard {
  /** What it found since its report before, by instance. */
  findings: Map<string, Finding>;
  findingsAt: Milliseconds;
  /** Its circuits that are not closed, by life of an instance. */
  circuits: Map<string, Circuit>;
  circuitsAt: Milliseconds;
  /** When it last told of requests, by instance. */
  readonly traffic: Map<string, Milliseconds>;
}

/** Workers report every 2 s, and what is urgent at once; what one found longer ago says nothing. */
const findingsMs: Milliseconds = 2_500;
/** A worker that did not repeat what it said of its circuits, in milliseconds, is not counted on any more. */
const circuitsMs: Milliseconds = 6_000;
/** Requests that a worker told of, in milliseconds, give it a voice for so long. */
const trafficMs: Milliseconds = 10_000;
/** Several that report in one moment are said in one word, in milliseconds. */
const togetherMs: Milliseconds = 5;

const nameOf = ({ service, instance }: Finding | Circuit) => `${service}.${instance}`;

export class WorkersFindings implements Disposable {
  readonly #clock: Clock;
  readonly #say: (findings: Finding[], circuits: Circuit[]) => void;
  readonly #heard = new Map<string, Heard>();
  #due: Cancel | undefined;

  constructor(clock: Clock, say: (findings: Finding[], circuits: Circuit[]) => void) {
    this.#clock = clock;
    this.#say = say;
  }

  heard(member: string, { instances, circuits = [] }: ProxyReport): void {
    const at = this.#clock.monotonic();
    let heard = this.#heard.get(member);
    if (heard === undefined) {
      heard = {
        findings: new Map(),
        findingsAt: at,
        circuits: new Map(),
        circuitsAt: at,
        traffic: new Map(),
      };
      this.#heard.set(member, heard);
    }
    const found = instances.map((finding) => [nameOf(finding), finding] as const);
    // A long report comes in pieces.
    const pieces = at - heard.findingsAt < togetherMs ? heard.findings : [];
    heard.findings = new Map([...pieces, ...found]);
    heard.findingsAt = heard.circuitsAt = at;
    heard.circuits = new Map(
      circuits.map((circuit) => [`${nameOf(circuit)}.${circuit.boot}`, circuit]),
    );
    for (const [name, seenAt] of heard.traffic)
      if (at - seenAt > trafficMs) heard.traffic.delete(name);
    for (const [name] of found) heard.traffic.set(name, at);
    this.#due ??= this.#clock.after(togetherMs, () => {
      this.#due = undefined;
      this.#say(this.#findings(), this.#circuits());
    });
  }

  /** A worker is gone. */
  forget(member: string): void {
    this.#heard.delete(member);
  }

  [Symbol.dispose](): void {
    this.#due?.();
  }

  #findings(): Finding[] {
    const sums = new Map<string, Finding>();
    const now = this.#clock.monotonic();
    for (const { findingsAt, findings } of this.#heard.values()) {
      if (now - findingsAt > findingsMs) continue;
      for (const [name, finding] of findings) {
        const other = sums.get(name);
        const { answered, failed } = finding;
        sums.set(
          name,
          other === undefined
            ? finding
            : { ...other, answered: other.answered + answered, failed: other.failed + failed },
        );
      }
    }
    return [...sums.values()];
  }

  /** The node's circuit is open when those of more than half of the workers are that have requests for the instance; else it is being tried. */
  #circuits(): Circuit[] {
    const now = this.#clock.monotonic();
    const all = [...this.#heard.values()].filter(
      ({ circuitsAt }) => now - circuitsAt <= circuitsMs,
    );
    const lives = new Map<string, Circuit[]>();
    for (const { circuits } of all)
      for (const [life, circuit] of circuits)
        lives.set(life, [...(lives.get(life) ?? []), circuit]);
    return [...lives.values()].map((circuits) => {
      const [first] = circuits;
      const name = nameOf(first!);
      const voices = all.filter(({ circuits: own, traffic }) => {
        const seenAt = traffic.get(name);
        const hasTraffic = seenAt !== undefined && now - seenAt <= trafficMs;
        return hasTraffic || own.has(`${name}.${first!.boot}`);
      }).length;
      const open = circuits.filter(({ state }) => state === "open");
      return open.length * 2 > voices
        ? { ...first!, state: "open", restMs: Math.max(...open.map(({ restMs }) => restMs)) }
        : { ...first!, state: "half-open", restMs: 0 };
    });
  }
}
