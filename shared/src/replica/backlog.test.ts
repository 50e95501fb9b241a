import { expect, test } from "vitest";
import type { Recorded } from "../journal/journal.ts";
import { Backlog } from "./backlog.ts";

const entry = (sequence: number, epoch = "e1"): Recorded => ({
  sequence,
  epoch,
  key: "token",
  body: "{}",
});

test("gives out what follows, once, and nothing of another epoch", () => {
  const backlog = new Backlog(10);
  for (const one of [entry(5), entry(3), entry(3), entry(4, "e0")]) backlog.add(one);
  expect(backlog.highest()).toBe(5);
  expect(backlog.next("e1", 1)).toBeUndefined();
  expect(backlog.next("e1", 2)).toEqual(entry(3));
  expect(backlog.next("e1", 2)).toBeUndefined();
  expect(backlog.next("e1", 3)).toBeUndefined();
  expect(backlog.next("e1", 4)).toEqual(entry(5));
  expect(backlog.size).toBe(0);
  expect(backlog.highest()).toBe(0);
});

test("drops everything when there is no room for another one; one that is there already needs none", () => {
  const backlog = new Backlog(2);
  expect([entry(7), entry(8), entry(8)].map((one) => backlog.add(one))).toEqual([true, true, true]);
  expect(backlog.add(entry(9))).toBe(false);
  expect(backlog.size).toBe(0);
});

test("forgets what has come by another way, and what is no longer waited for", () => {
  const backlog = new Backlog(10);
  for (const one of [entry(3), entry(4), entry(5, "e0"), entry(6), entry(7)]) backlog.add(one);
  backlog.forget(7);
  backlog.prune("e1", 3);
  expect(
    [3, 4, 5, 6, 7].filter((sequence) => backlog.holds((one) => one.sequence === sequence)),
  ).toEqual([4, 6]);
  backlog.clear();
  expect(backlog.size).toBe(0);
});
