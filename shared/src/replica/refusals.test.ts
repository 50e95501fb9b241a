import { expect, test } from "vitest";
import { Refusals } from "./refusals.ts";

test("nothing is said while nothing was refused", () => {
  expect(new Refusals().status()).toBeUndefined();
});

test("the last sixteen are told by number, in order, with the reason of the highest; one that comes again counts once", () => {
  const refusals = new Refusals();
  for (const sequence of [30, 10, 20, 10, 30]) refusals.add(sequence, `reason ${sequence}`);
  expect(refusals.status()).toEqual({
    count: 3,
    sequence: 30,
    error: "reason 30",
    recent: [10, 20, 30],
  });
  for (let sequence = 31; sequence <= 60; sequence++) refusals.add(sequence, "later");
  const { count, recent } = refusals.status()!;
  expect(count).toBe(33);
  expect(recent).toEqual(Array.from({ length: 16 }, (_, index) => 45 + index));
});

test("one that is in force after all, and what was refused in a past that is gone, no longer counts", () => {
  const refusals = new Refusals();
  for (const sequence of [3, 5, 7, 9]) refusals.add(sequence, "no");
  refusals.remove(5);
  refusals.remove(4);
  refusals.forgetAfter(7);
  expect(refusals.status()).toMatchObject({ count: 2, sequence: 7, recent: [3, 7] });
  refusals.clear();
  expect(refusals.status()).toBeUndefined();
});

test("a long reason is cut to what an acknowledgement may hold, and memory is bounded", () => {
  const refusals = new Refusals();
  expect(refusals.add(1, "x".repeat(2_000))).toHaveLength(500);
  for (let sequence = 2; sequence <= 5_000; sequence++) refusals.add(sequence, "no");
  expect(refusals.status()).toMatchObject({ count: 5_000, sequence: 5_000 });
  refusals.add(4_990, "again");
  expect(refusals.status()!.count).toBe(5_000);
});
