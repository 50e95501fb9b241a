import * as fc from "fast-check";
import { expect, test } from "vitest";
import { WeightedRoundRobin } from "./weighted-round-robin.ts";
import type { UpstreamInstance } from "../instances.ts";

const instance = (name: string, weight: number): UpstreamInstance => ({
  key: name,
  service: "a",
  instance: name,
  url: "http://127.0.0.1:1",
  weight,
  active: true,
  eligible: true,
});

test("turns are spread evenly", () => {
  const balance = new WeightedRoundRobin(() => 0);
  const list = [instance("a", 5), instance("b", 1), instance("c", 1)];
  expect(Array.from({ length: 7 }, () => balance.pick(list)?.key).join("")).toBe("aabacaa");
});

const fleetOf = (weights: readonly number[]) =>
  weights.map((weight, index) => instance(String(index), weight));
const weightsOf = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 8 });
const sumOf = (weights: readonly number[]) => weights.reduce((sum, weight) => sum + weight, 0);

/** How many of so many turns each of them gets. */
function turns(
  balance: WeightedRoundRobin,
  list: readonly UpstreamInstance[],
  count: number,
): number[] {
  const counts = list.map(() => 0);
  for (let turn = 0; turn < count; turn += 1) counts[list.indexOf(balance.pick(list)!)]! += 1;
  return counts;
}

test("in each round everyone gets exactly its weight", () => {
  fc.assert(
    fc.property(weightsOf, (weights) => {
      const balance = new WeightedRoundRobin(() => 0);
      const list = fleetOf(weights);
      for (let round = 0; round < 3; round += 1)
        expect(turns(balance, list, sumOf(weights))).toEqual(weights);
    }),
  );
});

test("wherever the first round begins, nobody gets more than a turn too many or too few for each other one", () => {
  fc.assert(
    fc.property(
      weightsOf,
      fc.double({ min: 0, max: 0.999, noNaN: true }),
      fc.integer({ min: 1, max: 500 }),
      (weights, chance, count) => {
        const counts = turns(new WeightedRoundRobin(() => chance), fleetOf(weights), count);
        for (const [index, weight] of weights.entries())
          expect(Math.abs(counts[index]! - (count * weight) / sumOf(weights))).toBeLessThanOrEqual(
            weights.length,
          );
      },
    ),
  );
});

test("where there is nobody, nobody is chosen", () => {
  expect(new WeightedRoundRobin(() => 0).pick([])).toBeUndefined();
});

test("who was just tried is passed over", () => {
  const balance = new WeightedRoundRobin(() => 0);
  const list = [instance("a", 9), instance("b", 1)];
  expect(balance.pick(list, { tried: ["a"], lets: undefined, key: undefined })?.key).toBe("b");
  expect(
    balance.pick([instance("a", 9)], { tried: ["a"], lets: undefined, key: undefined }),
  ).toBeUndefined();
});

test("a change keeps the turns of those who stay", () => {
  const balance = new WeightedRoundRobin(() => 0);
  const before = [instance("a", 1), instance("b", 1)];
  expect(balance.pick(before)?.key).toBe("a");
  expect(balance.pick([...before, instance("c", 1)])?.key).toBe("b");
});
