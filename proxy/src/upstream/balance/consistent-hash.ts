import type { UpstreamInstance } from "../instances.ts";
import { mayHave } from "./balance.ts";
import type { Balance, Choice } from "./balance.ts";
import { hash, mixed } from "./hash.ts";

/** How many values a place can have. */
const places = 2 ** 32;

/**
 * The same key goes to the same instance, on every proxy, as long as that one is there; when it goes, its keys alone go elsewhere,
 * and when it comes back they alone do too.
 *
 * Rendezvous hashing (Thaler and Ravishankar, 1998): key and instance give a number, the least one has the key. In proportion to
 * weights it is -ln(u) / weight for a u that is even between 0 and 1 (Schindelhauer and Schomaker, 2005).
 *
 * An instance is known by its name, not by which life it is in: a restart moves no key.
 */
export class ConsistentHash implements Balance {
  #known: readonly UpstreamInstance[] | undefined = undefined;
  /** Two of each instance: with 32 bits alone, two names could be one and the same. */
  #seeds: Int32Array = new Int32Array(0);
  #factors: Int32Array = new Int32Array(0);
  /** What the places of each instance are multiplied with. */
  #scales: Float64Array = new Float64Array(0);

  pick(instances: readonly UpstreamInstance[], choice: Choice): UpstreamInstance | undefined {
    if (instances !== this.#known) this.#learn(instances);
    const all = choice.tried.length === 0 && choice.lets === undefined;
    if (instances.length === 1 && all) return instances[0];
    const seeds = this.#seeds;
    const factors = this.#factors;
    const scales = this.#scales;
    const key = hash(choice.key ?? "");
    let best: UpstreamInstance | undefined;
    let least = Infinity;
    for (let index = 0; index < seeds.length; index += 1) {
      const place = mixed(Math.imul(key ^ seeds[index]!, factors[index]!));
      // -ln(u) is never below 1 - u, so nearly all are out without a logarithm.
      if ((places - 0.5 - place) * scales[index]! > least) continue;
      const score = -Math.log((place + 0.5) / places) * scales[index]! * places;
      const instance = instances[index]!;
      if (score > least || (score === least && instance.instance > best!.instance)) continue;
      if (!all && !mayHave(choice, instance)) continue;
      best = instance;
      least = score;
    }
    return best;
  }

  #learn(instances: readonly UpstreamInstance[]): void {
    this.#known = instances;
    this.#seeds = Int32Array.from(instances, ({ instance }) => hash(instance));
    // Odd, so that multiplying by it loses no bit of the key.
    this.#factors = Int32Array.from(instances, ({ instance }) => hash(`${instance}#`) | 1);
    this.#scales = Float64Array.from(instances, ({ weight }) => 1 / (weight * places));
  }
}
