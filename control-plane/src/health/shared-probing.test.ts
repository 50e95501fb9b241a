/** Health checks by several control-plane nodes on a real nats-server, and the brake before mass deaths. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { silentLog, systemClock } from "@tocsin/shared";
import { protocolVersion, type ProxyReport } from "@tocsin/shared/contract";
import { subjects, type Bus } from "@tocsin/shared/bus";
import { connectNats, openNatsJournals } from "@tocsin/shared/nats";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { startNats, type NatsServer } from "../../../test/harness/nats-server.ts";
import { startTestNode, type TestNode } from "../testing/node.ts";
import { probe } from "@tocsin/shared/probe";

const common = { clock: systemClock, log: silentLog };
const soon = { timeout: 9_000, interval: 25 };
let stack: AsyncDisposableStack;
let nats: NatsServer;
beforeEach(async () => {
  stack = new AsyncDisposableStack();
  nats = stack.use(await startNats());
});
afterEach(() => stack.disposeAsync());

const connect = async (node: string, role: "control-plane" | "proxy") =>
  stack.use(await connectNats({ ...common, servers: [nats.url], node, role }));

interface Node extends TestNode {
  /** What it asked, by the port of the instance. */
  readonly asked: Map<string, number>;
  /** Whether it reaches any instance. */
  cutOff: boolean;
}

async function startNode(name: string): Promise<Node> {
  const bus = await connect(name, "control-plane");
  const { journals } = stack.use(await openNatsJournals({ ...common, bus }));
  const asked = new Map<string, number>();
  const node: { cutOff: boolean } = { cutOff: false };
  const started = stack.use(
    await startTestNode({
      node: name,
      store: { bus, journals },
      // The network between this node and the instances, and nothing else, can be taken away.
      probe: (target, clock, signal) => {
        asked.set(target.url, (asked.get(target.url) ?? 0) + 1);
        return node.cutOff
          ? Promise.resolve({ well: false, reason: "EHOSTUNREACH" })
          : probe(target, clock, signal);
      },
    }),
  );
  return Object.assign(node, { ...started, asked });
}

/** An instance whose health can be changed. */
async function startInstance(): Promise<{ url: string; server: Server; well: boolean }> {
  const state = { well: true };
  const server = createServer((_request, response) => {
    response.statusCode = state.well ? 200 : 500;
    response.end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  stack.defer(() => new Promise<void>((resolve) => void server.close(() => resolve())));
  stack.defer(() => server.closeAllConnections());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return Object.assign(state, { url, server });
}

interface View {
  readonly instance: string;
  readonly verdict: string;
  readonly by?: string;
  readonly held?: { readonly since: number; readonly reason: string };
}

async function instances(node: TestNode): Promise<View[]> {
  const answer = await node.call("GET", "/v1/services/users");
  return (answer.json() as unknown as { instances?: View[] }).instances ?? [];
}

const register = async (node: TestNode, instance: string, url: string, interval = "200ms") =>
  expect(
    (
      await node.call("PUT", `/v1/services/users/instances/${instance}`, {
        url,
        boot: "b",
        health: { path: "/health", interval },
      })
    ).status,
  ).toBe(200);

/** Keeps registrations alive while a test runs. */
function renewAll(node: TestNode, names: readonly string[]): void {
  const timer = setInterval(() => {
    for (const name of names)
      void node
        .call("POST", `/v1/services/users/instances/${name}/renew`, { boot: "b" })
        .catch(() => {});
  }, 2_000);
  stack.defer(() => clearInterval(timer));
}

const verdicts = async (node: TestNode) =>
  Object.fromEntries((await instances(node)).map(({ instance, verdict }) => [instance, verdict]));

test("each instance is probed by one node, and by another one soon after that is gone", async () => {
  const nodes = [await startNode("control-plane-1"), await startNode("control-plane-2")];
  const [one, two] = nodes as [Node, Node];
  const names = Array.from({ length: 12 }, (_, index) => `users-${index}`);
  const urls = new Map<string, string>();
  for (const node of nodes)
    await vi.waitFor(async () => {
      const { controlPlanes } = (
        await node.call("GET", "/v1/control-planes")
      ).json() as unknown as { controlPlanes: { live: boolean }[] };
      expect(controlPlanes.filter(({ live }) => live)).toHaveLength(2);
    }, soon);
  for (const name of names) {
    const { url } = await startInstance();
    urls.set(name, url);
    await register(one, name, url);
  }
  renewAll(one, names);
  await vi.waitFor(async () => {
    expect(Object.values(await verdicts(two))).toEqual(names.map(() => "healthy"));
  }, soon);
  // From here on nobody new is told of, so who asks is who looks after it.
  for (const { asked } of nodes) asked.clear();
  await vi.waitFor(() => {
    for (const url of urls.values())
      expect(nodes.filter(({ asked }) => (asked.get(url) ?? 0) >= 2)).toHaveLength(1);
  }, soon);
  for (const url of urls.values())
    expect(nodes.filter(({ asked }) => asked.has(url))).toHaveLength(1);
  expect(one.asked.size).toBeGreaterThan(1);
  expect(two.asked.size).toBeGreaterThan(1);

  const orphans = [...two.asked.keys()];
  await two[Symbol.asyncDispose]();
  const began = performance.now();
  await vi.waitFor(() => {
    for (const url of orphans) expect(one.asked.has(url)).toBe(true);
  }, soon);
  expect(performance.now() - began).toBeLessThan(4_500);
  expect(Object.values(await verdicts(one))).toEqual(names.map(() => "healthy"));
}, 40_000);

async function threeInstances(node: Node) {
  const started = [await startInstance(), await startInstance(), await startInstance()];
  for (const [index, { url }] of started.entries()) await register(node, `users-${index}`, url);
  renewAll(
    node,
    started.map((_, index) => `users-${index}`),
  );
  await vi.waitFor(
    async () => expect(Object.values(await verdicts(node))).toEqual(started.map(() => "healthy")),
    soon,
  );
  return started;
}

test("a node that reaches nothing any more takes nothing out while another one reaches it, and says so", async () => {
  const one = await startNode("control-plane-1");
  const two = await startNode("control-plane-2");
  await threeInstances(two);
  one.cutOff = true;
  const held = async () => (await instances(one)).filter((view) => view.held !== undefined);
  await vi.waitFor(async () => expect((await held()).length).toBeGreaterThan(0), soon);
  for (const view of await held()) {
    expect(view).toMatchObject({ verdict: "healthy" });
    expect(view.held!.reason).toBe("control-plane-2 reaches it");
  }
  expect((await one.call("GET", "/metrics")).text).toMatch(/tocsin_held_instances [1-3]\n/);
  // Some more probes, and still.
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  expect(Object.values(await verdicts(two))).toEqual(["healthy", "healthy", "healthy"]);
  one.cutOff = false;
  await vi.waitFor(async () => expect(await held()).toEqual([]), soon);
}, 40_000);

test("what really died is taken out, however much of it there is", async () => {
  const one = await startNode("control-plane-1");
  await startNode("control-plane-2");
  const started = await threeInstances(one);
  for (const instance of started) instance.well = false;
  const began = performance.now();
  await vi.waitFor(
    async () =>
      expect(Object.values(await verdicts(one))).toEqual(["unhealthy", "unhealthy", "unhealthy"]),
    soon,
  );
  // Three probes 200 ms apart, and a second at most to ask.
  expect(performance.now() - began).toBeLessThan(200 * 3 + 1_500 + 500);
}, 40_000);

test("a node alone believes a proxy that gets answers, and nobody when no proxy says anything", async () => {
  const one = await startNode("control-plane-1");
  await threeInstances(one);
  const proxy: Bus = await connect("proxy-1", "proxy");
  const report = (answered: number, failed: number) => {
    const message: ProxyReport = {
      v: protocolVersion,
      proxy: "proxy-1",
      instances: [0, 1, 2].map((index) => ({
        service: "users",
        instance: `users-${index}`,
        answered,
        failed,
      })),
    };
    proxy.publish(subjects.report("proxy-1"), JSON.stringify(message));
  };
  report(10, 1);
  const timer = setInterval(() => report(10, 1), 500);
  stack.defer(() => clearInterval(timer));
  await proxy.flush();
  one.cutOff = true;
  await vi.waitFor(async () => {
    const views = await instances(one);
    expect(views.map(({ held }) => held?.reason)).toEqual(
      Array.from({ length: 3 }, () => "proxy-1 gets answers from it"),
    );
    expect(views.map(({ verdict }) => verdict)).toEqual(["healthy", "healthy", "healthy"]);
  }, soon);
  clearInterval(timer);
  report(0, 10);
  await vi.waitFor(
    async () =>
      expect(Object.values(await verdicts(one))).toEqual(["unhealthy", "unhealthy", "unhealthy"]),
    soon,
  );
}, 40_000);

test("one instance among many that dies is taken out without a question", async () => {
  const one = await startNode("control-plane-1");
  const two = await startNode("control-plane-2");
  const started = await threeInstances(one);
  const asks: string[] = [];
  const listener = await connect("control-plane-3", "control-plane");
  stack.use(
    await listener.subscribe(subjects.heartbeats("control-plane"), (message) => {
      if (message.text().includes('"doubts"')) asks.push(message.text());
    }),
  );
  // On which node it is looked after decides how many are its neighbours, so all go to one.
  await two[Symbol.asyncDispose]();
  await vi.waitFor(() => expect(one.asked.size).toBe(3), soon);
  await new Promise((resolve) => setTimeout(resolve, 500));
  started[0]!.well = false;
  await vi.waitFor(
    async () =>
      expect(Object.values(await verdicts(one)).toSorted()).toEqual([
        "healthy",
        "healthy",
        "unhealthy",
      ]),
    soon,
  );
  expect(asks).toEqual([]);
}, 40_000);
