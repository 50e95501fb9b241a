import type { Random } from "@tocsin/shared";
import type { UpstreamInstance } from "./instances.ts";

/** What a choice among the instances of a service goes by. */
export interface Choice {
  /** Keys of instances that had this request already: passed over as long as there is another. */
  readonly tried: readonly string[];
  /** Whether the circuit of an instance lets a request through now. Undefined: all do. */
  readonly lets: ((instance: UpstreamInstance) => boolean) | undefined;
  /** What a consistent hash goes by; undefined: the policy does not ask for one. */
  readonly key: string | undefined;
}

/** Nothing is known about the request. */
const anyone: Choice = { tried: [], lets: undefined, key: undefined };

interface Turn {
  readonly instance: UpstreamInstance;
  current: number;
}

/**
 * Smooth weighted round robin: each instance gets its share, spread evenly (5:1:1 is a a b a c a a, not a a a a a b c).
 *
 * Each turn an instance's score grows by its weight; the highest is chosen and pays the sum of all weights.
 */
export class Balance {
  readonly #random: Random;
  #known: readonly UpstreamInstance[] | undefined = undefined;
  #turns: readonly Turn[] = [];
  #total = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  /** The instance whose turn it is among the eligible ones. */
  pick(
    instances: readonly UpstreamInstance[],
    { tried, lets }: Choice = anyone,
  ): UpstreamInstance | undefined {
    if (instances !== this.#known) this.#learn(instances);
    const turns = this.#turns;
    if (turns.length === 1 && tried.length === 0 && lets === undefined) return turns[0]!.instance;
    let best: Turn | undefined;
    for (let index = 0; index < turns.length; index += 1) {
      const turn = turns[index]!;
      turn.current += turn.instance.weight;
      if (tried.includes(turn.instance.key) || lets?.(turn.instance) === false) continue;
      if (best === undefined || turn.current > best.current) best = turn;
    }
    if (best === undefined) return undefined;
    best.current -= this.#total;
    return best.instance;
  }

  #learn(instances: readonly UpstreamInstance[]): void {
    const before = new Map(this.#turns.map((turn) => [turn.instance.key, turn.current]));
    this.#known = instances;
    const eligible = instances.filter((instance) => instance.eligible);
    this.#total = eligible.reduce((sum, instance) => sum + instance.weight, 0);
    // A new instance starts somewhere in the round, so that a fleet of proxies does not send all first requests to one place.
    this.#turns = eligible.map((instance) => ({
      instance,
      current: before.get(instance.key) ?? Math.floor(this.#random() * instance.weight),
    }));
  }
}
