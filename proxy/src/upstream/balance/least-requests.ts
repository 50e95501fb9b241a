import type { Random } from "@tocsin/shared";
import type { UpstreamInstance } from "../instances.ts";
import { mayHave } from "./balance.ts";
import type { Balance, Choice } from "./balance.ts";

/** Requests of this proxy that an instance has in flight. */
export type Busy = (instance: UpstreamInstance) => number;

/**
 * The less busy of two that are drawn by weight (power of two choices): nearly as even as asking all of them, and a herd of proxies
 * does not run to the same one.
 *
 * Busy is requests in flight in proportion to the weight.
 */
export class LeastRequests implements Balance {
  readonly #random: Random;
  readonly #busy: Busy;
  #known: readonly UpstreamInstance[] | undefined = undefined;
  /** Sums of the weights up to each instance. */
  #sums: Float64Array = new Float64Array(0);

  constructor(random: Random, busy: Busy) {
    this.#random = random;
    this.#busy = busy;
  }

  pick(instances: readonly UpstreamInstance[], choice: Choice): UpstreamInstance | undefined {
    if (instances !== this.#known) this.#learn(instances);
    if (instances.length === 0) return undefined;
    if (choice.tried.length > 0 || choice.lets !== undefined) {
      const left = instances.filter((instance) => mayHave(choice, instance));
      return this.#lessBusy(left, sumsOf(left));
    }
    return this.#lessBusy(instances, this.#sums);
  }

  #lessBusy(
    instances: readonly UpstreamInstance[],
    sums: Float64Array,
  ): UpstreamInstance | undefined {
    const { length } = instances;
    if (length < 2) return instances[0];
    const first = drawn(sums, this.#random());
    // The second is another one: drawn from what the first leaves of the weights.
    const own = instances[first]!.weight;
    const before = sums[first]! - own;
    let point = this.#random() * (sums[length - 1]! - own);
    if (point >= before) point += own;
    const second = placeOf(sums, point);
    const [one, two] = [instances[first]!, instances[second]!];
    return this.#busy(two) / two.weight < this.#busy(one) / one.weight ? two : one;
  }

  #learn(instances: readonly UpstreamInstance[]): void {
    this.#known = instances;
    this.#sums = sumsOf(instances);
  }
}

function sumsOf(instances: readonly UpstreamInstance[]): Float64Array {
  const sums = new Float64Array(instances.length);
  let sum = 0;
  for (const [index, { weight }] of instances.entries()) sums[index] = sum += weight;
  return sums;
}

function drawn(sums: Float64Array, chance: number): number {
  return placeOf(sums, chance * sums[sums.length - 1]!);
}

/** The first place whose sum is above a point; the last one where rounding has gone beyond it. */
function placeOf(sums: Float64Array, point: number): number {
  let low = 0;
  let high = sums.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sums[middle]! > point) high = middle;
    else low = middle + 1;
  }
  return low;
}
