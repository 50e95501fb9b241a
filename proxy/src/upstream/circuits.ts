import type { Clock, Milliseconds } from "@tocsin/shared";
import type { CircuitPolicy } from "@tocsin/shared/contract";
import { Circuit } from "./circuit.ts";
import type { CircuitKind } from "./circuit.ts";
import type { UpstreamInstance } from "./instances.ts";

export type { CircuitKind } from "./circuit.ts";

/** How the circuit of one instance stands. */
export interface CircuitReading {
  readonly instance: UpstreamInstance;
  readonly state: CircuitKind;
  /** Time until it lets a trial through. */
  readonly waitMs: Milliseconds;
}

/** The circuits of all instances whose service has a policy for them: one for each life of an instance, so that another one starts closed. */
export class Circuits {
  readonly #clock: Clock;
  readonly #circuits = new Map<string, Circuit>();
  /** How many circuits of a service are not closed; those with none are absent. */
  readonly #troubled = new Map<string, number>();
  readonly #listeners: ((instance: UpstreamInstance, state: CircuitKind) => void)[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The circuit of an instance. It goes by this policy from now on. */
  of(instance: UpstreamInstance, policy: CircuitPolicy): Circuit {
    let circuit = this.#circuits.get(instance.key);
    if (circuit === undefined) {
      circuit = new Circuit(instance, policy, this.#clock, this.#changed);
      this.#circuits.set(instance.key, circuit);
    } else if (circuit.policy !== policy) circuit.policy = policy;
    return circuit;
  }

  /** What a choice among the instances of a service asks; undefined while every circuit of the service is closed. */
  letsOf(service: string): ((instance: UpstreamInstance) => boolean) | undefined {
    return this.#troubled.size === 0 || !this.#troubled.has(service) ? undefined : this.#lets;
  }

  /** In how many whole seconds the first of these may be tried, at least 1; undefined when no circuit keeps a request from them. */
  secondsUntil(instances: readonly UpstreamInstance[]): number | undefined {
    let waitMs = Infinity;
    for (const { key, eligible } of instances) {
      if (!eligible) continue;
      const circuit = this.#circuits.get(key);
      if (circuit !== undefined && circuit.kind !== "closed")
        waitMs = Math.min(waitMs, circuit.waitMs);
    }
    return waitMs === Infinity ? undefined : Math.max(1, Math.ceil(waitMs / 1_000));
  }

  /** Called after each change of a circuit. */
  onChange(listener: (instance: UpstreamInstance, state: CircuitKind) => void): void {
    this.#listeners.push(listener);
  }

  /** Those that are not closed. */
  open(): CircuitReading[] {
    return this.all().filter(({ state }) => state !== "closed");
  }

  /** Those of all instances that had a request. */
  all(): CircuitReading[] {
    return [...this.#circuits.values()].map(({ instance, kind, waitMs }) => ({
      instance,
      state: kind,
      waitMs,
    }));
  }

  /** Undefined: the instance has none. */
  stateOf(key: string): CircuitKind | undefined {
    return this.#circuits.get(key)?.kind;
  }

  /** These are the instances now, by key: the circuits of others are forgotten, those of instances that came back may be tried. */
  follow(instances: ReadonlyMap<string, UpstreamInstance>): void {
    for (const [key, circuit] of this.#circuits) {
      const instance = instances.get(key);
      if (instance === undefined) {
        this.#drop(key, circuit);
        continue;
      }
      circuit.instance = instance;
      if (!instance.eligible) circuit.out = true;
      else if (circuit.out) {
        circuit.out = false;
        circuit.returned();
      }
    }
  }

  /** The service has no policy for circuits any more. */
  forget(service: string): void {
    for (const [key, circuit] of this.#circuits)
      if (circuit.instance.service === service) this.#drop(key, circuit);
  }

  readonly #lets = ({ key }: UpstreamInstance): boolean => this.#circuits.get(key)?.lets ?? true;

  readonly #changed = (circuit: Circuit, before: CircuitKind): void => {
    // One that was dropped while a request was on its way counts for nothing.
    if (this.#circuits.get(circuit.instance.key) !== circuit) return;
    const { instance, kind } = circuit;
    if (before === "closed") this.#trouble(instance.service, 1);
    else if (kind === "closed") this.#trouble(instance.service, -1);
    for (const listener of this.#listeners) listener(instance, kind);
  };

  #drop(key: string, { instance, kind }: Circuit): void {
    this.#circuits.delete(key);
    if (kind !== "closed") this.#trouble(instance.service, -1);
  }

  #trouble(service: string, change: 1 | -1): void {
    const count = (this.#troubled.get(service) ?? 0) + change;
    if (count === 0) this.#troubled.delete(service);
    else this.#troubled.set(service, count);
  }
}
