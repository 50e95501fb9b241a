import { randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import type { RevocationEntry } from "../contract/entries.ts";
import type { Credential } from "./credential.ts";
import { RevocationSet } from "./revocation-set.ts";

const credential = (session: string | undefined, more: Partial<Credential> = {}): Credential => ({
  issuer: "",
  subject: "ada",
  issuedAt: 1_000,
  jti: undefined,
  fingerprint: undefined,
  session,
  ...more,
});
const entry = (sid: string, expiresAt = 2_000): RevocationEntry => ({
  v: 1,
  kind: "session",
  id: "one",
  sid,
  expiresAt,
});

test("a session is revoked by its id, and so is every token that says it belongs to it", () => {
  const set = new RevocationSet();
  const { version } = set;
  set.apply(entry("s-1"), 0);
  expect(set.version).toBeGreaterThan(version);
  expect(set.has(credential("s-1"))).toBe(true);
  expect(set.has(credential("s-1", { issuer: "me", jti: "t-1" }))).toBe(true);
  expect(set.has(credential("s-2"))).toBe(false);
  expect(set.has(credential(undefined, { issuer: "me", jti: "s-1" }))).toBe(false);
  expect(set.has(credential("x".repeat(100_000)))).toBe(false);
});

test("a token id and a session id of the same text are two things", () => {
  const set = new RevocationSet();
  set.apply({ v: 1, kind: "token", id: "one", issuer: "me", jti: "s-1", expiresAt: 2_000 }, 0);
  expect(set.has(credential("s-1"))).toBe(false);
});

test("several at once, and none that has expired", () => {
  const set = new RevocationSet();
  const item = (sid: string, expiresAt: number) =>
    ({ v: 1, kind: "session", id: sid, sid, expiresAt }) as const;
  set.apply({ v: 1, kind: "batch", items: [item("s-1", 100), item("s-2", 2_000)] }, 500);
  expect([set.has(credential("s-1")), set.has(credential("s-2"))]).toEqual([false, true]);
  set.sweep(2_001);
  expect(set.has(credential("s-2"))).toBe(false);
});

test("it comes through a dump, a merge, another key, and what one node gives back to another", async () => {
  const set = new RevocationSet(randomBytes(16));
  set.apply(entry("s-1"), 0);
  expect(RevocationSet.restore(set.dump()).has(credential("s-1"))).toBe(true);
  set.useKey(randomBytes(16));
  set.apply(entry("s-2"), 0);
  for (const sid of ["s-1", "s-2"]) expect(set.has(credential(sid))).toBe(true);
  const other = new RevocationSet(randomBytes(16));
  other.apply(entry("s-3"), 0);
  await other.merge(set.dump(), 0);
  const third = new RevocationSet(set.key);
  for (const lacking of set.lacking(third, 0)) third.apply(lacking, 0);
  for (const sid of ["s-1", "s-2"]) {
    expect(other.has(credential(sid))).toBe(true);
    expect(third.has(credential(sid))).toBe(true);
  }
});
