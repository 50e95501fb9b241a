/** Orders and the words of proxies about them: a real journal and bus of one process, time by a virtual clock. */
import { silentLog } from "@tocsin/shared";
import { subjects, type Bus } from "@tocsin/shared/bus";
import {
  protocolVersion,
  type Ack,
  type JournalReport,
  type OrderAnswer,
  type ProxyHeartbeat,
} from "@tocsin/shared/contract";
import { createEmbeddedBus, openEmbeddedStore } from "@tocsin/shared/embedded";
import type { Epoch, Journals, Sequence } from "@tocsin/shared/journal";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createVirtualClock, type VirtualClock } from "../../../test/harness/virtual-clock.ts";
import { Declined } from "../problem.ts";
import { Orders } from "./orders.ts";
import { Proxies } from "./proxies.ts";
import { State } from "./state.ts";

let stack: AsyncDisposableStack;
let clock: VirtualClock;
let bus: Bus;
let journals: Journals;
let orders: Orders;
let epoch: Epoch;

beforeEach(async () => {
  stack = new AsyncDisposableStack();
  clock = createVirtualClock();
  bus = stack.use(createEmbeddedBus());
  ({ journals } = stack.use(await openEmbeddedStore(":memory:", { bus, clock })));
  const common = { bus, clock, log: silentLog };
  const state = stack.use(new State({ ...common, journals, random: () => 0.5 }));
  const proxies = new Proxies(clock);
  orders = new Orders({ ...common, journals, state, proxies });
  stack.use(await proxies.listen(bus));
  stack.use(await orders.listen());
  await clock.pass(100);
  await state.synced();
  ({ epoch } = await journals.revocations.head());
});
afterEach(() => stack.disposeAsync());

/** What a proxy says, when and as a test wants it. */
function proxy(name: string, boot = "boot-1") {
  const report: JournalReport = { epoch, applied: 0, head: 0, state: "live" };
  return {
    beat(
      applied: Sequence | undefined,
      more: Partial<JournalReport> = {},
      heartbeat: Partial<ProxyHeartbeat> = {},
    ) {
      const { epoch: _, ...nothing } = report;
      const said = applied === undefined ? nothing : { ...report, applied, ...more };
      const text: ProxyHeartbeat = {
        v: protocolVersion,
        proxy: name,
        boot,
        version: "1.2.3",
        journals: { catalogue: said, health: said, revocations: said, invalidations: said },
        ...heartbeat,
      };
      bus.publish(subjects.heartbeat("proxy", name), JSON.stringify(text));
    },
    ack(operation: string, applied: Sequence, more: Partial<Ack> = {}) {
      const ack: Ack = { v: protocolVersion, journal: "revocations", epoch, applied, ...more };
      bus.publish(subjects.ack(operation, name), JSON.stringify(ack));
    },
  };
}

/** Gives an order and lets it become durable. Its end is awaited with {@link ended}. */
async function place(
  operation: string,
  waitMs = 10_000,
  journal: "revocations" | "catalogue" = "revocations",
) {
  const answer = orders.place({
    journal,
    operation,
    waitMs,
    entry:
      journal === "catalogue"
        ? { key: "instance.users.one", body: JSON.stringify({ v: 1, kind: "gone" }) }
        : {
            key: "token",
            body: JSON.stringify({
              v: 1,
              id: operation,
              kind: "token",
              issuer: "me",
              jti: operation,
              expiresAt: 1e11,
            }),
          },
  });
  let end: OrderAnswer | Error | undefined;
  answer.then(
    (told) => (end = told),
    (error: Error) => (end = error),
  );
  await clock.pass(10);
  return { end: () => end };
}

describe("an order is known to be applied", () => {
  test("by an acknowledgement of its own", async () => {
    const one = proxy("proxy-1");
    one.beat(0);
    const order = await place("op-1");
    expect(order.end()).toBeUndefined();
    one.ack("op-1", 1);
    await clock.pass(1);
    expect(order.end()).toMatchObject({
      sequence: 1,
      applied: { expected: 1, count: 1, slowest: "proxy-1", missing: [] },
    });
  });

  test("by an acknowledgement that comes before the journal has answered", async () => {
    const one = proxy("proxy-1");
    one.beat(0);
    await clock.pass(1);
    one.ack("op-1", 1);
    const order = await place("op-1");
    expect(order.end()).toMatchObject({ applied: { count: 1, missing: [] } });
  });

  test("by the next heartbeat when the acknowledgement was lost", async () => {
    const one = proxy("proxy-1");
    one.beat(0);
    const order = await place("op-1");
    await clock.pass(1_990);
    expect(order.end()).toBeUndefined();
    one.beat(1);
    await clock.pass(1);
    expect(order.end()).toMatchObject({ applied: { expected: 1, count: 1, ms: 2_000 } });
  });

  test("by the acknowledgement of any later one, of this journal and this epoch", async () => {
    const one = proxy("proxy-1");
    one.beat(0);
    const first = await place("op-1");
    const second = await place("op-2");
    one.ack("op-2", 2, { refused: [], journal: "catalogue" });
    one.ack("op-2", 2, { refused: [], epoch: "another.0" });
    one.ack("op-2", 1, { epoch: "another.0" });
    one.beat(7, { epoch: "another.0" });
    await clock.pass(1);
    expect([first.end(), second.end()]).toEqual([undefined, undefined]);
    one.ack("op-2", 2, { refused: [] });
    await clock.pass(1);
    expect(first.end()).toMatchObject({ sequence: 1, applied: { count: 1, missing: [] } });
    expect(second.end()).toMatchObject({ sequence: 2, applied: { count: 1, missing: [] } });
  });
});

test("an order that is repeated is proven by what was acknowledged before, and by the same process only", async () => {
  const one = proxy("proxy-1");
  one.beat(0);
  const first = await place("op-1");
  const second = await place("op-2");
  one.ack("op-1", 1, { refused: [] });
  one.ack("op-2", 2, { refused: [] });
  await clock.pass(1);
  expect([first.end(), second.end()]).toMatchObject([{ sequence: 1 }, { sequence: 2 }]);
  const again = await place("op-1");
  expect(again.end()).toMatchObject({ sequence: 1, repeated: true, applied: { count: 1 } });
  proxy("proxy-1", "boot-2").beat(0);
  const restarted = await place("op-1", 500);
  await clock.pass(600);
  expect(restarted.end()).toMatchObject({ applied: { count: 0, missing: [{ lag: 1 }] } });
});

describe("an order that a proxy refused", () => {
  const refused = {
    expected: 1,
    count: 0,
    missing: [{ proxy: "proxy-1", error: "not understood" }],
  };

  test("is named with the reason, and no later word of anybody changes what was said first", async () => {
    const one = proxy("proxy-1");
    const two = proxy("proxy-2");
    one.beat(0);
    two.beat(0);
    proxy("proxy-3").beat(0);
    const order = await place("op-1", 2_000);
    one.ack("op-1", 1, { error: "not understood", refused: [1] });
    two.ack("op-1", 1);
    await clock.pass(1_000);
    one.beat(5);
    two.beat(5);
    await clock.pass(2_000);
    const { applied } = order.end() as OrderAnswer;
    expect(applied).toMatchObject({ expected: 3, count: 1, slowest: "proxy-2" });
    expect(applied.missing).toMatchObject([
      { proxy: "proxy-1", error: "not understood" },
      { proxy: "proxy-3", lag: 1 },
    ]);
    expect(applied.ms).toBeLessThan(100);
  });

  test("whose acknowledgement was lost is not taken for applied because later ones were", async () => {
    const one = proxy("proxy-1");
    one.beat(0);
    const order = await place("op-1", 5_000);
    // Does not say what it refused: proves nothing about others.
    one.ack("op-2", 2);
    await clock.pass(1);
    expect(order.end()).toBeUndefined();
    // More was refused than is told, and this one is older than all that is told.
    one.beat(40, { poisoned: { count: 17, sequence: 40, error: "later" } });
    one.ack("op-3", 40, { refused: Array.from({ length: 16 }, (_, index) => 25 + index) });
    await clock.pass(1);
    expect(order.end()).toBeUndefined();
    one.beat(2, { poisoned: { count: 1, sequence: 1, error: "not understood" } });
    await clock.pass(1);
    expect(order.end()).toMatchObject({ applied: refused });
  });

  test("is told by the acknowledgement of a later one", async () => {
    const one = proxy("proxy-1");
    one.beat(0);
    const order = await place("op-1", 5_000);
    one.ack("op-2", 2, { refused: [1] });
    await clock.pass(1);
    expect(order.end()).toMatchObject({ applied: { count: 0, missing: [{ proxy: "proxy-1" }] } });
  });

  test("does not taint the orders beside it", async () => {
    const one = proxy("proxy-1");
    one.beat(0);
    await place("op-1");
    const second = await place("op-2");
    const third = await place("op-3");
    one.beat(3, { poisoned: { count: 1, sequence: 2, error: "not understood" } });
    await clock.pass(1);
    expect(second.end()).toMatchObject({ applied: refused });
    expect(third.end()).toMatchObject({ applied: { count: 1, missing: [] } });
  });
});

describe("a proxy", () => {
  test("that starts anew meanwhile has what it says, not what its former self said", async () => {
    const before = proxy("proxy-1", "boot-1");
    const other = proxy("proxy-2");
    before.beat(0);
    other.beat(0);
    const order = await place("op-1");
    before.ack("op-1", 1);
    const after = proxy("proxy-1", "boot-2");
    after.beat(0);
    await clock.pass(1);
    other.ack("op-1", 1);
    await clock.pass(1);
    expect(order.end()).toBeUndefined();
    after.beat(1);
    await clock.pass(1);
    expect(order.end()).toMatchObject({ applied: { expected: 2, count: 2, missing: [] } });
  });

  test("that says goodbye is not waited for, and not missing", async () => {
    const one = proxy("proxy-1");
    const two = proxy("proxy-2");
    one.beat(0);
    two.beat(0);
    const order = await place("op-1");
    one.ack("op-1", 1);
    two.beat(0, {}, { leaving: true });
    await clock.pass(500);
    expect(order.end()).toMatchObject({ applied: { expected: 1, count: 1, missing: [] } });
  });

  test("that falls silent is waited for as long as it may still be there, and is named as missing", async () => {
    const one = proxy("proxy-1");
    one.beat(0);
    const order = await place("op-1", 60_000);
    await clock.pass(5_500);
    expect(order.end()).toBeUndefined();
    await clock.pass(1_000);
    const { applied } = order.end() as OrderAnswer;
    expect(applied).toMatchObject({
      expected: 1,
      count: 0,
      missing: [{ proxy: "proxy-1", lag: 1 }],
    });
    expect(applied.missing[0]!.lastSeenMs).toBeGreaterThanOrEqual(6_000);
  });

  test("that appears behind the order is waited for, one that has nothing yet is not", async () => {
    const one = proxy("proxy-1");
    one.beat(0);
    const order = await place("op-1", 5_000);
    const late = proxy("proxy-2");
    const empty = proxy("proxy-3");
    late.beat(0);
    empty.beat(undefined);
    one.ack("op-1", 1);
    await clock.pass(1_000);
    expect(order.end()).toBeUndefined();
    late.beat(1);
    await clock.pass(1);
    expect(order.end()).toMatchObject({ applied: { expected: 2, count: 2, missing: [] } });
  });

  test("that does not answer is told with how far it is behind, and when it was heard", async () => {
    proxy("proxy-1").beat(0);
    await clock.pass(1_000);
    const order = await place("op-1", 500);
    await clock.pass(500);
    expect(order.end()).toMatchObject({
      applied: {
        expected: 1,
        count: 0,
        missing: [{ proxy: "proxy-1", lag: 1, lastSeenMs: expect.any(Number) as number }],
      },
    });
    const [missing] = (order.end() as OrderAnswer).applied.missing;
    expect(missing!.lastSeenMs).toBeGreaterThanOrEqual(1_500);
  });
});

describe("when the journal begins another history while an order is under way", () => {
  test("and the order is in it, its proof is that of the new history", async () => {
    const one = proxy("proxy-1");
    one.beat(0);
    const order = await place("op-1");
    const now = await journals.revocations.renew(epoch);
    await clock.pass(600);
    one.beat(0, { epoch: now.epoch });
    await clock.pass(600);
    // The old number in the old epoch is no proof any more.
    one.ack("op-1", 1);
    await clock.pass(600);
    expect(order.end()).toBeUndefined();
    one.beat(2, { epoch: now.epoch });
    await clock.pass(600);
    expect(order.end()).toMatchObject({
      sequence: 1,
      epoch: now.epoch,
      applied: { expected: 1, count: 1, missing: [] },
    });
  });

  test("what was applied before stays applied on a log, and is to be proven anew on a keyed journal", async () => {
    const one = proxy("proxy-1");
    const two = proxy("proxy-2");
    const catalogue = (await journals.catalogue.head()).epoch;
    one.beat(0);
    two.beat(0);
    const revocation = await place("op-1", 60_000);
    const drain = await place("op-2", 60_000, "catalogue");
    one.ack("op-1", 1);
    one.ack("op-2", 1, { journal: "catalogue", epoch: catalogue });
    const renewed = {
      revocations: await journals.revocations.renew(epoch),
      catalogue: await journals.catalogue.renew(catalogue),
    };
    const moved = (name: string, applied: number) => {
      const said = (journal: keyof typeof renewed) => ({
        epoch: renewed[journal].epoch,
        applied,
        head: 2,
        state: "live" as const,
      });
      const others = { applied: 0, head: 0, state: "live" as const };
      const reports = {
        revocations: said("revocations"),
        catalogue: said("catalogue"),
        health: others,
        invalidations: others,
      };
      proxy(name).beat(0, {}, { journals: reports });
    };
    moved("proxy-1", 0);
    moved("proxy-2", 2);
    await clock.pass(1_500);
    expect(revocation.end()).toMatchObject({ applied: { expected: 2, count: 2 } });
    expect(drain.end()).toBeUndefined();
    moved("proxy-1", 2);
    moved("proxy-2", 2);
    await clock.pass(600);
    expect(drain.end()).toMatchObject({ applied: { expected: 2, count: 2 } });
  });

  test("and nobody can say whether the order is in it, that is the answer", async () => {
    const one = proxy("proxy-1");
    one.beat(0);
    const catalogue = (await journals.catalogue.head()).epoch;
    const order = await place("op-1", 3_000, "catalogue");
    await journals.catalogue.append({
      key: "instance.users.one",
      body: '{"v":1,"kind":"gone","term":1}',
    });
    await journals.catalogue.renew(catalogue);
    await clock.pass(4_000);
    const error = order.end() as Declined;
    expect(error).toBeInstanceOf(Declined);
    expect(error).toMatchObject({ status: 503, code: "journal-replaced" });
    expect(error.detail).toContain("not known");
  });
});
