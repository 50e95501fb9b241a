/** What a replica believes of beacons, and what it does without them. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { BusUnavailable } from "../bus/bus.ts";
import type { ReplicaStatus } from "./source.ts";
import { Stage } from "./testing/stage.ts";

let stage: Stage;
let clock: Stage["clock"];
let journal: Stage["journal"];
let source: Stage["source"];
let table: Stage["table"];
let startLive: Stage["startLive"];
let status: () => ReplicaStatus;

/** A beacon each second for so long. */
async function beat(seconds: number): Promise<void> {
  for (let second = 0; second < seconds; second++) {
    source.beacon(journal.head);
    await clock.pass(1_000);
  }
  source.beacon(journal.head);
}

beforeEach(() => {
  stage = new Stage();
  ({ clock, journal, source, table, startLive } = stage);
  status = () => stage.replica.status();
});
afterEach(async () => {
  await stage[Symbol.asyncDispose]();
  expect(table.violations).toEqual([]);
  expect(stage.orders).toEqual(table.owed);
});

describe("the beacon", () => {
  test("a lost last entry is repaired when the beacon has been ahead for 50 ms", async () => {
    await startLive();
    journal.append("lost");
    source.beacon(journal.head);
    expect(status().state).toBe("syncing");
    await clock.pass(49);
    expect(status().applied).toBe(3);
    await clock.pass(5);
    expect(status()).toMatchObject({ state: "live", applied: 4, resyncs: { repair: 1 } });
  });

  test("another epoch brings a resync", async () => {
    await startLive();
    journal.recreate();
    journal.append("new");
    source.beacon(journal.head);
    await clock.pass(600);
    expect(status()).toMatchObject({ epoch: "epoch-2", applied: 1 });
  });

  test("a head that stays behind what was applied brings a resync, one that was overtaken does not", async () => {
    await startLive();
    const old = journal.head;
    source.feed(journal.append("d"));
    source.beacon(old);
    await clock.pass(300);
    source.beacon(journal.head);
    await clock.pass(1_000);
    expect(status()).toMatchObject({ applied: 4, resyncs: { rewind: 0 } });

    journal.rewind(2);
    await beat(2);
    await clock.pass(600);
    expect(status()).toMatchObject({ applied: 2, resyncs: { rewind: 1 } });
    expect([...table.bodies.keys()]).toEqual(["a", "b"]);
  });

  test("staleness is the time since the last beacon that agreed", async () => {
    await startLive();
    await clock.pass(700);
    expect(status().stalenessMs).toBe(700);
    source.beacon(journal.head);
    expect(status().stalenessMs).toBe(0);
  });

  test("three seconds of silence are suspect; an answer is as good as a beacon", async () => {
    await startLive();
    await clock.pass(2_900);
    expect(status().state).toBe("live");
    await clock.pass(700);
    expect(status().state).toBe("suspect");
    expect(status().resyncs.suspect).toBe(1);
    expect(status().stalenessMs).toBeLessThan(700);
    expect(source.reconnects).toBe(0);
    source.beacon(journal.head);
    expect(status().state).toBe("live");
  });

  test("while the silence lasts it asks again and again, and stays as current as the answers", async () => {
    await startLive();
    await clock.pass(20_000);
    expect(status().state).toBe("suspect");
    expect(status().stalenessMs).toBeLessThan(1_100);
    expect(status().resyncs.suspect).toBeGreaterThan(10);
  });

  test("two questions without an answer bring a new connection", async () => {
    await startLive();
    source.answering = () => Promise.reject(new BusUnavailable("timeout", "no answer"));
    await clock.pass(6_000);
    expect(source.reconnects).toBeGreaterThan(0);
    expect(status().state).toBe("stale");
    expect(status().stalenessMs).toBeGreaterThan(5_000);
  });

  test("that nobody is there to answer is no reason for a new connection", async () => {
    await startLive();
    source.answering = () => Promise.reject(new BusUnavailable("no-responders", "nobody"));
    await clock.pass(10_000);
    expect(source.reconnects).toBe(0);
    expect(status().state).toBe("suspect");
  });
});
