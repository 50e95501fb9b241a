import { RevocationSet } from "@tocsin/shared/revocations";
import { expect, test } from "vitest";
import { doorOf } from "./door.ts";

const block = (cidr: string, at: number, expiresAt = 1e11) =>
  ({ v: 1, id: `${cidr} ${at}`, kind: "address", cidr, expiresAt, at }) as const;
const lifting = (cidr: string, at: number) =>
  ({
    v: 1,
    id: `lift ${at}`,
    kind: "lifting",
    lifts: "x",
    at,
    target: { kind: "address", cidr },
    expiresAt: 1e11,
  }) as const;

test("what was said of an address holds until other addresses are shut out, or let in, or a block ends", () => {
  const set = new RevocationSet();
  set.pass(1_000);
  const isBlocked = doorOf(set);
  expect(isBlocked("192.0.2.7")).toBe(false);
  set.apply(block("198.51.100.0/24", 10), 0);
  expect(isBlocked("192.0.2.7")).toBe(false);
  set.apply(block("192.0.2.0/24", 20), 0);
  expect(isBlocked("192.0.2.7")).toBe(true);
  // Asked again, and after something that is no address.
  set.addUser("alice", undefined, 1, 1e11);
  expect(isBlocked("192.0.2.7")).toBe(true);
  expect(isBlocked("::ffff:192.0.2.7")).toBe(true);
  set.apply(lifting("192.0.2.0/24", 30), 0);
  expect(isBlocked("192.0.2.7")).toBe(false);
  set.apply(block("192.0.2.0/24", 40, 2_000), 0);
  expect(isBlocked("192.0.2.7")).toBe(true);
  set.pass(2_001);
  expect(isBlocked("192.0.2.7")).toBe(false);
});

test("more addresses than are remembered are told apart all the same", () => {
  const set = new RevocationSet();
  set.apply(block("10.0.0.0/8", 10), 0);
  const isBlocked = doorOf(set);
  for (let round = 0; round < 2; round += 1)
    for (let at = 0; at < 60_000; at += 1) {
      const rest = `${at >> 8}.${at & 255}.1`;
      if (!isBlocked(`10.${rest}`) || isBlocked(`11.${rest}`)) throw new Error(`10.${rest}`);
    }
});
