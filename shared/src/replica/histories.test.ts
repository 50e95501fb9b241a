/** What a replica does when its journal begins another history, and when a leader speaks who no longer is one. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { epochKey } from "../journal/journal.ts";
import type { ReplicaStatus } from "./source.ts";
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

describe("another history", () => {
  test("begins with an entry that no table sees, that nobody acknowledges and that is no poison", async () => {
    for (const key of ["a", "b", "c"]) journal.append(key);
    start();
    await clock.pass(10);
    source.beacon(journal.head);
    source.feed(journal.renew(2));
    await clock.pass(600);
    expect(status()).toMatchObject({
      epoch: "epoch-2",
      applied: 3,
      poisoned: undefined,
      resyncs: { epoch: 1, rewind: 0 },
    });
    expect([...table.bodies.keys()]).toEqual(["a", "b"]);
    expect(stage.orders).toEqual([]);
  });

  test("may have begun within what a delta, the backlog or the feed brings: its entry is passed over there too", async () => {
    journal.append("a");
    start();
    await clock.pass(10);
    journal.append(epochKey, "{}", "no-order");
    journal.append("b");
    source.comeBack();
    await clock.pass(300);
    source.feed(journal.append(epochKey, "{}", "no-order"));
    const [five, six] = [journal.append(epochKey, "{}", "no-order"), journal.append("c")];
    source.feed(six);
    source.feed(five);
    expect(status()).toMatchObject({ applied: 6, poisoned: undefined, gaps: 0 });
    expect([...table.bodies.keys()]).toEqual(["a", "b", "c"]);
    expect(stage.orders).toEqual([]);
  });

  test("has its own refusals", async () => {
    for (const body of [undefined, "poison", "poison"]) journal.append("a", body);
    start();
    await clock.pass(10);
    expect(status().poisoned).toMatchObject({ count: 2, recent: [2, 3] });
    source.feed(journal.renew(2));
    await clock.pass(600);
    expect(status().poisoned).toMatchObject({ count: 1, recent: [2] });
    journal.recreate();
    source.beacon(journal.head);
    await clock.pass(600);
    expect(status().poisoned).toBeUndefined();
  });
});

test("what is in force under a number that was refused before the journal went back counts no more", async () => {
  for (const body of [undefined, "poison", undefined]) journal.append("a", body);
  start();
  await clock.pass(10);
  source.feed(journal.append("b", "poison"));
  expect(status().poisoned).toMatchObject({ count: 2, recent: [2, 4] });
  journal.rewind(3);
  source.feed(journal.append("b"));
  await clock.pass(600);
  expect(status()).toMatchObject({
    applied: 4,
    poisoned: { count: 1, recent: [2] },
    resyncs: { rewind: 1 },
  });
});

describe("a leader who was deposed", () => {
  const old = () => ({ epoch: journal.epoch, head: 1 });
  beforeEach(async () => {
    for (const key of ["a", "b", "c"]) journal.append(key);
    start();
    await clock.pass(10);
    source.beacon(journal.head, 7);
  });

  test("is not believed that the journal went back", async () => {
    for (let second = 0; second < 3; second++) {
      await clock.pass(900);
      source.beacon(old(), 6);
    }
    expect(status()).toMatchObject({ state: "live", applied: 3, stalenessMs: 2_700 });
    expect(status().resyncs).toMatchObject({ rewind: 0, suspect: 0 });
  });

  test("proves that the connection lives, and no more: one who hears only him asks, and does not reconnect", async () => {
    source.answering = () => Promise.reject(new Error("nobody"));
    for (let second = 0; second < 12; second++) {
      await clock.pass(900);
      source.beacon(old(), 6);
    }
    expect(status().resyncs.suspect).toBe(1);
    expect(status().state).toBe("suspect");
    expect(source.asked.length).toBeGreaterThan(5);
    expect(source.reconnects).toBe(0);
  });

  test("of another epoch cannot be told from a new leader: terms of a store that was lost begin anew", async () => {
    journal.recreate();
    journal.append("new");
    source.beacon(journal.head, 1);
    await clock.pass(600);
    source.beacon(journal.head, 1);
    expect(status()).toMatchObject({ state: "live", epoch: "epoch-2", applied: 1 });
  });
});
