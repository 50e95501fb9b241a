/** A lifting: an order like any other, behind those that it lifts. */
import { systemClock } from "@tocsin/shared";
import { RevocationEntry, type RevocationPage } from "@tocsin/shared/contract";
import { createEmbeddedBus, openEmbeddedStore } from "@tocsin/shared/embedded";
import type { Journals } from "@tocsin/shared/journal";
import { RevocationSet } from "@tocsin/shared/revocations";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { startTestNode, type TestNode } from "../testing/node.ts";
import { findLiftable } from "./liftable.ts";
import { revocationId } from "./operation.ts";

let stack: AsyncDisposableStack;
let node: TestNode;
let journals: Journals;

beforeEach(async () => {
  stack = new AsyncDisposableStack();
  const bus = stack.use(createEmbeddedBus());
  ({ journals } = stack.use(await openEmbeddedStore(":memory:", { bus, clock: systemClock })));
  node = stack.use(await startTestNode({ store: { bus, journals } }));
});
afterEach(() => stack.disposeAsync());

const revoke = (body: unknown) => node.call("POST", "/v1/revocations?wait=0", body);
const lift = (id: string, headers = {}, query = "") =>
  node.call("DELETE", `/v1/revocations/${id}?wait=0${query}`, undefined, headers);
async function listed(query = "") {
  const answer = await node.call("GET", `/v1/revocations?limit=1000${query}`);
  return (answer.json() as unknown as RevocationPage).revocations;
}
async function entries(): Promise<RevocationEntry[]> {
  const found: RevocationEntry[] = [];
  for await (const { body } of journals.revocations.read(1, 1_000))
    found.push(RevocationEntry.parse(JSON.parse(body)));
  return found;
}
/** What a proxy makes of the journal. */
async function held(): Promise<RevocationSet> {
  const set = new RevocationSet();
  for (const entry of await entries()) set.apply(entry, 0);
  return set;
}
const bearer = { issuer: "me", subject: "ada", issuedAt: 0, jti: "t1", fingerprint: undefined };

describe("a revocation that is lifted", () => {
  test("is not in force, and stands in the list of all with when", async () => {
    await revoke({ kind: "client", clientId: "web", reason: "leaked" });
    const [revoked] = await listed();
    const answer = await lift(revoked!.id!);
    expect(answer.status).toBe(202);
    expect(answer.json()).toMatchObject({ lifted: { kind: "client", clientId: "web" } });
    expect((await held()).has({ ...bearer, client: "web" })).toBe(false);
    expect(await listed()).toEqual([]);
    expect(await listed("&active=all")).toMatchObject([
      { id: revoked!.id, liftedAt: expect.any(Number) as number },
    ]);
  });

  test("is so once, however often the order is repeated, and told when another one comes", async () => {
    await revoke({ kind: "client", clientId: "web" });
    const [revoked] = await listed();
    const key = { "idempotency-key": "op-1" };
    const first = await lift(revoked!.id!, key, "&reason=mistake");
    const again = await lift(revoked!.id!, key, "&reason=mistake");
    expect(again.status).toBe(202);
    expect(again.json()).toMatchObject({
      operation: "op-1",
      sequence: (first.json() as { sequence: number }).sequence,
      repeated: true,
    });
    expect((await entries()).filter(({ kind }) => kind === "lifting")).toHaveLength(1);
    const other = await lift(revoked!.id!);
    expect([other.status, other.json()]).toMatchObject([409, { code: "already-lifted" }]);
    const misused = await lift(revoked!.id!, key, "&reason=another");
    expect(misused.status).toBe(409);
  });

  test("takes with it what was ordered twice, and not what is ordered later", async () => {
    await revoke({ kind: "token", issuer: "me", jti: "t1", expiresAt: 4e9 });
    await revoke({ kind: "token", issuer: "me", jti: "t1", expiresAt: 5e9 });
    const [first, second] = await listed();
    await lift(first!.id!);
    expect((await held()).has(bearer)).toBe(false);
    expect((await lift(second!.id!)).json()).toMatchObject({ code: "already-lifted" });
    const [, , lifting] = await entries();
    // For as long as any of the two would have held.
    expect(lifting).toMatchObject({ kind: "lifting", expiresAt: 5e9 });
    await revoke({ kind: "token", issuer: "me", jti: "t1", expiresAt: 4e9 });
    expect((await held()).has(bearer)).toBe(true);
    expect(await listed()).toHaveLength(1);
  });

  test("is lifted too where its order came from a clock that is ahead", async () => {
    const at = systemClock.wall() + 60_000;
    const ahead = { v: 1, kind: "session", id: "ahead", at, sid: "s1", expiresAt: 4e9 };
    await journals.revocations.append({ key: "session", body: JSON.stringify(ahead) });
    expect((await lift("ahead")).status).toBe(202);
    const set = await held();
    expect(set.has({ ...bearer, session: "s1" })).toBe(false);
    // Whoever hears of it once more does not take it for a later one.
    set.apply(RevocationEntry.parse(ahead), 0);
    expect(set.has({ ...bearer, session: "s1" })).toBe(false);
    expect(await listed()).toEqual([]);
  });

  test("may have been written again since", async () => {
    const first = { v: 1, kind: "client", id: "old", at: 1, clientId: "web", expiresAt: 1e11 };
    await journals.revocations.append({ key: "client", body: JSON.stringify(first) });
    const copy = { ...first, renewed: { at: 2, of: 1 } };
    const batch = { v: 1, kind: "batch", items: [copy] };
    await journals.revocations.append({ key: "batch", body: JSON.stringify(batch) });
    expect((await lift("old")).status).toBe(202);
    expect((await held()).has({ ...bearer, client: "web" })).toBe(false);
  });

  test("has to be there, and in force", async () => {
    expect((await lift("nobody")).json()).toMatchObject({ status: 404, code: "not-found" });
    const over = { v: 1, kind: "client", id: "over", at: 1, clientId: "web", expiresAt: 2 };
    await journals.revocations.append({ key: "client", body: JSON.stringify(over) });
    expect((await lift("over")).json()).toMatchObject({ status: 409, code: "expired" });
  });
});

test.each([
  { kind: "user", subject: "x", issuer: "\0address" },
  { kind: "user", subject: "web", issuer: "\0client" },
  { kind: "signing-key", issuer: "me", kid: "a\0b" },
  { kind: "signing-key", issuer: "me\0a", kid: "b" },
  { kind: "issuer", issuer: "me\0" },
  { kind: "client", clientId: "\0" },
])(
  "a name that could be taken for another kind of name is no order, and no entry: %j",
  async (order) => {
    const answer = await revoke(order);
    expect([answer.status, answer.json()]).toMatchObject([422, { code: "validation-failed" }]);
    expect(await entries()).toEqual([]);
    const entry = { v: 1, id: "r", at: 1, expiresAt: 4e9, issuedBefore: 1, ...order };
    expect(RevocationEntry.safeParse(entry).success).toBe(false);
  },
);

test("an entry whose block is none, or in another spelling, is refused by whoever reads it", () => {
  const entry = (cidr: string) => ({ v: 1, kind: "address", id: "r", at: 1, cidr, expiresAt: 4e9 });
  expect(RevocationEntry.safeParse(entry("10.0.0.0/8")).success).toBe(true);
  for (const cidr of [
    "x",
    "10.0.0.0",
    "10.1.2.3/8",
    "2001:DB8::/64",
    "10.0.0.0/8 ",
    "::ffff:10.0.0.0/104",
  ])
    expect(RevocationEntry.safeParse(entry(cidr)).success).toBe(false);
  const set = new RevocationSet();
  const key = Buffer.from(set.key).toString("base64url");
  const users: [string, string, number, number][] = [
    ["x", "\0address", 4e9, 4e9],
    ["10.0.0.0/8", "\0address", 4e9, 4e9],
  ];
  set.apply(RevocationEntry.parse({ v: 1, kind: "fingerprints", key, tokens: "", users }), 0);
  expect(set.blocks("10.1.1.1")).toBe(true);
  expect(RevocationSet.restore(set.dump()).blocks("10.1.1.1")).toBe(true);
});

test("no id looks like an option of a command", () => {
  for (let operation = 0; operation < 1_000; operation += 1)
    expect(revocationId(String(operation), undefined, "")).toMatch(/^[A-Za-z0-9_][\w-]{23}$/);
});

test("looking one up among many gives way to others", async () => {
  const batch = (part: number) => ({
    v: 1,
    kind: "batch",
    items: Array.from({ length: 500 }, (_, index) => ({
      v: 1,
      kind: "token",
      id: `r-${part}-${index}`,
      issuer: "me",
      jti: `t-${part}-${index}`,
      expiresAt: 4e9,
    })),
  });
  for (let part = 0; part < 40; part += 1)
    await journals.revocations.append({ key: "batch", body: JSON.stringify(batch(part)) });
  let turns = 0;
  let isOver = false;
  const look = () => {
    turns += 1;
    if (!isOver) setImmediate(look);
  };
  setImmediate(look);
  const found = await findLiftable(journals.revocations, "r-39-499", { by: "l", now: 0 });
  isOver = true;
  expect(found.target).toEqual({ kind: "token", issuer: "me", jti: "t-39-499" });
  expect(turns).toBeGreaterThanOrEqual(2);
});

test("what has an end itself is in the list of what is in force until then", async () => {
  const soon = systemClock.wall() / 1000 + 0.2;
  await revoke({ kind: "address", cidr: "203.0.113.7", expiresAt: soon });
  expect(await listed()).toHaveLength(1);
  await new Promise<void>((resolve) => void systemClock.after(300, resolve));
  expect(await listed()).toEqual([]);
  expect(await listed("&active=all")).toHaveLength(1);
});
