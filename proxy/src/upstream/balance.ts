import type { Random } from "@tocsin/shared";
import type { UpstreamInstance } from "./instances.ts";

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

  /**
   * The instance whose turn it is among the eligible ones.
   *
   * @param except a key that is passed over, because it was just tried
   */
  pick(instances: readonly UpstreamInstance[], except?: string): UpstreamInstance | undefined {
    if (instances !== this.#known) this.#learn(instances);
    const turns = this.#turns;
    if (turns.length === 1 && except === undefined) return turns[0]!.instance;
    let best: Turn | undefined;
    for (let index = 0; index < turns.length; index += 1) {
      const turn = turns[index]!;
      turn.current += turn.instance.weight;
      if (turn.instance.key !== except && (best === undefined || turn.current > best.current))
        best = turn;
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
