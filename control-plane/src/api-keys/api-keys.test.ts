import { silentLog, systemClock } from "@tocsin/shared";
import { digestOfKey, faultInKey } from "@tocsin/shared/api-keys";
import { subjects, type Bus } from "@tocsin/shared/bus";
import { ApiKeyEntry, type ApiKeyMade, type ApiKeyPage } from "@tocsin/shared/contract";
import { createEmbeddedBus, openEmbeddedStore } from "@tocsin/shared/embedded";
import type { Journals } from "@tocsin/shared/journal";
import { connectNats, openNatsJournals } from "@tocsin/shared/nats";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { startNats } from "../../../test/harness/nats-server.ts";
import { soon } from "../../../test/harness/soon.ts";
import { createVirtualClock } from "../../../test/harness/virtual-clock.ts";
import { startTestNode, type TestNode, type TestNodeOptions } from "../testing/node.ts";

const source = "version: 1\nidentity: { apiKeys: {} }\n";

let stack: AsyncDisposableStack;
let bus: Bus;
let journals: Journals;
beforeEach(async () => {
  stack = new AsyncDisposableStack();
  bus = stack.use(createEmbeddedBus());
  ({ journals } = stack.use(await openEmbeddedStore(":memory:", { bus, clock: systemClock })));
});
afterEach(() => stack.disposeAsync());

async function startNode(more: TestNodeOptions = {}): Promise<TestNode> {
  return stack.use(await startTestNode({ source, store: { bus, journals }, ...more }));
}

const make = (node: TestNode, body: object, headers: Record<string, string> = {}) =>
  node.call("POST", "/v1/api-keys?wait=1ms", body, headers);
const made = async (node: TestNode, body: object = { principal: "billing" }) =>
  (await make(node, body)).json() as unknown as ApiKeyMade & { key: string };
const rotate = (
  node: TestNode,
  id: string,
  body: object = {},
  headers: Record<string, string> = {},
) => node.call("POST", `/v1/api-keys/${id}/rotate?wait=1ms`, body, headers);
const list = async (node: TestNode, query = "") =>
  (await node.call("GET", `/v1/api-keys${query}`)).json() as unknown as ApiKeyPage;

/** What stands in the journal. */
async function entryOf(id: string): Promise<ApiKeyEntry> {
  const recorded = await journals.catalogue.last(`api-key.${id}`);
  return ApiKeyEntry.parse(JSON.parse(recorded!.body));
}

describe("a new key", () => {
  test("is told once, and stored as a hash", async () => {
    const node = await startNode();
    const answer = await make(node, {
      principal: "billing",
      roles: ["reader", "reader"],
      scopes: ["orders:read"],
      limits: ["partners"],
      expiresAt: 4_000_000_000,
      description: "nightly export",
    });
    expect(answer.status).toBe(201);
    const { id, key, apiKey } = answer.json() as unknown as ApiKeyMade & { key: string };
    expect(faultInKey(key)).toBeUndefined();
    expect(key.slice(7, 19)).toBe(id);
    expect(answer.headers).toMatchObject({
      location: `/v1/api-keys/${id}`,
      etag: '"1"',
      "cache-control": "no-store",
    });
    expect(apiKey).toEqual({
      id,
      state: "active",
      revision: 1,
      principal: "billing",
      roles: ["reader"],
      scopes: ["orders:read"],
      limits: ["partners"],
      expiresAt: 4_000_000_000,
      description: "nightly export",
      createdAt: expect.any(Number),
    });
    const entry = await entryOf(id);
    expect(entry.secrets).toEqual([{ hash: digestOfKey(key), issuedAt: apiKey.createdAt }]);
    expect(JSON.stringify(entry)).not.toContain(key.slice(20, 63));
    expect(JSON.stringify(node.lines)).not.toContain(key.slice(20, 63));
    expect((await node.call("GET", `/v1/api-keys/${id}`)).text).not.toContain("hash");
    expect((await node.call("GET", "/v1/api-keys")).text).not.toContain(entry.secrets[0]!.hash);
  });

  test("is made once by one operation, and shown once", async () => {
    const node = await startNode();
    const named = { "idempotency-key": "order-1" };
    const first = (
      await make(node, { principal: "billing" }, named)
    ).json() as unknown as ApiKeyMade;
    expect(first.key).toBeDefined();
    const again = await make(node, { principal: "billing" }, named);
    expect(again.status).toBe(200);
    const repeated = again.json() as unknown as ApiKeyMade;
    expect(repeated).toMatchObject({ id: first.id, repeated: true, sequence: first.sequence });
    expect(repeated.key).toBeUndefined();
    expect((await list(node)).apiKeys).toHaveLength(1);
    expect((await entryOf(first.id)).secrets[0]!.hash).toBe(digestOfKey(first.key!));

    const other = await make(node, { principal: "shipping" }, named);
    expect(other.status).toBe(409);
    expect(other.json()).toMatchObject({ code: "operation-used" });
    // After it was rotated it is still the key of that operation.
    await rotate(node, first.id);
    expect((await make(node, { principal: "billing" }, named)).json()).toMatchObject({
      id: first.id,
      repeated: true,
    });
  });

  test("is not made by a trial, nor without keys in the config", async () => {
    const node = await startNode();
    const trial = await node.call("POST", "/v1/api-keys?dryRun=true", { principal: "billing" });
    expect([trial.status, trial.json()]).toEqual([200, { valid: true }]);
    expect((await list(node)).apiKeys).toEqual([]);
    await node.call("PUT", "/v1/config?wait=1ms", "version: 1\n");
    for (const path of ["/v1/api-keys", "/v1/api-keys?dryRun=true"]) {
      const answer = await node.call("POST", path, { principal: "billing" });
      expect(answer.status).toBe(409);
      expect(answer.json()).toMatchObject({ code: "api-keys-not-configured" });
    }
  });

  test.each([
    [{}, "/principal"],
    [{ principal: "a\nb" }, "/principal"],
    [{ principal: "p", scopes: ["two words"] }, "/scopes/0"],
    [{ principal: "p", limits: ["No Name"] }, "/limits/0"],
    [{ principal: "p", expiresAt: 1 }, "/expiresAt"],
    [{ principal: "p", rolse: [] }, ""],
  ])("%j is refused at %s", async (body, pointer) => {
    const node = await startNode();
    const answer = await make(node, body);
    expect(answer.status).toBe(422);
    expect(answer.json().errors?.[0]?.pointer).toBe(pointer);
    expect((await list(node)).apiKeys).toEqual([]);
  });
});

describe("a rotation", () => {
  test("makes another secret; the one before is good for a day, or as long as is said", async () => {
    const node = await startNode();
    const { id, key } = await made(node);
    const answer = await rotate(node, id);
    expect(answer.status).toBe(200);
    const second = answer.json() as unknown as ApiKeyMade & { key: string };
    expect(second.key).not.toBe(key);
    expect(second.key.slice(7, 19)).toBe(id);
    const { secrets, revision } = await entryOf(id);
    expect(revision).toBe(2);
    expect(secrets.map(({ hash }) => hash)).toEqual([digestOfKey(second.key), digestOfKey(key)]);
    expect(secrets[1]!.endsAt! - secrets[0]!.issuedAt).toBe(86_400);
    expect(second.apiKey).toMatchObject({ revision: 2, overlapEndsAt: secrets[1]!.endsAt });

    const third = (await rotate(node, id, { overlap: "1h" })).json() as unknown as ApiKeyMade & {
      key: string;
    };
    const after = await entryOf(id);
    expect(after.secrets.map(({ hash }) => hash)).toEqual([
      digestOfKey(third.key),
      digestOfKey(second.key),
    ]);
    expect(after.secrets[1]!.endsAt! - after.secrets[0]!.issuedAt).toBe(3_600);
  });

  test("without an overlap leaves nothing to a clock", async () => {
    const node = await startNode();
    const { id } = await made(node);
    const { apiKey } = (await rotate(node, id, { overlap: "0s" })).json() as unknown as ApiKeyMade;
    expect((await entryOf(id)).secrets[1]!.endsAt).toBe(0);
    expect(apiKey.overlapEndsAt).toBeUndefined();
  });

  test("is done once by one operation, however often it is ordered", async () => {
    const node = await startNode();
    const { id } = await made(node);
    const named = { "idempotency-key": "rotation-1" };
    const first = (await rotate(node, id, {}, named)).json() as unknown as ApiKeyMade;
    const again = await rotate(node, id, {}, named);
    expect(again.json()).toMatchObject({ id, repeated: true, sequence: first.sequence });
    expect(again.json()["key"]).toBeUndefined();
    expect((await entryOf(id)).revision).toBe(2);
  });

  test("may have the operation that made the key", async () => {
    const node = await startNode();
    const named = { "idempotency-key": "one-for-all" };
    const { id } = (await make(node, { principal: "billing" }, named)).json() as unknown as {
      id: string;
    };
    expect((await rotate(node, id, {}, named)).json()["key"]).toBeDefined();
    const again = (await rotate(node, id, {}, named)).json();
    expect([again["repeated"], again["key"]]).toEqual([true, undefined]);
    expect((await entryOf(id)).revision).toBe(2);
  });

  test("is refused at another revision, of a key that is over, and of one that there is not", async () => {
    const clock = createVirtualClock();
    const node = await startNode({ clock });
    const { id, apiKey } = await made(node, {
      principal: "billing",
      expiresAt: Math.floor(clock.wall() / 1_000) + 60,
    });
    expect(apiKey.state).toBe("active");
    const wrong = await rotate(node, id, {}, { "if-match": '"2"' });
    expect([wrong.status, wrong.json()["code"]]).toEqual([412, "precondition-failed"]);
    expect((await rotate(node, id, {}, { "if-match": '"1"' })).status).toBe(200);
    expect((await rotate(node, id, {}, { "if-match": '"1"' })).status).toBe(412);
    expect((await rotate(node, id, {}, { "if-match": "one" })).status).toBe(400);
    expect((await rotate(node, id, {}, { "if-match": "*" })).status).toBe(200);
    expect((await rotate(node, "zzzzzzzzzzzz")).status).toBe(404);
    expect((await rotate(node, "config")).status).toBe(404);
    expect((await rotate(node, id, { overlap: "1 day" })).status).toBe(422);
    await clock.pass(61_000);
    const over = await rotate(node, id);
    expect([over.status, over.json()["code"]]).toEqual([409, "api-key-expired"]);
    expect((await list(node)).apiKeys[0]).toMatchObject({ id, state: "expired" });
  });

  test("that meets another one is done after it: no secret that was shown is lost", async () => {
    const node = await startNode();
    const { id } = await made(node);
    const answers = await Promise.all(Array.from({ length: 2 }, () => rotate(node, id)));
    const keys = answers.map((answer) => (answer.json() as unknown as ApiKeyMade).key!);
    const { secrets, revision } = await entryOf(id);
    expect(revision).toBe(3);
    expect(secrets.map(({ hash }) => hash).toSorted()).toEqual(keys.map(digestOfKey).toSorted());
  });
});

describe("a revocation", () => {
  const revoke = (node: TestNode, id: string) =>
    node.call("DELETE", `/v1/api-keys/${id}?wait=1ms&reason=leaked`);
  const revocations = async (node: TestNode) =>
    (await node.call("GET", "/v1/revocations")).json()["revocations"];

  test("is an order to every proxy, and is written into the entry for ever", async () => {
    const node = await startNode();
    const { id } = await made(node);
    const answer = await revoke(node, id);
    expect(answer.status).toBe(200);
    expect(answer.json()).toMatchObject({
      id,
      sequence: expect.any(Number),
      applied: { expected: 0, count: 0, missing: [] },
      apiKey: { state: "revoked", revokedAt: expect.any(Number), revision: 2 },
    });
    expect(await revocations(node)).toMatchObject([{ kind: "api-key", key: id, reason: "leaked" }]);
    expect(await entryOf(id)).toMatchObject({ revision: 2, revokedAt: expect.any(Number) });
    // Doing it again is no error, and changes nothing about the key.
    expect((await revoke(node, id)).status).toBe(200);
    expect((await entryOf(id)).revision).toBe(2);
    const rotation = await rotate(node, id);
    expect([rotation.status, rotation.json()["code"]]).toEqual([409, "api-key-revoked"]);
    expect((await list(node, "?state=revoked")).apiKeys.map((key) => key.id)).toEqual([id]);
    expect((await list(node, "?state=active")).apiKeys).toEqual([]);
    expect((await revoke(node, "zzzzzzzzzzzz")).status).toBe(404);
    expect((await revoke(node, "k1")).status).toBe(404);
  });

  test.each([
    ["the key", (id: string) => ({ kind: "api-key", id })],
    ["its principal", () => ({ kind: "user", subject: "billing" })],
  ])("of %s by another order is written into the entry by the leader", async (_, order) => {
    const clock = createVirtualClock();
    const node = await startNode({ clock });
    const { id } = await made(node);
    const other = await made(node, { principal: "shipping" });
    expect((await node.call("POST", "/v1/revocations?wait=0", order(id))).status).toBe(202);
    expect(await entryOf(id)).not.toHaveProperty("revokedAt");
    await clock.pass(10_000);
    await soon(async () => expect(await entryOf(id)).toHaveProperty("revokedAt"));
    expect(await entryOf(other.id)).not.toHaveProperty("revokedAt");
  });

  test("of a principal ends the secret of before, not the one that was made later", async () => {
    const clock = createVirtualClock();
    const node = await startNode({ clock });
    const { id } = await made(node);
    const mark = Math.floor(clock.wall() / 1_000);
    await clock.pass(2_000);
    const { key } = (await rotate(node, id, { overlap: "30d" })).json() as unknown as ApiKeyMade;
    const order = { kind: "user", subject: "billing", issuedBefore: mark };
    await node.call("POST", "/v1/revocations?wait=0", order);
    await clock.pass(10_000);
    await soon(async () => expect((await entryOf(id)).secrets).toHaveLength(1));
    const { secrets, revokedAt } = await entryOf(id);
    expect(revokedAt).toBeUndefined();
    expect(secrets[0]!.hash).toBe(digestOfKey(key!));
  });
});

describe("the list", () => {
  test("pages by age, and can be narrowed to a principal or a state", async () => {
    const node = await startNode();
    const ids: string[] = [];
    for (let index = 0; index < 5; index += 1)
      ids.push((await made(node, { principal: index % 2 === 0 ? "even" : "odd" })).id);
    const { apiKeys, next, usageSince } = await list(node, "?limit=2");
    expect(apiKeys).toHaveLength(2);
    expect(usageSince).toBeGreaterThan(0);
    const rest: string[] = apiKeys.map(({ id }) => id);
    let after = next;
    while (after !== undefined) {
      const page = await list(node, `?limit=2&after=${after}`);
      rest.push(...page.apiKeys.map(({ id }) => id));
      after = page.next;
    }
    expect(rest.toSorted()).toEqual(ids.toSorted());
    const odd = await list(node, "?principal=odd");
    expect(odd.apiKeys.map(({ principal }) => principal)).toEqual(["odd", "odd"]);
    expect((await list(node, "?state=revoked")).apiKeys).toEqual([]);
    expect((await list(node, "?state=active&limit=5")).next).toBeUndefined();
    for (const query of ["?limit=0", "?after=x", "?after=zzzzzzzzzzzz", "?state=lost", "?owner=me"])
      expect((await node.call("GET", `/v1/api-keys${query}`)).status, query).toBe(400);
  });

  test("tells to the minute when a key was used, as heartbeats of proxies say", async () => {
    const node = await startNode();
    const { id } = await made(node);
    expect((await list(node)).apiKeys[0]).not.toHaveProperty("lastUsedAt");
    const report = { applied: 0, head: 0, state: "live" };
    const heartbeat = {
      v: 1,
      proxy: "proxy-1",
      boot: "boot",
      version: "1",
      journals: { catalogue: report, health: report, revocations: report, invalidations: report },
      apiKeys: [id, "zzzzzzzzzzzz"],
    };
    bus.publish(subjects.heartbeat("proxy", "proxy-1"), JSON.stringify(heartbeat));
    await soon(async () => {
      const { lastUsedAt } = (await list(node)).apiKeys[0]!;
      expect(lastUsedAt! % 60).toBe(0);
      expect(Math.abs(lastUsedAt! * 1_000 - Date.now())).toBeLessThan(61_000);
    });
    expect((await list(node)).apiKeys).toHaveLength(1);
  });
});

test("over NATS, two nodes make one key of one operation, and tell its secret once", async () => {
  const nats = stack.use(await startNats());
  const nodes: TestNode[] = [];
  for (const name of ["control-plane-1", "control-plane-2"]) {
    const common = { clock: systemClock, log: silentLog };
    const connected = stack.use(
      await connectNats({ ...common, servers: [nats.url], node: name, role: "control-plane" }),
    );
    const store = stack.use(await openNatsJournals({ ...common, bus: connected }));
    nodes.push(
      await startNode({ node: name, store: { bus: connected, journals: store.journals } }),
    );
  }
  const named = { "idempotency-key": "from-two-sides" };
  const answers = await Promise.all(
    nodes.map((node) => make(node, { principal: "billing" }, named)),
  );
  const bodies = answers.map((answer) => answer.json() as unknown as ApiKeyMade);
  expect(new Set(bodies.map(({ id }) => id)).size).toBe(1);
  expect(bodies.filter(({ key }) => key !== undefined)).toHaveLength(1);
  expect(bodies.filter(({ repeated }) => repeated === true)).toHaveLength(1);
  const [one, two] = nodes as [TestNode, TestNode];
  const { id } = bodies[0]!;
  await soon(async () => expect((await two.call("GET", `/v1/api-keys/${id}`)).status).toBe(200));
  const turns = await Promise.all([rotate(one, id, {}, named), rotate(two, id, {}, named)]);
  expect(turns.map(({ status }) => status)).toEqual([200, 200]);
  expect(turns.filter((turn) => turn.json()["key"] !== undefined)).toHaveLength(1);
}, 30_000);
