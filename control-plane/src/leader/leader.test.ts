/** Several control-plane nodes on a real nats-server: one leads, and what a deposed one writes has no effect. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { silentLog, systemClock, type Clock } from "@tocsin/shared";
import type { ControlPlaneView } from "@tocsin/shared/contract";
import type { Journals } from "@tocsin/shared/journal";
import { connectNats, openNatsJournals } from "@tocsin/shared/nats";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { startNats, type NatsServer } from "../../../test/harness/nats-server.ts";
import { startRelay } from "../../../test/harness/relay.ts";
import { createVirtualClock } from "../../../test/harness/virtual-clock.ts";
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
  readonly name: string;
  readonly journals: Journals;
}

async function startNode(name: string, options: { clock?: Clock; port?: number } = {}) {
  const servers = [`nats://127.0.0.1:${options.port ?? nats.port}`];
  const bus = stack.use(
    await connectNats({ ...common, servers, node: name, role: "control-plane" }),
  );
  const { journals } = stack.use(await openNatsJournals({ ...common, bus }));
  const node = stack.use(
    await startTestNode({
      node: name,
      store: { bus, journals },
      ...(options.clock === undefined ? {} : { clock: options.clock }),
    }),
  );
  return Object.assign(node, { name, journals }) satisfies Node;
}

async function views(node: TestNode): Promise<ControlPlaneView[]> {
  const answer = await node.call("GET", "/v1/control-planes");
  return (answer.json() as unknown as { controlPlanes: ControlPlaneView[] }).controlPlanes;
}

/** Names of those who lead, as a node hears them. */
async function leaders(node: TestNode): Promise<string[]> {
  return (await views(node)).filter(({ leading }) => leading).map((view) => view.node);
}

async function instances(node: TestNode): Promise<string[]> {
  const answer = await node.call("GET", "/v1/services/users");
  const { instances: found = [] } = answer.json() as unknown as {
    instances?: { instance: string }[];
  };
  return found.map(({ instance }) => instance).toSorted();
}

const register = async (node: TestNode, instance: string) =>
  expect(
    (
      await node.call("PUT", `/v1/services/users/instances/${instance}`, {
        url,
        boot: "b",
        health: { interval: "1h" },
      })
    ).status,
  ).toBe(200);

/** Every leader that the journal told of while this was followed. */
async function followLeaders(node: Node): Promise<{ node: string; term: number }[]> {
  const seen: { node: string; term: number }[] = [];
  stack.use(
    await node.journals.catalogue.follow(({ key, body }) => {
      if (key === "leader") seen.push(JSON.parse(body) as { node: string; term: number });
    }),
  );
  return seen;
}

test("of three nodes one leads; who goes away is followed at once, who falls silent within 4 s; terms only grow", async () => {
  const one = await startNode("control-plane-1");
  await vi.waitFor(async () => expect(await leaders(one)).toEqual(["control-plane-1"]), soon);
  const relay = stack.use(await startRelay(nats.port));
  const two = await startNode("control-plane-2", { port: relay.port });
  const three = await startNode("control-plane-3");
  const seen = await followLeaders(three);
  for (const node of [one, two, three])
    await vi.waitFor(async () => {
      expect(await leaders(node)).toEqual(["control-plane-1"]);
      expect((await views(node)).filter(({ live }) => live)).toHaveLength(3);
    }, soon);

  await one[Symbol.asyncDispose]();
  await vi.waitFor(() => expect(seen).toHaveLength(1), { timeout: 1_500, interval: 20 });
  await vi.waitFor(async () => expect(await leaders(three)).toEqual([seen[0]!.node]), soon);

  if (seen[0]!.node === "control-plane-3") {
    // The one behind the relay is to lead, so that it can be silenced.
    await three[Symbol.asyncDispose]();
    await vi.waitFor(async () => expect(await leaders(two)).toEqual(["control-plane-2"]), soon);
  }
  const other = seen[0]!.node === "control-plane-3" ? await startNode("control-plane-4") : three;
  const since = await followLeaders(other);
  await vi.waitFor(async () => expect(await leaders(other)).toEqual(["control-plane-2"]), soon);
  relay.hold();
  const began = performance.now();
  await vi.waitFor(() => expect(since).toHaveLength(1), soon);
  expect(performance.now() - began).toBeLessThan(4_500);
  expect(since[0]!.node).toBe(other.name);
  // Who was cut off knows that it cannot know.
  await vi.waitFor(async () => expect(await leaders(two)).toEqual([]), soon);
  relay.pass();
  await vi.waitFor(async () => expect(await leaders(two)).toEqual([other.name]), soon);
  const terms = [...seen, ...since].map(({ term }) => term);
  expect(new Set(terms).size).toBe(new Set([...seen, ...since].map((entry) => entry.node)).size);
  expect(terms.toSorted((a, b) => a - b)).toEqual(terms);
}, 40_000);

test("an instance that is renewed over HTTP at one node alone lives on while another node leads, and no longer than it renews", async () => {
  const clock = createVirtualClock();
  const leading = await startNode("control-plane-1", { clock });
  await vi.waitFor(async () => {
    await clock.pass(250);
    expect(await leaders(leading)).toEqual(["control-plane-1"]);
  }, soon);
  const asked = await startNode("control-plane-2", { clock });
  await register(asked, "renews");
  await register(asked, "silent");
  for (const node of [leading, asked])
    await vi.waitFor(async () => expect(await instances(node)).toEqual(["renews", "silent"]), soon);
  for (let passed = 0; passed < 14_000; passed += 500) {
    if (passed % 3_000 === 0)
      expect(
        (await asked.call("POST", "/v1/services/users/instances/renews/renew", { boot: "b" }))
          .status,
      ).toBe(200);
    await clock.pass(500);
    // What goes over the bus takes a moment of real time.
    await new Promise((resolve) => setTimeout(resolve, 15));
  }
  for (const node of [leading, asked])
    await vi.waitFor(async () => {
      await clock.pass(250);
      expect(await instances(node)).toEqual(["renews"]);
    }, soon);
  expect(
    leading.lines.filter(({ message }) => message === "lease lapsed, instance removed"),
  ).toMatchObject([{ instance: "silent" }]);
  expect(asked.lines.filter(({ message }) => message === "lease lapsed, instance removed")).toEqual(
    [],
  );
}, 30_000);

test("a removal by a leader that was deposed before it was recorded has no effect, and what it overwrote is written again", async () => {
  const nodes = [await startNode("control-plane-1"), await startNode("control-plane-2")];
  const [one, two] = nodes as [Node, Node];
  await register(one, "users-1");
  await vi.waitFor(async () => expect(await leaders(two)).toHaveLength(1), soon);
  const { catalogue } = one.journals;
  const key = "instance.users.users-1";
  const before = await catalogue.last(key);
  const leader = await catalogue.last("leader");
  const { term } = JSON.parse(leader!.body) as { term: number };
  // Somebody else is chosen; the old leader does not know, and its removal is on its way.
  await catalogue.append(
    {
      key: "leader",
      body: JSON.stringify({ v: 1, kind: "leader", node: "other", boot: "x", term: term + 1 }),
    },
    { expected: leader!.sequence },
  );
  const removal = await catalogue.append(
    { key, body: JSON.stringify({ v: 1, kind: "gone", term }) },
    { expected: before!.sequence },
  );
  await vi.waitFor(async () => {
    const now = await catalogue.last(key);
    expect(now!.body).toBe(before!.body);
    expect(now!.sequence).toBeGreaterThan(removal.sequence);
  }, soon);
  for (const node of nodes) expect(await instances(node)).toEqual(["users-1"]);
  // One of the present term does.
  const { sequence } = (await catalogue.last(key))!;
  await catalogue.append(
    { key, body: JSON.stringify({ v: 1, kind: "gone", term: term + 1 }) },
    { expected: sequence },
  );
  for (const node of nodes)
    await vi.waitFor(async () => expect(await instances(node)).toEqual([]), soon);
}, 30_000);
