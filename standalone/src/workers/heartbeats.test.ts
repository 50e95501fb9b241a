import { expect, test } from "vitest";
import type { JournalReport, ProxyHeartbeat } from "@tocsin/shared/contract";
import { nodeHeartbeat, sameStanding } from "./heartbeats.ts";

const live: JournalReport = { epoch: "e", applied: 5, head: 5, state: "live", stalenessMs: 10 };
const beat = (revocations: Partial<JournalReport>, boot = "b"): ProxyHeartbeat => ({
  v: 1,
  proxy: "p",
  boot,
  version: "1",
  journals: {
    catalogue: live,
    health: live,
    revocations: { ...live, ...revocations },
    invalidations: live,
  },
});
const together = (...beats: ProxyHeartbeat[]) =>
  nodeHeartbeat(beats[0]!, beats.slice(1)).journals.revocations;

test("a node is as far as the one that is furthest behind, and as well as the one that is worst", () => {
  expect(
    together(beat({}), beat({ applied: 3, head: 9, stalenessMs: 400 }), beat({ state: "suspect" })),
  ).toEqual({ epoch: "e", applied: 3, head: 9, state: "suspect", stalenessMs: 400 });
});

test("the node has one life, the keeper's", () => {
  expect(nodeHeartbeat(beat({}, "own"), [beat({}, "other")]).boot).toBe("own");
});

test("one that never was current makes the age of the node unknown", () => {
  expect(together(beat({}), beat({ stalenessMs: undefined, state: "cold" }))).toEqual({
    epoch: "e",
    applied: 5,
    head: 5,
    state: "cold",
  });
});

test("while they are in two histories, nothing is said to be applied", () => {
  expect(together(beat({}), beat({ epoch: "f", applied: 900 }))).toEqual({
    applied: 0,
    head: 5,
    state: "syncing",
  });
});

test("what one of them refused, the node refused", () => {
  const poisoned = (recent: number[], count = recent.length) => ({
    poisoned: { count, sequence: recent.at(-1)!, error: `at ${recent.at(-1)}`, recent },
  });
  expect(together(beat(poisoned([2, 4])), beat({}), beat(poisoned([4, 5]))).poisoned).toEqual({
    count: 3,
    sequence: 5,
    error: "at 5",
    recent: [2, 4, 5],
  });
  expect(together(beat(poisoned([2], 40)), beat(poisoned([5]))).poisoned?.count).toBe(40);
});

test("ages and heads change all the time and are no news", () => {
  expect(sameStanding(beat({}), beat({ stalenessMs: 99, head: 7 }))).toBe(true);
  expect(sameStanding(beat({}), beat({ applied: 6 }))).toBe(false);
});
