import { expect, test } from "vitest";
import type { ProxyReport } from "@tocsin/shared/contract";
import { createVirtualClock } from "../../../test/harness/virtual-clock.ts";
import { WorkersFindings } from "./findings.ts";

type Circuit = NonNullable<ProxyReport["circuits"]>[number];

const counts = (answered: number, failed: number, instance = "u1") => ({
  service: "users",
  instance,
  answered,
  failed,
});
const circuit = (state: Circuit["state"], restMs = 0): Circuit => ({
  service: "users",
  instance: "u1",
  boot: "b",
  state,
  restMs,
});

function stage() {
  const clock = createVirtualClock();
  const said: [ProxyReport["instances"], Circuit[]][] = [];
  const findings = new WorkersFindings(clock, (...told) => said.push(told));
  const report = (member: string, instances: ProxyReport["instances"], circuits: Circuit[] = []) =>
    findings.heard(member, { v: 1, proxy: "p", instances, circuits });
  return { clock, findings, said, report };
}

test("what several workers found in one moment is one report with the sums", async () => {
  const { clock, said, report } = stage();
  report("one", [counts(3, 1)]);
  report("two", [counts(2, 0), counts(0, 9, "u2")]);
  await clock.pass(5);
  expect(said).toEqual([[[counts(5, 1), counts(0, 9, "u2")], []]]);
});

test("a long report in pieces is one, and what was found long ago is not said again", async () => {
  const { clock, said, report } = stage();
  report("one", [counts(1, 0)]);
  report("one", [counts(1, 0, "u2")]);
  await clock.pass(5);
  expect(said.at(-1)![0]).toHaveLength(2);
  await clock.pass(2_600);
  report("two", [counts(4, 0)]);
  await clock.pass(5);
  expect(said.at(-1)).toEqual([[counts(4, 0)], []]);
});

test("the circuit of the node is open when those of most workers with requests are, and is being tried before", async () => {
  const { clock, findings, said, report } = stage();
  report("one", [counts(0, 5)], [circuit("open", 5_000)]);
  report("two", [counts(3, 0)]);
  await clock.pass(5);
  expect(said.at(-1)![1]).toEqual([circuit("half-open")]);
  report("two", [counts(0, 5)], [circuit("open", 3_000)]);
  await clock.pass(5);
  expect(said.at(-1)![1]).toEqual([circuit("open", 5_000)]);
  report("one", [], []);
  report("two", [], []);
  await clock.pass(5);
  expect(said.at(-1)![1]).toEqual([]);
  // One without requests has no voice, and one that is gone neither.
  report("one", [counts(0, 5)], [circuit("open", 5_000)]);
  findings.forget("two");
  report("three", []);
  await clock.pass(5);
  expect(said.at(-1)![1]).toEqual([circuit("open", 5_000)]);
});

test("a worker that falls silent is not counted on", async () => {
  const { clock, said, report } = stage();
  report("one", [counts(0, 5)], [circuit("open", 60_000)]);
  await clock.pass(6_100);
  report("two", [counts(1, 0)]);
  await clock.pass(5);
  expect(said.at(-1)![1]).toEqual([]);
});
