import { expect, test } from "vitest";
import { Service } from "@tocsin/shared/contract";
import { Split } from "./split.ts";

/** Reproducible chance (mulberry32). */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let value = Math.imul(state ^ (state >>> 15), 1 | state);
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value;
    return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32;
  };
}

const policyOf = (service: string) => ({ ...Service.parse({}), service });

function count(split: Split, draws: number): Record<string, number> {
  const counts: Record<string, number> = {};
  for (let draw = 0; draw < draws; draw += 1) {
    const { service } = split.draw();
    counts[service] = (counts[service] ?? 0) + 1;
  }
  return counts;
}

test("requests are split in the proportions that are written down", () => {
  const draws = 20_000;
  const split = new Split({ users: 95, next: 4, "next-but-one": 1, off: 0 }, policyOf, {
    random: seeded(7),
    isUsable: () => true,
  });
  const counts = count(split, draws);
  expect(counts["off"]).toBeUndefined();
  for (const [service, share] of [
    ["users", 0.95],
    ["next", 0.04],
    ["next-but-one", 0.01],
  ] as const) {
    const sigma = Math.sqrt(draws * share * (1 - share));
    expect(Math.abs(counts[service]! - draws * share)).toBeLessThan(3 * sigma);
  }
});

test("a service without an instance in rotation leaves its share to the others", () => {
  const split = new Split({ users: 50, next: 50, last: 50 }, policyOf, {
    random: seeded(1),
    isUsable: (service) => service !== "next",
  });
  const counts = count(split, 2_000);
  expect(counts["next"]).toBeUndefined();
  expect(Math.abs(counts["users"]! - counts["last"]!)).toBeLessThan(200);
});

test("when none has one, the draw stands and its service answers for it", () => {
  const split = new Split({ users: 1, next: 1 }, policyOf, {
    random: seeded(3),
    isUsable: () => false,
  });
  expect(Object.keys(count(split, 200)).toSorted()).toEqual(["next", "users"]);
});
