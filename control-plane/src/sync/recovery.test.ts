/** A store that lost what it had: a real nats-server that is wiped, whose streams are replaced, that is put back to an older copy. */
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLog, systemClock, systemRandom } from "@tocsin/shared";
import type { NatsBus } from "@tocsin/shared/bus/nats";
import type { Epoch, Journals, Recorded } from "@tocsin/shared/journal";
import { connectNats, openNatsJournals } from "@tocsin/shared/nats";
import { createBusSource, startReplica, type Replica } from "@tocsin/shared/replica";
import { readRevocation, RevocationSet } from "@tocsin/shared/revocations";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { startNats, type NatsServer } from "../../../test/harness/nats-server.ts";
import { startTestNode, type TestNode } from "../testing/node.ts";

const common = { clock: systemClock, log: silentLog };
const soon = { timeout: 8_000, interval: 20 };
let stack: AsyncDisposableStack;
let nats: NatsServer;
let url: string;
beforeEach(async () => {
  stack = new AsyncDisposableStack();
  nats = stack.use(await startNats());
  const server = createServer((_request, response) => response.end());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  stack.defer(() => new Promise<void>((resolve) => void server.close(() => resolve())));
  stack.defer(() => server.closeAllConnections());
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(() => stack.disposeAsync());

interface Node extends TestNode {
  readonly journals: Journals;
  readonly bus: NatsBus;
}

async function startNode(name: string, source?: string): Promise<Node> {
  const bus = stack.use(
    await connectNats({ ...common, servers: [nats.url], node: name, role: "control-plane" }),
  );
  const { journals } = stack.use(await openNatsJournals({ ...common, bus }));
  const node = stack.use(
    await startTestNode({
      node: name,
      store: { bus, journals },
      ...(source === undefined ? {} : { source }),
    }),
  );
  return Object.assign(node, { journals, bus });
}

/** What a proxy would hold of the catalogue: replaced by each snapshot. */
interface Follower {
  readonly replica: Replica;
  readonly entries: Map<string, string>;
  /** Every set of keys that it ever held after it had all of them once. */
  readonly lost: string[];
}

async function follow(): Promise<Follower> {
  const bus = stack.use(
    await connectNats({ ...common, servers: [nats.url], node: "proxy-1", role: "proxy" }),
  );
  const entries = new Map<string, string>();
  const lost: string[] = [];
  const replica = stack.use(
    startReplica<Recorded>({
      ...common,
      random: systemRandom,
      journal: "catalogue",
      source: createBusSource({ bus, journal: "catalogue", node: "proxy-1" }),
      table: {
        decode: (entry) => entry,
        apply: ({ key, body }) => void entries.set(key, body),
        load(changes) {
          const before = [...entries.keys()];
          entries.clear();
          for (const { change } of changes) entries.set(change.key, change.body);
          lost.push(...before.filter((key) => !entries.has(key)));
        },
      },
    }),
  );
  await replica.synced;
  return { replica, entries, lost };
}

const config = (name: string) => `version: 1\nservices: { ${name}: {} }\n`;
const put = (node: TestNode, source: string) =>
  node.call("PUT", "/v1/config?wait=0", source, { "content-type": "application/yaml" });
const revoke = async (node: TestNode, jti: string) =>
  expect(
    (
      await node.call("POST", "/v1/revocations?wait=0", {
        kind: "token",
        issuer: "https://issuer.example",
        jti,
      })
    ).status,
  ).toBe(202);
const register = async (node: TestNode, instance: string) =>
  expect(
    (
      await node.call("PUT", `/v1/services/users/instances/${instance}`, {
        url,
        health: { interval: "1h" },
      })
    ).status,
  ).toBe(200);

/** The journals as they stand in the store, read with no memory of anything. */
async function stored(journal: "catalogue" | "revocations" | "health"): Promise<Recorded[]> {
  await using bus = await connectNats({
    ...common,
    servers: [nats.url],
    node: "reader",
    role: "control-plane",
  });
  const { journals } = await openNatsJournals({ ...common, bus });
  const found: Recorded[] = [];
  for await (const entry of journals[journal].read(1, Infinity)) found.push(entry);
  return found;
}

/** Which of these tokens a node that starts now would not know to be revoked. */
async function forgotten(...tokens: string[]): Promise<string[]> {
  const key = (await stored("catalogue")).find((entry) => entry.key === "fingerprint-key");
  const set = new RevocationSet();
  if (key !== undefined)
    set.useKey(Buffer.from((JSON.parse(key.body) as { key: string }).key, "base64url"));
  for (const { key: under, body } of await stored("revocations"))
    if (under !== "epoch") set.apply(readRevocation(body), 0);
  return tokens.filter(
    (jti) =>
      !set.has({
        issuer: "https://issuer.example",
        jti,
        subject: "x",
        issuedAt: 1,
        fingerprint: undefined,
      }),
  );
}
const instances = async () =>
  (await stored("catalogue"))
    .filter(({ body }) => (JSON.parse(body) as { kind: string }).kind === "instance")
    .map(({ key }) => key);
const revision = async () =>
  (await stored("catalogue"))
    .filter(({ key }) => key === "config")
    .map(({ body }) => (JSON.parse(body) as { revision: number }).revision);

async function epochOf(node: Node): Promise<Epoch> {
  return (await node.journals.catalogue.head()).epoch;
}

/** Deletes a stream behind everybody's back. */
async function deleteStreams(names: readonly string[]): Promise<void> {
  await using bus = await connectNats({
    ...common,
    servers: [nats.url],
    node: "stranger",
    role: "control-plane",
  });
  for (const name of names) {
    const answer = await bus.request(`$JS.API.STREAM.DELETE.${name}`, "", { timeoutMs: 2_000 });
    expect(answer.text()).toContain('"success":true');
  }
}

describe.each([
  { what: "wiped", lose: () => nats.restart({ wipe: true }) },
  {
    what: "emptied by somebody who deletes its streams",
    lose: () => deleteStreams(["TOCSIN_CATALOGUE", "TOCSIN_REVOCATIONS", "TOCSIN_HEALTH"]),
  },
])("a store that is $what", ({ lose }) => {
  test("gets everything back from a node that knows it, and no follower ever lost a key", async () => {
    const node = await startNode("control-plane-1");
    await put(node, config("one"));
    await put(node, config("two"));
    for (const name of ["a", "b", "c"]) await register(node, name);
    for (const jti of ["t1", "t2", "t3"]) await revoke(node, jti);
    await vi.waitFor(
      async () => expect((await stored("catalogue")).map(({ key }) => key)).toContain("leader"),
      soon,
    );
    const follower = await follow();
    const keys = [...follower.entries.keys()].toSorted();
    const before = await epochOf(node);

    await lose();
    await vi.waitFor(async () => expect(await epochOf(node)).not.toBe(before), soon);
    await vi.waitFor(async () => {
      expect(await forgotten("t1", "t2", "t3", "never")).toEqual(["never"]);
      expect((await instances()).toSorted()).toEqual(
        ["a", "b", "c"].map((i) => `instance.users.${i}`),
      );
      expect(await revision()).toEqual([2]);
      expect(await stored("health")).toHaveLength(3);
    }, soon);
    await vi.waitFor(() => {
      expect(follower.replica.status()).toMatchObject({ state: "live" });
      expect(follower.replica.status().epoch).not.toBe(before);
      expect([...follower.entries.keys()].toSorted()).toEqual(keys);
    }, soon);
    expect(follower.lost).toEqual([]);
    // And it goes on.
    expect((await put(node, config("three"))).status).toBe(202);
    await revoke(node, "t4");
    expect(await revision()).toEqual([3]);
    expect(await forgotten("t4")).toEqual([]);
  }, 30_000);
});

describe("a store that is put back to an older copy", () => {
  let copy: string;
  beforeEach(async () => {
    copy = await mkdtemp(join(tmpdir(), "tocsin-copy-"));
    stack.defer(() => rm(copy, { recursive: true, force: true }));
  });

  test("is brought forward by nodes that know better, and begins another history", async () => {
    const nodes = [await startNode("control-plane-1"), await startNode("control-plane-2")];
    const [one, two] = nodes as [Node, Node];
    await put(one, config("one"));
    await register(one, "stays");
    await register(one, "leaves");
    await revoke(one, "old");
    await nats.kill();
    await nats.copyStore(copy);
    await nats.restart();
    await vi.waitFor(async () => expect((await put(one, config("two"))).status).toBe(202), soon);
    await register(two, "new");
    for (let index = 0; index < 30; index++) await revoke(two, `new-${index}`);
    expect((await one.call("DELETE", "/v1/services/users/instances/leaves?wait=0")).status).toBe(
      202,
    );
    const follower = await follow();
    const before = await epochOf(one);

    await nats.restart({ restore: copy });
    // At once, while it is not known yet that anything is lost: it must not get lost in the mending.
    await Promise.all([
      put(two, config("three")),
      ...["during-1", "during-2"].map((jti, which) => revoke(nodes[which]!, jti)),
    ]);
    await vi.waitFor(async () => {
      expect(await revision()).toEqual([3]);
      expect(
        await forgotten(
          "old",
          "during-1",
          "during-2",
          ...Array.from({ length: 30 }, (_, index) => `new-${index}`),
        ),
      ).toEqual([]);
      expect((await instances()).toSorted()).toEqual([
        "instance.users.new",
        "instance.users.stays",
      ]);
      expect(await epochOf(one)).not.toBe(before);
    }, soon);
    expect((await epochOf(one)).split(".")[0]).toBe(before.split(".")[0]);
    await vi.waitFor(async () => {
      expect(follower.replica.status()).toMatchObject({
        state: "live",
        epoch: await epochOf(one),
      });
      expect([...follower.entries.keys()]).toContain("instance.users.new");
    }, soon);
    expect((JSON.parse(follower.entries.get("config")!) as { revision: number }).revision).toBe(3);
    expect(follower.lost).toEqual([]);
    for (const node of nodes) {
      const { epoch, head } = await node.journals.catalogue.head();
      await revoke(node, `after-${head}`);
      expect((await put(node, config(`after-${head}`))).status).toBe(202);
      expect((await node.journals.catalogue.head()).epoch).toBe(epoch);
    }
  }, 40_000);
});
