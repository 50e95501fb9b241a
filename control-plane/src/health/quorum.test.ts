import { expect, test } from "vitest";
import type { InstanceEntry, ProxyReport } from "@tocsin/shared/contract";
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

function given() {
  const clock = createVirtualClock();
  const quorum = new Quorum(clock);
  const changes: string[] = [];
  quorum.onChange((life) => changes.push(life));
  const report = (proxy: string, circuits: Circuits, traffic = true) =>
    quorum.hear({
      v: 1,
      proxy,
      instances: traffic ? [{ service: "users", instance: "u1", answered: 1, failed: 0 }] : [],
      circuits,
    });
  const open = (proxy: string, restMs = 5_000, boot = "life-1") =>
    report(proxy, [{ service: "users", instance: "u1", boot, state: "open", restMs }]);
  return { clock, quorum, changes, report, open };
}

test("one proxy alone takes nobody out, however few there are", () => {
  const { quorum, open, report } = given();
  open("p1");
  open("p1");
  expect(quorum.outOf(instance)).toBeUndefined();
  report("p2", []);
  expect(quorum.outOf(instance)).toBeUndefined();
  expect(quorum.reading(instance)).toEqual({ open: 1, halfOpen: 0, of: 2 });
});

test("more than half of those that have requests for it do, at once", () => {
  const { quorum, changes, open, report } = given();
  for (const proxy of ["p1", "p2", "p3", "p4"]) report(proxy, []);
  open("p1");
  open("p2");
  expect(quorum.outOf(instance)).toBeUndefined();
  open("p3");
  expect(quorum.outOf(instance)).toMatchObject({ reason: "circuit open on 3 of 4 proxies" });
  expect(changes).toEqual(["users.u1.life-1"]);
});

test("those without requests have no voice", () => {
  const { quorum, open, report } = given();
  for (const proxy of ["p3", "p4", "p5"]) report(proxy, [], false);
  open("p1");
  open("p2");
  expect(quorum.outOf(instance)).toMatchObject({ reason: "circuit open on 2 of 2 proxies" });
});

test("it stays out for the longest rest that was said, and then is asked about anew", async () => {
  const { clock, quorum, changes, open, report } = given();
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

test("what was said about another life says nothing about this one", () => {
  const { quorum, open } = given();
  open("p1", 5_000, "life-0");
  open("p2", 5_000, "life-0");
  expect(quorum.outOf(instance)).toBeUndefined();
  expect(quorum.outOf({ ...instance, boot: "life-0" })).toBeDefined();
});

test("what a proxy does not repeat, takes back, or says while it tries again, does not count", async () => {
  const { clock, quorum, open, report } = given();
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
  const { clock, quorum, open, report } = given();
  for (const proxy of ["p1", "p2", "p3", "p4"]) report(proxy, []);
  await clock.pass(10_100);
  expect(quorum.reading(instance)).toBeUndefined();
  open("p1");
  open("p2");
  expect(quorum.outOf(instance)).toMatchObject({ reason: "circuit open on 2 of 2 proxies" });
});
