import { describe, expect, test } from "vitest";
import type { InstanceEntry, ProxyReport } from "@tocsin/shared/contract";
import type { BusState } from "@tocsin/shared/bus";
import type { Proxies } from "../sync/proxies.ts";
import { createVirtualClock } from "../../../test/harness/virtual-clock.ts";
import { Quorum } from "./quorum.ts";

const instance: InstanceEntry = {
  v: 1,
  kind: "instance",
  service: "users",
  instance: "u1",
  boot: "life-1",
  url: "http://127.0.0.1:1",
  weight: 1,
  state: "active",
};

type Circuits = NonNullable<ProxyReport["circuits"]>;

/** Time in which who begins to listen decides nothing. */
const settleMs = 3_100;
/** Time after which it knows who had requests. */
const heardMs = 10_100;

/** @param restMs how long circuits of the service rest; undefined: it has none */
async function given({
  restMs = 60_000,
  listeningMs = heardMs,
}: { restMs?: number; listeningMs?: number } = {}) {
  const clock = createVirtualClock();
  const live = new Set(["p1", "p2", "p3", "p4", "p5"]);
  let onState: (state: BusState) => void = () => {};
  const lives = new Set(["life-0", "life-1"]);
  const quorum = new Quorum({
    clock,
    bus: {
      onState(listener) {
        onState = listener;
        return () => {};
      },
    },
    proxies: {
      isLive: (proxy) => live.has(proxy),
      live: () =>
        [...live].map((proxy) => ({ heartbeat: { proxy } }) as ReturnType<Proxies["live"]>[number]),
    },
    roster: {
      knows: (service, name) => service === "users" && name === "u1",
      restOf: (service, name, boot) =>
        service === "users" && name === "u1" && lives.has(boot) ? restMs : undefined,
    },
  });
  const changes: (string | undefined)[] = [];
  quorum.onChange((life) => changes.push(life));
  const report = (proxy: string, circuits: Circuits, traffic = true, name = "u1") =>
    quorum.hear({
      v: 1,
      proxy,
      instances: traffic ? [{ service: "users", instance: name, answered: 1, failed: 0 }] : [],
      circuits,
    });
  const open = (proxy: string, forMs = 5_000, boot = "life-1") =>
    report(proxy, [{ service: "users", instance: "u1", boot, state: "open", restMs: forMs }]);
  const connected = () => onState("connected");
  if (listeningMs > 0) await clock.pass(listeningMs);
  changes.length = 0;
  return { clock, quorum, changes, report, open, live, lives, connected };
}

test("one proxy alone takes nobody out, however few there are", async () => {
  const { quorum, open, report } = await given();
  open("p1");
  open("p1");
  expect(quorum.outOf(instance)).toBeUndefined();
  report("p2", []);
  expect(quorum.outOf(instance)).toBeUndefined();
  expect(quorum.reading(instance)).toEqual({ open: 1, halfOpen: 0, of: 2 });
});

test("more than half of those that have requests for it do, at once", async () => {
  const { quorum, changes, open, report } = await given();
  for (const proxy of ["p1", "p2", "p3", "p4"]) report(proxy, []);
  open("p1");
  open("p2");
  expect(quorum.outOf(instance)).toBeUndefined();
  open("p3");
  expect(quorum.outOf(instance)).toMatchObject({ reason: "circuit open on 3 of 4 proxies" });
  expect(changes).toEqual(["users.u1.life-1"]);
});

test("those without requests have no voice", async () => {
  const { quorum, open, report } = await given();
  for (const proxy of ["p3", "p4", "p5"]) report(proxy, [], false);
  open("p1");
  open("p2");
  expect(quorum.outOf(instance)).toMatchObject({ reason: "circuit open on 2 of 2 proxies" });
});

test("it stays out for the longest rest that was said, and then is asked about anew", async () => {
  const { clock, quorum, changes, open, report } = await given();
  open("p1", 2_000);
  open("p2", 3_000);
  await clock.pass(2_900);
  report("p1", []);
  expect(quorum.outOf(instance)).toBeDefined();
  await clock.pass(200);
  expect(quorum.outOf(instance)).toBeUndefined();
  expect(changes).toHaveLength(2);
  expect(quorum.reading(instance)).toEqual({ open: 0, halfOpen: 0, of: 2 });
  open("p1");
  expect(quorum.outOf(instance)).toBeUndefined();
  open("p2");
  expect(quorum.outOf(instance)).toBeDefined();
});

test("what was said about another life says nothing about this one", async () => {
  const { quorum, open } = await given();
  open("p1", 5_000, "life-0");
  open("p2", 5_000, "life-0");
  expect(quorum.outOf(instance)).toBeUndefined();
  expect(quorum.outOf({ ...instance, boot: "life-0" })).toBeDefined();
});

test("what a proxy does not repeat, takes back, or says while it tries again, does not count", async () => {
  const { clock, quorum, open, report } = await given();
  open("p1", 60_000);
  await clock.pass(6_100);
  open("p2", 60_000);
  expect(quorum.outOf(instance)).toBeUndefined();
  report("p2", []);
  open("p1");
  expect(quorum.outOf(instance)).toBeUndefined();
  report("p2", [
    { service: "users", instance: "u1", boot: "life-1", state: "half-open", restMs: 0 },
  ]);
  expect(quorum.outOf(instance)).toBeUndefined();
  expect(quorum.reading(instance)).toEqual({ open: 1, halfOpen: 1, of: 2 });
});

test("traffic of long ago gives no voice, and nobody's word is kept for ever", async () => {
  const { clock, quorum, open, report } = await given();
  for (const proxy of ["p1", "p2", "p3", "p4"]) report(proxy, []);
  await clock.pass(10_100);
  expect(quorum.reading(instance)).toBeUndefined();
  open("p1");
  open("p2");
  expect(quorum.outOf(instance)).toMatchObject({ reason: "circuit open on 2 of 2 proxies" });
});

test("a circuit that has rested says nothing against the instance, although nobody asked since", async () => {
  const { clock, quorum, open } = await given();
  open("p1", 1_000);
  await clock.pass(1_100);
  open("p2", 5_000);
  expect(quorum.reading(instance)).toEqual({ open: 1, halfOpen: 1, of: 2 });
  expect(quorum.outOf(instance)).toBeUndefined();
});

test("nobody keeps an instance out for longer than its service lets circuits rest", async () => {
  const { clock, quorum, open } = await given({ restMs: 2_000 });
  open("p1", 600_000);
  open("p2", 600_000);
  expect(quorum.outOf(instance)).toBeDefined();
  await clock.pass(2_100);
  expect(quorum.outOf(instance)).toBeUndefined();
});

test("what is said of instances that there are not, or of lives that are over, is not kept", async () => {
  const { quorum, report, open, lives } = await given();
  lives.delete("life-1");
  open("p1");
  open("p2");
  expect(quorum.outOf(instance)).toBeUndefined();
  report("p1", [
    { service: "users", instance: "u9", boot: "life-1", state: "open", restMs: 5_000 },
  ]);
  expect(quorum.reading({ ...instance, instance: "u9" })).toBeUndefined();
});

test("proxies that are gone have no voice", async () => {
  const { quorum, report, open, live } = await given();
  for (const proxy of ["p1", "p2", "p3", "p4"]) report(proxy, []);
  live.delete("p3");
  live.delete("p4");
  open("p1");
  open("p2");
  expect(quorum.outOf(instance)).toMatchObject({ reason: "circuit open on 2 of 2 proxies" });
});

describe("who begins to listen", () => {
  test("decides nothing before every proxy can have spoken, and then does", async () => {
    const { clock, quorum, changes, open, live } = await given({ listeningMs: 0 });
    live.clear();
    for (const proxy of ["p1", "p2"]) live.add(proxy);
    open("p1", 30_000);
    open("p2", 30_000);
    expect(quorum.settling).toBe(true);
    expect(quorum.outOf(instance)).toBeUndefined();
    await clock.pass(settleMs);
    expect(quorum.settling).toBe(false);
    expect(quorum.outOf(instance)).toBeDefined();
    expect(changes).toContain(undefined);
  });

  test("takes every live proxy for one that may have had requests", async () => {
    const { clock, quorum, open } = await given({ listeningMs: settleMs });
    open("p1", 30_000);
    open("p2", 30_000);
    expect(quorum.outOf(instance)).toBeUndefined();
    await clock.pass(7_000);
    open("p1", 20_000);
    open("p2", 20_000);
    expect(quorum.outOf(instance)).toMatchObject({ reason: "circuit open on 2 of 2 proxies" });
  });

  test("begins anew when the bus was away", async () => {
    const { clock, quorum, open, connected } = await given();
    connected();
    open("p1");
    open("p2");
    expect(quorum.settling).toBe(true);
    expect(quorum.outOf(instance)).toBeUndefined();
    await clock.pass(settleMs);
    expect(quorum.settling).toBe(false);
  });
});
