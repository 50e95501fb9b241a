/** What a replica does with answers that take their time, and with those it cannot take. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createVirtualClock, type VirtualClock } from "../../../test/harness/virtual-clock.ts";
import type { Recorded } from "../journal/journal.ts";
import { silentLog } from "../log.ts";
import type { Replica, ReplicaOptions } from "./options.ts";
import { startReplica } from "./replica.ts";
import { EntryRefused, type AppliedOrder, type LoadedChange } from "./source.ts";
import { ModelJournal } from "./testing/model-journal.ts";
import { ModelSource } from "./testing/model-source.ts";
import { ReplaceTable } from "./testing/model-table.ts";

let clock: VirtualClock;
let journal: ModelJournal;
let source: ModelSource;
let table: ReplaceTable;
let replica: Replica;
let orders: AppliedOrder[];
let changes: number;

function start(more: Partial<ReplicaOptions<never>> = {}): void {
  replica = startReplica({
    journal: "catalogue",
    source,
    table,
    clock,
    random: () => 0.5,
    log: silentLog,
    pause: () => new Promise((resolve) => clock.after(1, resolve)),
    onApplied: (order) => orders.push(order),
    onChange: () => changes++,
    ...(more as object),
  });
}
const pauseFor = (ms: number) => () => new Promise<void>((resolve) => clock.after(ms, resolve));
const answerWith = (form: "entries" | "snapshot" | "dump") => {
  source.answering = async (question) => {
    const answer = journal.answer(question, form);
    await pauseFor(1)();
    return answer;
  };
};

beforeEach(() => {
  clock = createVirtualClock();
  journal = new ModelJournal();
  source = new ModelSource(journal, clock);
  table = new ReplaceTable(journal);
  orders = [];
  changes = 0;
});
afterEach(async () => {
  await replica[Symbol.asyncDispose]();
  expect(table.violations).toEqual([]);
});

describe("a dump", () => {
  beforeEach(() => answerWith("dump"));

  test("may take its time: the feed waits, in order, and the replica is not live before", async () => {
    for (const key of ["a", "b"]) journal.append(key);
    table.pause = pauseFor(400);
    start();
    await clock.pass(100);
    const [c, d] = [journal.append("c"), journal.append("d", "x", "order-1")];
    source.feed(d);
    source.feed(c);
    source.beacon(journal.head);
    expect(table.applied).toEqual([]);
    expect(replica.status()).toMatchObject({ state: "syncing", applied: 0 });
    await clock.pass(310);
    expect(table.applied).toEqual([3, 4]);
    expect(orders).toEqual(table.owed);
    expect(replica.status()).toMatchObject({ state: "live", applied: 4, gaps: 0 });
    await replica.synced;
  });

  test("in answer to a question for less takes the place of everything, and the feed waits as well", async () => {
    journal.append("a");
    start();
    await clock.pass(10);
    source.beacon(journal.head);
    table.pause = pauseFor(400);
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
    expect(replica.status().applied).toBe(3);
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
    expect(replica.status()).toMatchObject({ state: "syncing", applied: 1 });
    expect([...table.bodies.keys()]).toEqual(["a"]);
    const asked = source.asked.length;
    await clock.pass(600);
    expect(source.asked).toHaveLength(asked);
    source.beacon(journal.head);
    await clock.pass(500);
    expect(replica.status()).toMatchObject({ state: "live", applied: 2 });
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
    expect(replica.status()).toMatchObject({ state: "syncing", epoch: undefined });
    expect(source.asked.length).toBeGreaterThan(4);
    expect(source.asked.length).toBeLessThan(10);
    answerWith("entries");
    await clock.pass(11_000);
    expect(replica.status().applied).toBe(1);
  });

  test("that is loaded while the replica is disposed changes nothing about where it stood", async () => {
    journal.append("a");
    table.pause = pauseFor(400);
    start();
    await clock.pass(100);
    await replica[Symbol.asyncDispose]();
    await clock.pass(1_000);
    expect(replica.status()).toMatchObject({ epoch: undefined, applied: 0 });
    expect(changes).toBe(0);
    expect(clock.timers).toBe(0);
  });

  test("of an epoch that has ended meanwhile is not the last word", async () => {
    journal.append("a");
    table.pause = pauseFor(400);
    start();
    await clock.pass(100);
    journal.recreate();
    source.beacon(journal.head);
    await clock.pass(1_500);
    source.beacon(journal.head);
    expect(replica.status()).toMatchObject({ state: "live", epoch: "epoch-2", applied: 0 });
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
    await clock.pass(260);
    const { applied } = replica.status();
    expect(applied).toBeGreaterThan(2);
    expect(applied).toBeLessThan(20);
    source.feed(journal.history()[applied]!);
    expect(replica.status().applied).toBe(applied + 1);
    source.feed(journal.append("last"));
    const before = changes;
    await clock.pass(50);
    expect(changes).toBeGreaterThan(before + 5);
    expect(replica.status()).toMatchObject({ applied: 22, gaps: 0 });
    expect(orders).toEqual(table.owed);
  });

  test("is given up when it turns out that the journal is another one", async () => {
    journal.append("a");
    start({ timings: { sliceMs: 0 } });
    await clock.pass(10);
    source.beacon(journal.head);
    for (let count = 0; count < 20; count++) journal.append(`k${count}`);
    source.comeBack();
    await clock.pass(260);
    const { applied } = replica.status();
    expect(applied).toBeLessThan(20);
    journal.recreate();
    source.feed(journal.append("new"));
    await clock.pass(100);
    expect(replica.status().applied).toBe(applied);
    await clock.pass(300);
    expect(replica.status()).toMatchObject({ epoch: "epoch-2", applied: 1 });
  });

  test("of which much was waiting is followed by that, in slices too, and nothing is asked twice", async () => {
    journal.append("a");
    start({ timings: { sliceMs: 0 }, pause: pauseFor(10) });
    await clock.pass(0);
    for (let count = 0; count < 20; count++) source.feed(journal.append(`k${count}`));
    await clock.pass(60);
    const { applied, state } = replica.status();
    expect(state).toBe("syncing");
    expect(applied).toBeGreaterThan(2);
    expect(applied).toBeLessThan(12);
    await clock.pass(300);
    expect(replica.status()).toMatchObject({ applied: 21, gaps: 0, resyncs: { repair: 0 } });
    source.beacon(journal.head);
    expect(replica.status().state).toBe("live");
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
    expect(replica.status()).toMatchObject({ state: "live", applied: 401 });
    answerWith("snapshot");
    source.comeBack();
    for (let count = 0; count < 600; count++) {
      source.feed(journal.append(`k${count % 5}`));
      source.beacon(journal.head);
      await clock.pass(1);
    }
    expect(replica.status()).toMatchObject({ state: "live", applied: 1_001 });
  });
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
    expect(replica.status()).toMatchObject({ state: "live", applied: 9, head: 9, gaps: 1 });
  });
});

describe("a question for everything", () => {
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
      await pauseFor(900)();
      return answer;
    };
    start();
    await clock.pass(1_000);
    expect(replica.status()).toMatchObject({ state: "live", stalenessMs: 1_000 });
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
    expect(replica.status()).toMatchObject({ state: "syncing", stalenessMs: 1_000 });
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
  expect(replica.status()).toMatchObject({
    applied: 3,
    poisoned: { count: 1, sequence: 2, error: "no such certificate", recent: [2] },
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
    await replica[Symbol.asyncDispose]();
    await clock.pass(10);
    expect(slow.subscribed).toBe(false);
    expect(replica.status()).toMatchObject({ epoch: undefined });
    expect(clock.timers).toBe(0);
  }
});
