import { expect, test } from "vitest";
import type { Ack } from "@tocsin/shared/contract";
import { Acks } from "./acks.ts";
import type { Standings } from "./words.ts";

const ack = (applied: number, more: Partial<Ack> = {}): Ack => ({
  v: 1,
  journal: "revocations",
  epoch: "e",
  applied,
  refused: [],
  ...more,
});
const at = (applied: number, epoch = "e"): Standings => ({
  catalogue: { epoch: "c", applied: 0 },
  health: { epoch: "h", applied: 0 },
  revocations: { epoch, applied },
  invalidations: { epoch: "i", applied: 0 },
});

function stage() {
  const said: [string, Ack][] = [];
  const acks = new Acks((operation, told) => said.push([operation, told]));
  acks.join("keeper");
  return { acks, said };
}

test("an order is acknowledged once, when every process has applied it", () => {
  const { acks, said } = stage();
  acks.join("one", at(6));
  acks.join("two", at(6));
  acks.applied("one", "op", ack(7));
  acks.applied("keeper", "op", ack(7));
  expect(said).toEqual([]);
  acks.applied("two", "op", ack(7));
  expect(said).toEqual([["op", ack(7)]]);
});

test("what one of them could not apply, the node could not", () => {
  const { acks, said } = stage();
  acks.join("one", at(6));
  acks.applied("one", "op", ack(7, { error: "no such thing", refused: [7, 3] }));
  acks.applied("keeper", "op", ack(7, { refused: [5, 3] }));
  expect(said).toEqual([["op", ack(7, { error: "no such thing", refused: [3, 5, 7] })]]);
});

test("a process that is gone holds up nothing, and one that has it by a snapshot neither", () => {
  const { acks, said } = stage();
  acks.join("one", at(6));
  acks.join("two", at(6));
  acks.applied("keeper", "op", ack(7));
  acks.leave("one");
  expect(said).toEqual([]);
  acks.stands("two", at(9, "another"));
  acks.stands("two", at(6));
  expect(said).toEqual([]);
  acks.stands("two", at(8));
  expect(said).toHaveLength(1);
});

test("who comes while an order is on its way has to apply it, too", () => {
  const { acks, said } = stage();
  acks.join("one", at(6));
  acks.applied("one", "op", ack(7));
  acks.join("two", at(6));
  acks.applied("keeper", "op", ack(7));
  expect(said).toEqual([]);
  acks.applied("two", "op", ack(7));
  expect(said).toHaveLength(1);
});

test("who does not count, or not any more, is not heard about", () => {
  const { acks, said } = stage();
  acks.stands("stranger", at(9));
  acks.applied("stranger", "op", ack(7));
  expect(said).toEqual([]);
  acks.applied("keeper", "op", ack(7));
  expect(said).toHaveLength(1);
});

test("orders that nobody ever finishes do not pile up", () => {
  const { acks, said } = stage();
  acks.join("one", at(0));
  for (let count = 1; count <= 5_000; count += 1) acks.applied("keeper", `op-${count}`, ack(count));
  acks.leave("one");
  expect(said).toHaveLength(4_096);
  expect(said[0]![0]).toBe("op-905");
});
