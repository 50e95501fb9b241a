import type { Random } from "@tocsin/shared";
import type { UpstreamInstance } from "../instances.ts";
import { anyone, mayHave } from "./balance.ts";
import type { Balance, Choice } from "./balance.ts";

interface Turn {
  readonly instance: UpstreamInstance;
  current: number;
}

/**
 * Smooth weighted round robin: each instance gets its share, spread evenly (5:1:1 is a a b a c a a, not a a a a a b c).
 *
 * Each turn an instance's score grows by its weight; the highest is chosen and pays the sum of all weights. An instance that may not
 * have this very request keeps its score: its turn is not lost.
 */
export class WeightedRoundRobin implements Balance {
  readonly #random: Random;
  #known: readonly UpstreamInstance[] | undefined = undefined;
  #turns: readonly Turn[] = [];

  constructor(random: Random) {
    this.#random = random;
  }

  pick(
    instances: readonly UpstreamInstance[],
    choice: Choice = anyone,
  ): UpstreamInstance | undefined {
    if (instances !== this.#known) this.#learn(instances);
    const turns = this.#turns;
    const all = choice.tried.length === 0 && choice.lets === undefined;
    if (turns.length === 1 && all) return turns[0]!.instance;
    let best: Turn | undefined;
    let total = 0;
    for (let index = 0; index < turns.length; index += 1) {
      const turn = turns[index]!;
      if (!all && !mayHave(choice, turn.instance)) continue;
      total += turn.instance.weight;
      turn.current += turn.instance.weight;
      if (best === undefined || turn.current > best.current) best = turn;
    }
    if (best === undefined) return undefined;
    best.current -= total;
    return best.instance;
  }

  #learn(instances: readonly UpstreamInstance[]): void {
    const before = new Map(this.#turns.map((turn) => [turn.instance.key, turn.current]));
    this.#known = instances;
    // A new instance starts somewhere in the round, so that a fleet of proxies does not send all first requests to one place.
    this.#turns = instances.map((instance) => ({
      instance,
      current: before.get(instance.key) ?? Math.floor(this.#random() * instance.weight),
    }));
  }
}
