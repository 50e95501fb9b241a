/** What a replica does with answers that take their time, and with those it cannot take. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Recorded } from "../journal/journal.ts";
import { EntryRefused, type LoadedChange, type ReplicaStatus } from "./source.ts";
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

describe("a dump", () => {
  beforeEach(() => stage.answerWith("dump"));

  test("may take its time: the feed waits, in order, and the replica is not live before", async () => {
    for (const key of ["a", "b"]) journal.append(key);
    table.pause = stage.pauseFor(400);
    start();
    await clock.pass(100);
    const [c, d] = [journal.append("c"), journal.append("d", "x", "order-1")];
    source.feed(d);
    source.feed(c);
    source.beacon(journal.head);
    expect(table.applied).toEqual([]);
    expect(status()).toMatchObject({ state: "syncing", applied: 0 });
    await clock.pass(310);
    expect(table.applied).toEqual([3, 4]);
    expect(stage.orders).toEqual(table.owed);
    expect(status()).toMatchObject({ state: "live", applied: 4, gaps: 0 });
    await stage.replica.synced;
  });

  test("in answer to a question for less takes the place of everything, and the feed waits as well", async () => {
    journal.append("a");
    start();
    await clock.pass(10);
    source.beacon(journal.head);
    table.pause = stage.pauseFor(400);
    journal.append("b");
    source.comeBack();
    await clock.pass(300);
    const c = journal.append("c");
    source.feed(c);
    await clock.pass(100);
    expect(table.applied).toEqual([]);
    await clock.pass(400);
    expect(table.applied).toEqual([3]);
    expect(table.loads.dump).toBe(2);
    expect(status().applied).toBe(3);
  });

  test("that cannot be read is no answer: what is held stays, and it is asked for again, after a while", async () => {
    journal.append("a");
    start();
    await clock.pass(10);
    source.beacon(journal.head);
    table.spoilt = true;
    journal.append("b");
    source.comeBack();
    await clock.pass(300);
    expect(status()).toMatchObject({ state: "syncing", applied: 1 });
    expect([...table.bodies.keys()]).toEqual(["a"]);
    const asked = source.asked.length;
    await clock.pass(600);
    expect(source.asked).toHaveLength(asked);
    source.beacon(journal.head);
    await clock.pass(500);
    expect(status()).toMatchObject({ state: "live", applied: 2 });
    expect(source.reconnects).toBe(0);
  });

  test("is refused by a table that takes none, with ever longer waits, each of them a transfer", async () => {
    journal.append("a");
    start({
      table: {
        decode: (entry: Recorded) => table.decode(entry),
        apply: (change: Recorded, sequence: number) => table.apply(change, sequence),
        load: (all: readonly LoadedChange<Recorded>[]) => table.load(all),
      } as never,
    });
    for (let second = 0; second < 30; second++) {
      source.beacon(journal.head);
      await clock.pass(1_000);
    }
    expect(status()).toMatchObject({ state: "syncing", epoch: undefined });
    expect(source.asked.length).toBeGreaterThan(4);
    expect(source.asked.length).toBeLessThan(10);
    stage.answerWith("entries");
    await clock.pass(11_000);
    expect(status().applied).toBe(1);
  });

  test("that is loaded while the replica is disposed changes nothing about where it stood", async () => {
    journal.append("a");
    table.pause = stage.pauseFor(400);
    start();
    await clock.pass(100);
    await stage.replica[Symbol.asyncDispose]();
    await clock.pass(1_000);
    expect(status()).toMatchObject({ epoch: undefined, applied: 0 });
    expect(stage.changes).toBe(0);
    expect(clock.timers).toBe(0);
  });

  test("that a beacon has overtaken is not all there is", async () => {
    journal.append("a");
    table.pause = stage.pauseFor(400);
    start();
    await clock.pass(100);
    journal.append("lost");
    source.beacon(journal.head);
    await clock.pass(310);
    expect(status()).toMatchObject({ state: "syncing", applied: 1, head: 2 });
    stage.answerWith("entries");
    await clock.pass(100);
    expect(status()).toMatchObject({ state: "live", applied: 2 });
  });

  test("of an epoch that has ended meanwhile is not the last word", async () => {
    journal.append("a");
    table.pause = stage.pauseFor(400);
    start();
    await clock.pass(100);
    journal.recreate();
    source.beacon(journal.head);
    await clock.pass(310);
    // What it holds was current when it asked for it, whatever a beacon of another epoch says.
    expect(status()).toMatchObject({ epoch: "epoch-1", applied: 1, stalenessMs: 410 });
    await clock.pass(1_200);
    source.beacon(journal.head);
    expect(status()).toMatchObject({ state: "live", epoch: "epoch-2", applied: 0 });
  });
});

describe("a long answer", () => {
  test("is applied in slices, and what the feed brings in between has its turn", async () => {
    journal.append("a");
    start({ timings: { sliceMs: 0 } });
    await clock.pass(10);
    source.beacon(journal.head);
    for (let count = 0; count < 20; count++)
      journal.append(`k${count}`, undefined, `order-${count}`);
    source.comeBack();
    await clock.pass(135);
    const { applied } = status();
    expect(applied).toBeGreaterThan(2);
    expect(applied).toBeLessThan(20);
    source.feed(journal.history()[applied]!);
    expect(status().applied).toBe(applied + 1);
    source.feed(journal.append("last"));
    const before = stage.changes;
    await clock.pass(50);
    expect(stage.changes).toBeGreaterThan(before + 5);
    expect(status()).toMatchObject({ applied: 22, gaps: 0 });
    expect(stage.orders).toEqual(table.owed);
  });

  test("is given up when it turns out that the journal is another one", async () => {
    journal.append("a");
    start({ timings: { sliceMs: 0 } });
    await clock.pass(10);
    source.beacon(journal.head);
    for (let count = 0; count < 20; count++) journal.append(`k${count}`);
    source.comeBack();
    await clock.pass(135);
    const { applied } = status();
    expect(applied).toBeLessThan(20);
    journal.recreate();
    source.feed(journal.append("new"));
    await clock.pass(100);
    expect(status().applied).toBe(applied);
    await clock.pass(300);
    expect(status()).toMatchObject({ epoch: "epoch-2", applied: 1 });
  });

  test("of which much was waiting is followed by that, in slices too, and nothing is asked twice", async () => {
    journal.append("a");
    start({ timings: { sliceMs: 0 }, pause: stage.pauseFor(10) });
    await clock.pass(0);
    for (let count = 0; count < 20; count++) source.feed(journal.append(`k${count}`));
    await clock.pass(60);
    const { applied, state } = status();
    expect(state).toBe("syncing");
    expect(applied).toBeGreaterThan(2);
    expect(applied).toBeLessThan(12);
    // One that comes again has its turn; the others keep to theirs.
    source.feed(journal.history()[applied]!);
    expect(status().applied).toBe(applied + 1);
    await clock.pass(300);
    expect(status()).toMatchObject({ applied: 21, gaps: 0, resyncs: { repair: 0 } });
    source.beacon(journal.head);
    expect(status().state).toBe("live");
  });

  test("is not followed by what waits once everything has to be asked for anew", async () => {
    await stage.startLive({ timings: { sliceMs: 0 } });
    const [four, five, six] = ["d", "e", "f"].map((key) => journal.append(key));
    for (const entry of [six!, five!, four!]) source.feed(entry);
    expect(status().applied).toBe(5);
    source.answering = () => new Promise(() => {});
    journal.recreate();
    source.feed(journal.append("new"));
    source.feed(six!);
    await clock.pass(100);
    expect(status()).toMatchObject({ state: "syncing", epoch: "epoch-1", applied: 5 });
  });

  test("that the feed overtakes again and again is taken all the same", async () => {
    journal.append("a");
    start();
    await clock.pass(10);
    source.beacon(journal.head);
    source.comeBack();
    for (let count = 0; count < 400; count++) {
      source.feed(journal.append(`k${count % 5}`));
      source.beacon(journal.head);
      await clock.pass(1);
    }
    expect(status()).toMatchObject({ state: "live", applied: 401 });
    stage.answerWith("snapshot");
    source.comeBack();
    for (let count = 0; count < 600; count++) {
      source.feed(journal.append(`k${count % 5}`));
      source.beacon(journal.head);
      await clock.pass(1);
    }
    expect(status()).toMatchObject({ state: "live", applied: 1_001 });
  });
});

test("an entry of a snapshot that cannot be put in force is told by its number; everything else is in force", async () => {
  for (const key of ["a", "b", "c"]) journal.append(key);
  const load = table.load.bind(table);
  table.load = (changes) => {
    load(changes);
    throw new EntryRefused(2, new Error("no such certificate"));
  };
  start();
  await clock.pass(10);
  expect(status()).toMatchObject({
    applied: 3,
    poisoned: { count: 1, sequence: 2, error: "no such certificate", recent: [2] },
  });
});
