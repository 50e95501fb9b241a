import * as fc from "fast-check";
import { expect, test } from "vitest";
import { createVirtualClock } from "../../../test/harness/virtual-clock.ts";
import { Budget } from "./budget.ts";

const requests = (budget: Budget, count: number) => {
  for (let each = 0; each < count; each += 1) budget.requested();
};
/** How many of so many retries are allowed. */
const allowed = (budget: Budget, wanted: number, share = 0.2) =>
  Array.from({ length: wanted }, () => budget.take(share)).filter(Boolean).length;

test("retries may be a share of the requests of the last ten seconds", async () => {
  const clock = createVirtualClock();
  const budget = new Budget(clock);
  requests(budget, 500);
  expect(allowed(budget, 500)).toBe(100);
  await clock.pass(5_000);
  requests(budget, 100);
  expect(allowed(budget, 500)).toBe(20);
  // The first 500 and their retries are too old now.
  await clock.pass(5_000);
  expect(allowed(budget, 500)).toBe(0);
  requests(budget, 400);
  expect(allowed(budget, 500)).toBe(80);
});

test("a service with few requests may have ten retries in ten seconds", async () => {
  const clock = createVirtualClock();
  const budget = new Budget(clock);
  requests(budget, 1);
  expect(allowed(budget, 100)).toBe(10);
  await clock.pass(9_000);
  expect(allowed(budget, 100)).toBe(0);
  await clock.pass(1_000);
  expect(allowed(budget, 100)).toBe(10);
});

test("no share, no retry", () => {
  const budget = new Budget(createVirtualClock());
  requests(budget, 1_000);
  expect(allowed(budget, 100, 0)).toBe(0);
});

test("after a silence of any length nothing is left of before", async () => {
  const clock = createVirtualClock();
  const budget = new Budget(clock);
  requests(budget, 1_000);
  await clock.pass(3_600_000);
  expect(allowed(budget, 1_000)).toBe(10);
});

test("in whatever rhythm requests come, a retry is made only where those of ten seconds stay within the share of their requests, or ten", () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 60 }), { minLength: 1, maxLength: 40 }),
      (seconds) => {
        let now = 0;
        const budget = new Budget({ ...createVirtualClock(), monotonic: () => now });
        const retries: number[] = [];
        for (const [second, count] of seconds.entries()) {
          now = second * 1_000;
          let made = 0;
          for (let each = 0; each < count; each += 1) {
            budget.requested();
            while (budget.take(0.2)) made += 1;
          }
          retries.push(made);
          const last = (list: readonly number[]) =>
            list.slice(Math.max(0, second - 9), second + 1).reduce((sum, each) => sum + each, 0);
          // With the seconds that pass requests become too old: what was made then was within the share.
          if (made > 0)
            expect(last(retries)).toBeLessThanOrEqual(Math.max(10, last(seconds) * 0.2));
        }
      },
    ),
  );
});
