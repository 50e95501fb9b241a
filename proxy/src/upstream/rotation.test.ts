/** How a service's instances share its requests, with raw sockets on both ends. */
import { afterEach, beforeEach, expect, test } from "vitest";
import {
  answering,
  get,
  instanceAt,
  ok,
  soon,
  startRawOrigin,
  startTestGateway,
  statusOf,
} from "../listener/gateway.fixture.ts";
import type { RawOrigin, TestGateway } from "../listener/gateway.fixture.ts";
import type { UpstreamInstance } from "./instances.ts";

let stack: AsyncDisposableStack;
beforeEach(() => {
  stack = new AsyncDisposableStack();
});
afterEach(() => stack.disposeAsync());

const requestsOf = (origin: RawOrigin) => origin.received().split("GET /").length - 1;

async function fleet(
  balance: object,
  states: readonly Partial<UpstreamInstance>[],
): Promise<{ gateway: TestGateway; counts: () => number[] }> {
  const origins = await Promise.all(
    states.map(async () => stack.use(await startRawOrigin(answering(ok)))),
  );
  const gateway = stack.use(
    await startTestGateway({
      to: origins.map(({ port }, index) =>
        instanceAt(port, { instance: `i${index}`, ...states[index] }),
      ),
      config: { services: { a: { balance } }, listen: { trustedProxies: ["127.0.0.1"] } },
    }),
  );
  return { gateway, counts: () => origins.map(requestsOf) };
}

test("consistent hash: the same user, the same instance", async () => {
  const { gateway, counts } = await fleet({ algorithm: "consistent-hash", on: "header:x-tenant" }, [
    {},
    {},
    {},
  ]);
  for (let count = 0; count < 12; count += 1) await get(gateway.port, "/", ["X-Tenant: blue"]);
  expect(counts().toSorted((a, b) => a - b)).toEqual([0, 0, 12]);
  for (let tenant = 0; tenant < 30; tenant += 1)
    await get(gateway.port, "/", [`X-Tenant: t${tenant}`]);
  for (const count of counts()) expect(count).toBeGreaterThan(1);
});

test("consistent hash by address: that of the client whom a trusted peer names", async () => {
  const { gateway, counts } = await fleet({ algorithm: "consistent-hash", on: "address" }, [
    {},
    {},
  ]);
  for (let client = 0; client < 40; client += 1)
    await get(gateway.port, "/", [`X-Forwarded-For: 192.0.2.${client}`]);
  for (const count of counts()) expect(count).toBeGreaterThan(5);
  const before = counts();
  for (let count = 0; count < 10; count += 1)
    await get(gateway.port, "/", ["X-Forwarded-For: 192.0.2.1"]);
  expect(counts().filter((count, index) => count !== before[index])).toHaveLength(1);
});

test("with too few in rotation all that are active help, but nobody who drains", async () => {
  const out = { eligible: false };
  const drains = { eligible: false, active: false };
  const { gateway, counts } = await fleet({ panicThreshold: "50%" }, [{}, out, out, drains]);
  for (let count = 0; count < 9; count += 1) await get(gateway.port);
  expect(counts()).toEqual([3, 3, 3, 0]);
});

test("with enough in rotation the others are left alone", async () => {
  const { gateway, counts } = await fleet({ panicThreshold: "50%" }, [{}, {}, { eligible: false }]);
  for (let count = 0; count < 8; count += 1) await get(gateway.port);
  expect(counts()).toEqual([4, 4, 0]);
});

test("a circuit that is open counts as out, and panic goes over it", async () => {
  const broken = stack.use(await startRawOrigin(({ socket }) => void socket.destroy()));
  const well = stack.use(await startRawOrigin(answering(ok)));
  const circuit = { failures: 1, rest: "1h" };
  const counts = async (panicThreshold: object) => {
    const gateway = stack.use(
      await startTestGateway({
        to: [broken.port, well.port],
        config: { services: { a: { circuit, balance: panicThreshold } } },
      }),
    );
    const statuses: number[] = [];
    for (let count = 0; count < 8; count += 1) statuses.push(statusOf(await get(gateway.port)));
    return statuses.filter((status) => status === 502).length;
  };
  // One of two is exactly half, so there is no panic at 50 %.
  expect(await counts({})).toBe(1);
  expect(await counts({ panicThreshold: "50%" })).toBe(1);
  expect(await counts({ panicThreshold: "51%" })).toBe(4);
});

test("without a threshold nobody is better than somebody who is out", async () => {
  const { gateway, counts } = await fleet({}, [{ eligible: false }, { eligible: false }]);
  const answer = await get(gateway.port);
  expect(statusOf(answer)).toBe(503);
  expect(answer).toMatch(/\r\nretry-after: \d+\r\n/i);
  expect(counts()).toEqual([0, 0]);
});

test("least requests: one that hangs gets no more than its connections are worth", async () => {
  const quick = stack.use(await startRawOrigin(answering(ok)));
  const mute = stack.use(await startRawOrigin(() => {}));
  const gateway = stack.use(
    await startTestGateway({
      to: [quick.port, mute.port],
      config: { services: { a: { balance: { algorithm: "least-requests" } } } },
    }),
  );
  // At the same time, so that one of them meets a busy first instance and goes to the mute one.
  const atOnce = Array.from({ length: 3 }, () => get(gateway.port).catch(() => ""));
  await soon(() => requestsOf(mute) === 1);
  for (let count = 0; count < 20; count += 1) expect(statusOf(await get(gateway.port))).toBe(200);
  expect(requestsOf(mute)).toBe(1);
  await gateway[Symbol.asyncDispose]();
  await Promise.all(atOnce);
});
