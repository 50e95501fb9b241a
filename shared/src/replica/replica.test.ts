import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createVirtualClock, type VirtualClock } from "../../../test/harness/virtual-clock.ts";
import type { Recorded } from "../journal/journal.ts";
import { silentLog } from "../log.ts";
import type { Replica, ReplicaOptions } from "./options.ts";
import { startReplica } from "./replica.ts";
import type { AppliedOrder } from "./source.ts";
import { ModelJournal } from "./testing/model-journal.ts";
import { ModelSource } from "./testing/model-source.ts";
import { ReplaceTable } from "./testing/model-table.ts";

let clock: VirtualClock;
let journal: ModelJournal;
let source: ModelSource;
let table: ReplaceTable;
let replica: Replica;
let orders: AppliedOrder[];

function start(more: Partial<ReplicaOptions<never>> = {}): void {
  replica = startReplica({
    journal: "catalogue",
    source,
    table,
    clock,
    random: () => 0.5,
    log: silentLog,
    onApplied: (order) => orders.push(order),
    ...(more as object),
  });
}
/** Live, with three entries applied. */
async function startLive(more: Partial<ReplicaOptions<never>> = {}): Promise<void> {
  for (const key of ["a", "b", "c"]) journal.append(key);
  start(more);
  await clock.pass(10);
  source.beacon(journal.head);
  expect(replica.status()).toMatchObject({ state: "live", applied: 3, head: 3 });
}

beforeEach(() => {
  clock = createVirtualClock();
  journal = new ModelJournal();
  source = new ModelSource(journal, clock);
  table = new ReplaceTable(journal);
  orders = [];
});
afterEach(async () => {
  await replica[Symbol.asyncDispose]();
  expect(table.violations).toEqual([]);
  expect(orders).toEqual(table.owed);
});

describe("start", () => {
  test("it subscribes before it asks, and what was recorded meanwhile is applied after the snapshot", async () => {
    journal.append("a");
    start();
    await clock.pass(0);
    expect(source.asked).toHaveLength(1);
    const late = journal.append("b");
    source.feed(late);
    expect(table.bodies.size).toBe(0);
    await clock.pass(5);
    expect([...table.bodies.keys()]).toEqual(["a", "b"]);
    expect(replica.status()).toMatchObject({ applied: 2, resyncs: { start: 1, repair: 0 } });
    await replica.synced;
  });

  test("who answers with less than a beacon has told is not believed", async () => {
    for (const key of ["a", "b"]) journal.append(key);
    const behind = journal.answer({ epoch: undefined, applied: 0, atLeast: 0 });
    journal.append("c");
    let first = true;
    const honest = source.answering;
    source.answering = (question, signal) => {
      if (!first) return honest(question, signal);
      first = false;
      return Promise.resolve(behind);
    };
    start();
    source.beacon(journal.head);
    await clock.pass(0);
    source.beacon(journal.head);
    await clock.pass(500);
    expect(replica.status().applied).toBe(3);
  });

  test("an answer that declines is asked again", async () => {
    journal.append("a");
    const honest = source.answering;
    let declined = 0;
    source.answering = (question, signal) =>
      declined++ < 2
        ? Promise.resolve({ mode: "retry", afterMs: 50, why: "starting" })
        : honest(question, signal);
    start();
    await clock.pass(300);
    expect(source.asked).toHaveLength(3);
    expect(replica.status().applied).toBe(1);
  });

  test("a table from disk asks for what came after it, and its age is unknown until then", async () => {
    for (const key of ["a", "b", "c"]) journal.append(key);
    source.answering = () => new Promise(() => {});
    start({ restored: { epoch: journal.epoch, applied: 2 } });
    await clock.pass(10);
    expect(source.asked[0]).toMatchObject({ epoch: "epoch-1", applied: 2 });
    expect(replica.status().stalenessMs).toBeUndefined();
  });
});

describe("the feed", () => {
  test("the next entry is applied at once, an old one is dropped, one that comes too early waits", async () => {
    await startLive();
    const [four, five] = [journal.append("d"), journal.append("e")];
    source.feed(five);
    expect(table.bodies.has("e")).toBe(false);
    source.feed(four);
    source.feed(four);
    expect(replica.status()).toMatchObject({ applied: 5, gaps: 0 });
    expect(table.applied).toEqual([4, 5]);
  });

  test("a hole that lasts 50 ms is repaired", async () => {
    await startLive();
    journal.append("lost");
    source.feed(journal.append("e"));
    await clock.pass(49);
    expect(replica.status().applied).toBe(3);
    await clock.pass(5);
    expect(replica.status()).toMatchObject({
      state: "live",
      applied: 5,
      gaps: 1,
      resyncs: { repair: 1 },
    });
    expect(table.bodies.has("lost")).toBe(true);
  });

  test("an entry of another epoch brings a resync", async () => {
    await startLive();
    journal.recreate();
    source.feed(journal.append("new"));
    await clock.pass(600);
    expect(replica.status()).toMatchObject({ epoch: "epoch-2", applied: 1, resyncs: { epoch: 1 } });
    expect([...table.bodies.keys()]).toEqual(["new"]);
  });

  test("another entry under an old number means the journal was rewound", async () => {
    await startLive();
    journal.rewind(2);
    source.feed(journal.append("other"));
    await clock.pass(600);
    expect(replica.status()).toMatchObject({ applied: 3, resyncs: { rewind: 1 } });
    expect([...table.bodies.keys()]).toEqual(["a", "b", "other"]);
  });

  test("another entry under a number that the answer has, heard before the answer came, means it too", async () => {
    for (const key of ["a", "b", "c"]) journal.append(key);
    source.answering = async (question) => {
      const answer = journal.answer(question);
      await new Promise<void>((resolve) => clock.after(20, resolve));
      return answer;
    };
    start();
    await clock.pass(10);
    journal.rewind(2);
    source.feed(journal.append("other"));
    await clock.pass(600);
    expect(replica.status()).toMatchObject({ applied: 3, resyncs: { rewind: 1 } });
    expect([...table.bodies.keys()]).toEqual(["a", "b", "other"]);
  });

  test("a journal that went back once is no reason to believe one who lags later", async () => {
    await startLive();
    journal.rewind(2);
    source.feed(journal.append("other"));
    await clock.pass(600);
    const lagging = journal.frozen();
    for (const key of ["d", "e"]) source.feed(journal.append(key));
    source.answering = (question) =>
      Promise.resolve(lagging.answer({ ...question, atLeast: 0 }, "snapshot"));
    source.comeBack();
    await clock.pass(1_000);
    expect(replica.status()).toMatchObject({ state: "syncing", applied: 5 });
    expect(table.bodies.has("e")).toBe(true);
  });

  test("a hole that opens while another one closes has its own grace", async () => {
    await startLive();
    const [four, five, , seven] = ["d", "e", "lost", "g"].map((key) => journal.append(key));
    source.feed(five!);
    await clock.pass(40);
    source.feed(four!);
    source.feed(seven!);
    await clock.pass(49);
    expect(replica.status()).toMatchObject({ applied: 5, gaps: 0 });
    await clock.pass(20);
    expect(replica.status()).toMatchObject({ state: "live", applied: 7, gaps: 1 });
  });

  test("an entry that comes again while others still wait is not waited for", async () => {
    await startLive({
      timings: { sliceMs: 0 },
      pause: () => new Promise((resolve) => clock.after(2, resolve)),
    });
    const [four, five, six] = ["d", "e", "f"].map((key) => journal.append(key)) as [
      Recorded,
      Recorded,
      Recorded,
    ];
    for (const entry of [six, five, four, six]) source.feed(entry);
    expect(replica.status().applied).toBe(6);
    const [seven, eight] = [journal.append("g"), journal.append("h")];
    source.beacon(journal.head);
    await clock.pass(40);
    source.feed(seven);
    await clock.pass(40);
    source.feed(eight);
    expect(replica.status()).toMatchObject({ state: "live", applied: 8, gaps: 0 });
  });

  test("a backlog beyond its bound is dropped, and repaired by asking", async () => {
    for (const key of ["a", "b", "c"]) journal.append(key);
    start({ timings: { backlog: 10 } });
    await clock.pass(10);
    journal.append("lost");
    for (let count = 0; count < 30; count++) source.feed(journal.append(`k${count}`));
    await clock.pass(200);
    expect(replica.status().applied).toBe(34);
    expect(replica.status().resyncs.backlog).toBeGreaterThan(0);
  });

  test("a poisoned entry is refused, counted and passed over, and the order's sender is told", async () => {
    await startLive();
    const before = new Map(table.bodies);
    source.feed(journal.append("a", "poison", "order-1"));
    expect(table.bodies).toEqual(before);
    expect(replica.status()).toMatchObject({
      applied: 4,
      poisoned: { count: 1, sequence: 4, error: "poisoned" },
    });
    expect(orders).toEqual([
      { operation: "order-1", sequence: 4, epoch: "epoch-1", error: "poisoned" },
    ]);
    source.feed(journal.append("d"));
    expect(replica.status().applied).toBe(5);
  });

  test("orders are acknowledged, those that a repair brought too", async () => {
    await startLive();
    source.feed(journal.append("d", "x", "order-1"));
    journal.append("e", "y", "order-2");
    source.beacon(journal.head);
    await clock.pass(100);
    expect(orders.map(({ operation }) => operation)).toEqual(["order-1", "order-2"]);
  });
});

describe("a connection that came back", () => {
  test("asks for what came meanwhile", async () => {
    await startLive();
    for (const key of ["d", "e"]) journal.append(key);
    source.comeBack();
    expect(replica.status().state).toBe("syncing");
    await clock.pass(600);
    expect(replica.status()).toMatchObject({
      state: "live",
      applied: 5,
      resyncs: { reconnect: 1 },
    });
  });

  test("in the middle of a question asks no second one, and misses nothing", async () => {
    await startLive();
    journal.append("d");
    source.comeBack();
    source.comeBack();
    journal.append("e");
    await clock.pass(600);
    source.beacon(journal.head);
    await clock.pass(100);
    expect(replica.status().applied).toBe(5);
  });

  test("a delta of a keyed journal has holes in its numbers, and that is no gap", async () => {
    journal = new ModelJournal(true);
    source = new ModelSource(journal, clock);
    table = new ReplaceTable(journal);
    await startLive();
    for (let count = 0; count < 10; count++) journal.append("same");
    source.comeBack();
    await clock.pass(600);
    expect(replica.status()).toMatchObject({ applied: 13, gaps: 0 });
    expect(table.bodies.get("same")).toBe("body-13");
  });
});

test("disposed in the middle of a question, it changes nothing any more and leaves no timer", async () => {
  journal.append("a");
  start();
  await clock.pass(0);
  await replica[Symbol.asyncDispose]();
  await clock.pass(5_000);
  source.feed(journal.append("b"));
  source.beacon(journal.head);
  expect(table.bodies.size).toBe(0);
  await replica[Symbol.asyncDispose]();
  await clock.pass(60_000);
  expect(clock.timers).toBe(0);
});
