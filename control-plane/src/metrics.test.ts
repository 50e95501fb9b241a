import { expect, test } from "vitest";
import { createEmbeddedBus, openEmbeddedStore } from "@tocsin/shared/embedded";
import { systemClock } from "@tocsin/shared";
import { startFollower } from "../../test/cli/follower.ts";
import { startTestNode } from "./testing/node.ts";

test("the metrics tell how long appends take", async () => {
  await using node = await startTestNode();
  await node.call("POST", "/v1/revocations?wait=0", { kind: "user", subject: "bob" });
  const { text } = await node.call("GET", "/metrics");
  expect(text).toContain('tocsin_append_seconds_count{journal="revocations",outcome="recorded"} 1');
  expect(text).not.toMatch(/tocsin_propagation_seconds_count/);
  expect(text).toMatch(/tocsin_append_seconds_bucket\{le="0\.0005",/);
});

test("the metrics tell how long an order takes to each proxy, once", async () => {
  await using stack = new AsyncDisposableStack();
  const bus = stack.use(createEmbeddedBus());
  const { journals } = stack.use(await openEmbeddedStore(":memory:", { bus, clock: systemClock }));
  const node = stack.use(await startTestNode({ store: { bus, journals } }));
  stack.use(await startFollower(bus, "edge-1"));
  stack.use(await startFollower(bus, "edge-2"));
  const order = { kind: "user", subject: "bob", operation: "op-1" };
  for (let time = 0; time < 2; time++)
    expect((await node.call("POST", "/v1/revocations?wait=5s", order)).status).toBe(200);
  const { text } = await node.call("GET", "/metrics");
  expect(text).toContain('tocsin_propagation_seconds_count{journal="revocations"} 2');
});
