import { silentLog, systemClock } from "@tocsin/shared";
import { subjects } from "@tocsin/shared/bus";
import { Ack, ProxyHeartbeat } from "@tocsin/shared/contract";
import { createEmbeddedBus } from "@tocsin/shared/embedded";
import type { Poisoned, ReplicaStatus } from "@tocsin/shared/replica";
import { afterEach, expect, test } from "vitest";
import { Reports } from "./reports.ts";

const stack: AsyncDisposableStack[] = [];
afterEach(async () => {
  for (const one of stack.splice(0)) await one.disposeAsync();
});

/** What a proxy says of a catalogue of which it has refused this. */
async function saidOf(poisoned: Poisoned | undefined) {
  const parts = new AsyncDisposableStack();
  stack.push(parts);
  const bus = parts.use(createEmbeddedBus());
  const status = {
    state: "live",
    epoch: "e1",
    applied: 99,
    head: 99,
    stalenessMs: 1,
    gaps: 0,
    resyncs: { start: 1, reconnect: 0, epoch: 0, rewind: 0, backlog: 0, suspect: 0, repair: 0 },
  } as const;
  const replica: ReplicaStatus = { ...status, poisoned: undefined };
  const options = {
    node: "proxy-1",
    boot: "boot-1",
    version: "1.2.3",
    bus,
    clock: systemClock,
    log: silentLog,
    replicas: () => ({
      catalogue: { ...status, poisoned },
      health: replica,
      revocations: replica,
      invalidations: replica,
    }),
  };
  const reports = parts.use(new Reports(options));
  const said: { ack?: Ack; heartbeat?: ProxyHeartbeat } = {};
  parts.use(
    await bus.subscribe(subjects.acks, (message) => {
      said.ack = Ack.parse(JSON.parse(message.text()));
    }),
  );
  parts.use(
    await bus.subscribe(subjects.heartbeats("proxy"), (message) => {
      said.heartbeat = ProxyHeartbeat.parse(JSON.parse(message.text()));
    }),
  );
  reports.acknowledge("catalogue", { operation: "order-1", sequence: 99, epoch: "e1" });
  reports.heartbeat();
  await bus.flush();
  return { refused: said.ack?.refused, poisoned: said.heartbeat?.journals.catalogue.poisoned };
}

test("a proxy that refused nothing says so", async () => {
  expect(await saidOf(undefined)).toEqual({ refused: [], poisoned: undefined });
});

test("what was refused is told by number with every word, so that no later entry makes it count as in force", async () => {
  const poisoned = { count: 3, sequence: 9, error: "not JSON", recent: [2, 4, 9] };
  expect(await saidOf(poisoned)).toEqual({ refused: [2, 4, 9], poisoned });
});

test("where more was refused than can be told, the last sixteen are, and how many there were", async () => {
  const recent = Array.from({ length: 16 }, (_, index) => 20 + index);
  const poisoned = { count: 17, sequence: 35, error: "not JSON", recent };
  expect(await saidOf(poisoned)).toEqual({ refused: recent, poisoned });
});
