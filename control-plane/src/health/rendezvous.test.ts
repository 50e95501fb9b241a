import { expect, test } from "vitest";
import { ownerOf } from "./rendezvous.ts";

const works = Array.from({ length: 300 }, (_, index) => `users.users-${index}`);
const shares = (nodes: readonly string[]) => {
  const counts = new Map(nodes.map((node) => [node, 0]));
  for (const work of works) counts.set(ownerOf(work, nodes), counts.get(ownerOf(work, nodes))! + 1);
  return [...counts.values()];
};

test("300 pieces of work are spread evenly over 1, 2 and 3 nodes", () => {
  for (const count of [1, 2, 3]) {
    const nodes = Array.from({ length: count }, (_, index) => `control-plane-${index + 1}`);
    for (const share of shares(nodes)) {
      expect(share).toBeGreaterThan((300 / count) * 0.8);
      expect(share).toBeLessThan((300 / count) * 1.2);
    }
  }
});

test("the order in which nodes are known does not matter", () => {
  for (const work of works)
    expect(ownerOf(work, ["a", "b", "c"])).toBe(ownerOf(work, ["c", "a", "b"]));
});

test("a node that comes takes its share and moves nothing else, and one that goes gives its share alone", () => {
  const before = ["one", "two"];
  const after = ["one", "three", "two"];
  let moved = 0;
  for (const work of works) {
    if (ownerOf(work, before) === ownerOf(work, after)) continue;
    moved++;
    expect(ownerOf(work, after)).toBe("three");
  }
  expect(moved).toBeGreaterThan(80);
  expect(moved).toBeLessThan(120);
});
