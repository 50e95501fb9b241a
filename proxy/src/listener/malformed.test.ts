/** What a refusal says beside its status. The list of what is refused: test/conformance/malformed-requests.test.ts. */
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  answering,
  converse,
  ok,
  startRawOrigin,
  startTestGateway,
  statusOf,
} from "./gateway.fixture.ts";
import type { RawOrigin, TestGateway } from "./gateway.fixture.ts";

let origin: RawOrigin;
let gateway: TestGateway;

beforeAll(async () => {
  origin = await startRawOrigin(answering(ok));
  gateway = await startTestGateway({
    to: [origin.port],
  });
});

afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  await origin[Symbol.asyncDispose]();
});

const host = "Host: gw.test\r\n";

test("405 names the methods", async () => {
  expect(await converse(gateway.port, `TRACE / HTTP/1.1\r\n${host}\r\n`)).toMatch(
    /\r\nallow: GET, HEAD, POST/i,
  );
});

test("what cannot be read as a request is counted", async () => {
  expect(statusOf(await converse(gateway.port, "GARBAGE\r\n\r\n"))).toBe(400);
  const { text } = await gateway.metrics.scrape();
  expect(text).toMatch(
    /http_requests_total\{method="_OTHER",route="",service="",status_code="400"\} [1-9]/,
  );
});

test("garbage behind a request in flight does not cost the answer to that request", async () => {
  const answer = await converse(gateway.port, `GET /first HTTP/1.1\r\n${host}\r\nGARBAGE\r\n\r\n`);
  expect(answer).toMatch(/^HTTP\/1\.1 200 /);
  expect(answer).toMatch(/HTTP\/1\.1 400 /);
});

test("an absolute target that agrees with the Host is a path", async () => {
  const answer = await converse(
    gateway.port,
    "GET http://GW.test/abs?q HTTP/1.1\r\nHost: gw.test\r\nConnection: close\r\n\r\n",
  );
  expect(statusOf(answer)).toBe(200);
  expect(origin.received()).toMatch(/GET \/abs\?q HTTP\/1\.1/);
});

test("a request that has passed seven gateways, or others that only sound like it, goes on", async () => {
  for (const via of [
    "1.1 tocsin, ".repeat(6) + "1.1 tocsin",
    "1.1 tocsin-edge, ".repeat(20) + "1.1 a",
  ]) {
    const answer = await converse(
      gateway.port,
      `GET / HTTP/1.1\r\n${host}Via: ${via}\r\nConnection: close\r\n\r\n`,
    );
    expect(statusOf(answer)).toBe(200);
    expect(origin.received()).toContain(`Via: ${via}, 1.1 tocsin\r\n`);
  }
});
