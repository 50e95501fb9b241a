import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { silentLog, systemClock } from "@tocsin/shared";
import { subjects } from "@tocsin/shared/bus";
import { protocolVersion, type ProxyHeartbeat } from "@tocsin/shared/contract";
import { createEmbeddedBus, openEmbeddedStore } from "@tocsin/shared/embedded";
import { JournalUnavailable, type Journals } from "@tocsin/shared/journal";
import { connectNats, openNatsJournals } from "@tocsin/shared/nats";
import { afterEach, expect, test, vi } from "vitest";
import { startNats } from "../../../test/harness/nats-server.ts";
import { createVirtualClock } from "../../../test/harness/virtual-clock.ts";
import { startTestNode, type TestNode } from "../testing/node.ts";

let stack = new AsyncDisposableStack();
afterEach(async () => {
  await stack.disposeAsync();
  stack = new AsyncDisposableStack();
});

const path = "/v1/services/users/instances/users-1";

async function startUpstream(status: number) {
  const seen: string[] = [];
  const server = createServer((request, response) => {
    seen.push(request.url ?? "");
    response.writeHead(status).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  stack.defer(() => new Promise<void>((resolve) => void server.close(() => resolve())));
  stack.defer(() => server.closeAllConnections());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen };
}

async function instances(node: TestNode): Promise<Record<string, unknown>[]> {
  const answer = await node.call("GET", "/v1/services/users");
  return answer.status === 404 ? [] : (answer.json()["instances"] as Record<string, unknown>[]);
}

test("an instance that renews stays, and one that is silent for its lease is gone", async () => {
  const clock = createVirtualClock();
  const node = stack.use(await startTestNode({ clock }));
  const { url } = await startUpstream(200);
  await node.call("PUT", path, { url, boot: "first" });
  await clock.pass(6_000);
  expect((await node.call("POST", `${path}/renew`, { boot: "first" })).status).toBe(200);
  await clock.pass(6_000);
  expect(await instances(node)).toHaveLength(1);
  await clock.pass(5_000);
  await vi.waitFor(async () => expect(await instances(node)).toEqual([]));
  const late = await node.call("POST", `${path}/renew`, { boot: "first" });
  expect(late.json()).toMatchObject({ status: 404, code: "lease-lost" });
});

test("a node that stood still takes nobody's silence for an end", async () => {
  const clock = createVirtualClock();
  let stoodMs = 0;
  const paused = { ...clock, monotonic: () => clock.monotonic() + stoodMs };
  const node = stack.use(await startTestNode({ clock: paused }));
  const { url } = await startUpstream(200);
  await node.call("PUT", path, { url, boot: "first" });
  await clock.pass(1_000);
  // As after SIGSTOP: much time has passed, no timer ran, and what was sent meanwhile has yet to be read.
  stoodMs = 30_000;
  await clock.pass(1_000);
  expect(await instances(node)).toHaveLength(1);
  // Who is really gone is noticed one lease later.
  await clock.pass(11_000);
  await vi.waitFor(async () => expect(await instances(node)).toEqual([]));
});

test("while NATS is away nobody can be heard to renew, and nobody is removed for that", async () => {
  const nats = stack.use(await startNats());
  const clock = createVirtualClock();
  const common = { clock: systemClock, log: silentLog };
  const bus = stack.use(
    await connectNats({
      ...common,
      servers: [nats.url],
      node: "control-plane-1",
      role: "control-plane",
    }),
  );
  const { journals } = stack.use(await openNatsJournals({ ...common, bus }));
  const node = stack.use(await startTestNode({ clock, store: { bus, journals } }));
  const { url } = await startUpstream(200);
  expect((await node.call("PUT", path, { url, boot: "first" })).status).toBe(200);
  await nats.kill();
  await vi.waitFor(() => expect(bus.state).toBe("disconnected"), { timeout: 5_000 });
  await clock.pass(30_000);
  await nats.restart();
  await vi.waitFor(() => expect(bus.state).toBe("connected"), { timeout: 10_000 });
  await clock.pass(1_000);
  // A removal that was begun while NATS was away would be recorded within its first second back.
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  expect(await instances(node)).toMatchObject([{ instance: "users-1", state: "active" }]);
  expect((await node.call("POST", `${path}/renew`, { boot: "first" })).status).toBe(200);
}, 30_000);

test("the same process at another address is probed there, and its old verdict does not count", async () => {
  const health = { path: "/health", interval: "100ms" };
  const node = stack.use(await startTestNode());
  const well = await startUpstream(200);
  const ill = await startUpstream(500);
  await node.call("PUT", path, { url: well.url, boot: "first", health });
  await vi.waitFor(async () =>
    expect(await instances(node)).toMatchObject([{ verdict: "healthy" }]),
  );
  await node.call("PUT", path, { url: ill.url, boot: "first", health });
  await vi.waitFor(
    async () =>
      expect(await instances(node)).toMatchObject([
        { url: ill.url, verdict: "unhealthy", reason: "status 500" },
      ]),
    { timeout: 3_000 },
  );
  expect(ill.seen).not.toEqual([]);
});

test("the same process that names another health path is probed there", async () => {
  const node = stack.use(await startTestNode());
  const { url, seen } = await startUpstream(200);
  const register = (health: object) => node.call("PUT", path, { url, boot: "first", health });
  await register({ path: "/old", interval: "100ms" });
  await vi.waitFor(() => expect(seen).toContain("/old"));
  await register({ path: "/new", interval: "100ms" });
  await vi.waitFor(() => expect(seen).toContain("/new"), { timeout: 3_000 });
});

test("a drain that is in force is answered so, though the removal fails; the instance goes when its lease ends", async () => {
  let failing = false;
  const clock = createVirtualClock();
  const node = stack.use(
    await startTestNode({
      clock,
      journals: (real): Journals => ({
        ...real,
        catalogue: new Proxy(real.catalogue, {
          get(target, name) {
            const value: unknown = Reflect.get(target, name, target);
            if (typeof value !== "function") return value;
            return (...given: unknown[]) => {
              const [entry] = given as [{ readonly body?: string }?];
              // The store goes away between the drain and the removal.
              if (failing && name === "append" && entry?.body?.includes('"gone"'))
                return Promise.reject(new JournalUnavailable("away"));
              return (value as (...all: unknown[]) => unknown).apply(target, given);
            };
          },
        }),
      }),
    }),
  );
  const { url } = await startUpstream(200);
  await node.call("PUT", path, { url, boot: "first" });
  failing = true;
  const left = await node.call("DELETE", path, { boot: "first" });
  expect(left.status).toBe(200);
  expect(left.json()).toMatchObject({ applied: { missing: [] } });
  expect(await instances(node)).toMatchObject([{ state: "draining" }]);
  failing = false;
  await clock.pass(11_000);
  await vi.waitFor(async () => expect(await instances(node)).toEqual([]));
});

test("a predecessor that is still draining does not end the lease of the one that took its place", async () => {
  const clock = createVirtualClock();
  const bus = stack.use(createEmbeddedBus());
  const { journals } = stack.use(await openEmbeddedStore(":memory:", { bus, clock: systemClock }));
  const node = stack.use(await startTestNode({ clock, store: { bus, journals } }));
  const { url } = await startUpstream(200);
  // A proxy that never says that it has applied anything, so that the drain lasts as long as it may.
  const { epoch } = await journals.catalogue.head();
  const journal = { epoch, applied: 0, head: 0, state: "live" } as const;
  const heartbeat: ProxyHeartbeat = {
    v: protocolVersion,
    proxy: "proxy-1",
    boot: "p",
    version: "1.2.3",
    journals: { catalogue: journal, health: journal, revocations: journal, invalidations: journal },
  };
  bus.publish(subjects.heartbeat("proxy", "proxy-1"), JSON.stringify(heartbeat));
  await vi.waitFor(async () =>
    expect((await node.call("GET", "/v1/proxies")).text).toContain("proxy-1"),
  );

  await node.call("PUT", path, { url, boot: "first" });
  const leaving = node.call("DELETE", `${path}?wait=1s`, { boot: "first" });
  await vi.waitFor(async () =>
    expect(await instances(node)).toMatchObject([{ state: "draining" }]),
  );
  await node.call("PUT", path, { url, boot: "second" });
  await clock.pass(1_500);
  expect((await leaving).json()).toMatchObject({ applied: { missing: [{ proxy: "proxy-1" }] } });
  expect(await instances(node)).toMatchObject([{ state: "active", lease: {} }]);
});
