import { expect, test } from "vitest";
import { startTestNode } from "./testing/node.ts";

test("the metrics tell how long appends take", async () => {
  await using node = await startTestNode();
  await node.call("POST", "/v1/revocations?wait=0", { kind: "user", subject: "bob" });
  const { text } = await node.call("GET", "/metrics");
  expect(text).toContain('tocsin_append_seconds_count{journal="revocations",outcome="recorded"} 1');
  expect(text).not.toMatch(/tocsin_propagation_seconds_count/);
  expect(text).toMatch(/tocsin_append_seconds_bucket\{le="0\.0005",/);
});
