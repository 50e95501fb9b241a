import { silentLog } from "@tocsin/shared";
import { Invalidations } from "@tocsin/shared/invalidations";
import { RevocationSet } from "@tocsin/shared/revocations";
import { expect, test } from "vitest";
import { createInvalidationTable } from "./invalidation-table.ts";
import { createRevocationTable } from "./revocation-table.ts";

const recorded = (body: object | string) => ({
  key: "user",
  body: typeof body === "string" ? body : JSON.stringify(body),
  sequence: 1,
  epoch: "e",
});

function started() {
  const invalidations = new Invalidations();
  const table = createInvalidationTable({ invalidations, log: silentLog });
  const before = invalidations.version;
  return {
    invalidations,
    table,
    apply: (body: object | string) => table.apply(table.decode(recorded(body)), 1),
    holds: (user: string) => invalidations.holds(user, before),
  };
}

test("an entry about a user makes stale what is known of that user alone", () => {
  const { apply, holds } = started();
  apply({ v: 1, kind: "user", user: "ada" });
  expect([holds("ada"), holds("bob")]).toEqual([false, true]);
});

test("an entry about everything makes everything stale", () => {
  const { apply, holds } = started();
  apply({ v: 1, kind: "all" });
  expect([holds("ada"), holds("bob")]).toEqual([false, false]);
});

test("a snapshot says nothing of what came before it, so everything is stale", () => {
  const { table, holds } = started();
  table.load([]);
  expect(holds("ada")).toBe(false);
});

test.each([
  { v: 1, kind: "tag", tag: "user:ada" },
  { v: 2, kind: "user", user: "ada" },
  { v: 1, kind: "user", user: "ada", unless: "active" },
  "not JSON",
  "",
])("an entry that this version does not understand makes everything stale: %j", (body) => {
  const { apply, holds } = started();
  apply(body);
  expect([holds("ada"), holds("bob")]).toEqual([false, false]);
});

test("a user who is revoked, alone or with others, is forgotten too; other revocations say nothing of users", async () => {
  const invalidations = new Invalidations();
  const revocations = new RevocationSet();
  const table = createRevocationTable({
    revocations,
    forgetBefore: () => 0,
    onUser: (subject) => invalidations.forgetUser(subject),
    onUnknown: () => invalidations.forgetAll(),
  });
  const apply = (body: object) => table.apply(table.decode(recorded(body)), 1);
  const user = (subject: string) => ({
    v: 1,
    kind: "user",
    id: "aaaaaaaaaaaaaaaaaaaaaaaa",
    subject,
    issuedBefore: 1,
    expiresAt: 2_000_000_000,
  });
  const session = { ...user(""), kind: "session", sid: "s" };
  const { subject: _, issuedBefore: __, ...ofSession } = session;
  let before = invalidations.version;
  apply(ofSession);
  expect(invalidations.version).toBe(before);
  apply(user("ada"));
  expect(invalidations.holds("ada", before)).toBe(false);
  expect(invalidations.holds("bob", before)).toBe(true);
  apply({ v: 1, kind: "batch", items: [user("bob"), user("eve")] });
  expect(invalidations.holds("bob", before)).toBe(false);
  expect(invalidations.holds("eve", before)).toBe(false);
  expect(invalidations.holds("kim", before)).toBe(true);
  before = invalidations.version;
  await table.loadDump(revocations.dump());
  expect(invalidations.holds("kim", before)).toBe(false);
});
