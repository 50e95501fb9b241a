/** What a replica asks, and how current an answer makes it. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { ReplicaStatus, SyncAnswer } from "./source.ts";
import { ModelSource } from "./testing/model-source.ts";
import { Stage } from "./testing/stage.ts";

let stage: Stage;
let clock: Stage["clock"];
let journal: Stage["journal"];
let source: Stage["source"];
let table: Stage["table"];
let start: Stage["start"];
let status: () => ReplicaStatus;

beforeEach(() => {
  stage = new Stage();
  ({ clock, journal, source, table, start } = stage);
  status = () => stage.replica.status();
});
afterEach(async () => {
  await stage[Symbol.asyncDispose]();
  expect(table.violations).toEqual([]);
  expect(stage.orders).toEqual(table.owed);
});

describe("a delta", () => {
  beforeEach(async () => {
    for (const key of ["a", "b", "c"]) journal.append(key);
    start();
    await clock.pass(10);
    source.beacon(journal.head);
  });

  test("in another order than that of its numbers is applied in theirs", async () => {
    for (const key of ["d", "e", "f"]) journal.append(key);
    source.answering = async (question) => {
      const answer = journal.answer(question);
      if (!("entries" in answer)) throw new Error("entries were asked for");
      return { ...answer, entries: answer.entries.toReversed() };
    };
    source.comeBack();
    await clock.pass(300);
    expect(table.applied).toEqual([4, 5, 6]);
  });

  test("may end beyond its last entry: what is no longer kept in between is no hole", async () => {
    source.answering = () =>
      Promise.resolve({ mode: "delta", epoch: journal.epoch, to: 9, entries: [] });
    source.beacon({ epoch: journal.epoch, head: 9 });
    await clock.pass(300);
    expect(status()).toMatchObject({ state: "live", applied: 9, head: 9, gaps: 1 });
  });
});

describe("a question for everything", () => {
  test("goes on while beacon after beacon says that it has to be asked", async () => {
    journal.append("a");
    start();
    await clock.pass(10);
    source.beacon(journal.head);
    source.answering = async (question) => {
      const answer = journal.answer(question);
      await stage.pauseFor(300)();
      return answer;
    };
    journal.recreate();
    journal.append("b");
    for (let count = 0; count < 15; count++) {
      source.beacon(journal.head);
      await clock.pass(50);
    }
    expect(status()).toMatchObject({ state: "live", epoch: "epoch-2", applied: 1 });
    expect(source.asked).toHaveLength(2);
  });

  test("makes an answer to an earlier one worthless that is just being handed over", async () => {
    journal.append("a");
    start();
    await clock.pass(10);
    source.beacon(journal.head);
    journal.append("b");
    const answer = Promise.withResolvers<SyncAnswer>();
    source.answering = () => answer.promise;
    source.comeBack();
    await clock.pass(300);
    answer.resolve(journal.answer(source.asked.at(-1)!));
    journal.recreate();
    source.feed(journal.append("c"));
    await clock.pass(0);
    expect(table.applied).toEqual([]);
    expect(status().applied).toBe(1);
  });

  test("says how far the journal was by the last beacon, if that is fresh", async () => {
    source.answering = () => Promise.reject(new Error("nobody"));
    start();
    await clock.pass(0);
    expect(source.asked.at(-1)).toEqual({ epoch: undefined, applied: 0, atLeast: 0 });
    source.beacon({ epoch: "epoch-1", head: 7 });
    await clock.pass(1_200);
    expect(source.asked.at(-1)).toEqual({ epoch: undefined, applied: 0, atLeast: 7 });
    await clock.pass(4_000);
    expect(source.asked.at(-1)).toEqual({ epoch: undefined, applied: 0, atLeast: 0 });
  });
});

describe("staleness", () => {
  test("after an answer is the time since the question, not since the answer", async () => {
    journal.append("a");
    source.answering = async (question) => {
      const answer = journal.answer(question);
      await stage.pauseFor(900)();
      return answer;
    };
    start();
    await clock.pass(1_000);
    expect(status()).toMatchObject({ state: "live", stalenessMs: 1_000 });
  });

  test("is not mended by a beacon that says how much is lacking, nor by an answer that lacks it too", async () => {
    journal.append("a");
    start();
    await clock.pass(10);
    source.beacon(journal.head);
    source.answering = () => Promise.reject(new Error("nobody"));
    const lagging = journal.frozen();
    for (const key of ["b", "c"]) journal.append(key);
    await clock.pass(500);
    source.beacon(journal.head);
    expect(status().stalenessMs).toBe(500);
    await clock.pass(3_000);
    source.answering = (question) =>
      Promise.resolve(lagging.answer({ ...question, atLeast: 0 }, "entries"));
    await clock.pass(1_500);
    expect(status()).toMatchObject({ applied: 1, head: 3, stalenessMs: 5_000 });
  });

  test("is not mended by a beacon while what is held is in doubt", async () => {
    journal.append("a");
    start();
    await clock.pass(10);
    source.beacon(journal.head);
    source.answering = () => new Promise(() => {});
    const { head } = journal;
    journal.recreate();
    source.feed(journal.append("b"));
    await clock.pass(1_000);
    source.beacon(head);
    expect(status()).toMatchObject({ state: "syncing", stalenessMs: 1_000 });
  });
});

test("disposed at any moment while it subscribes, it hears nothing any more and asks nothing", async () => {
  journal.append("a");
  for (let turns = 0; turns < 12; turns++) {
    const ready = Promise.withResolvers<void>();
    const slow = new ModelSource(journal, clock);
    const beacons = slow.beacons.bind(slow);
    slow.beacons = async (onHead) => {
      await ready.promise;
      return beacons(onHead);
    };
    start({ source: slow });
    await clock.pass(0);
    ready.resolve();
    for (let turn = 0; turn < turns; turn++) await Promise.resolve();
    await stage.replica[Symbol.asyncDispose]();
    await clock.pass(10);
    expect(slow.subscribed).toBe(false);
    expect(status()).toMatchObject({ epoch: undefined });
    expect(clock.timers).toBe(0);
  }
});
