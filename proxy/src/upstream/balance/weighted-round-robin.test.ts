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

test("in each round everyone gets exactly its weight, wherever the round began", () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 8 }),
      fc.double({ min: 0, max: 0.999, noNaN: true }),
      (weights, chance) => {
        const balance = new WeightedRoundRobin(() => chance);
        const list = weights.map((weight, index) => instance(String(index), weight));
        const total = weights.reduce((sum, weight) => sum + weight, 0);
        const counts = new Map<string, number>();
        for (let turn = 0; turn < total * 3; turn += 1) {
          const key = balance.pick(list)!.key;
          counts.set(key, (counts.get(key) ?? 0) + 1);
        }
        // The beginning of the first round is somewhere in it, so three rounds are right to one turn of each.
        for (const [index, weight] of weights.entries())
          expect(Math.abs((counts.get(String(index)) ?? 0) - weight * 3)).toBeLessThanOrEqual(
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
