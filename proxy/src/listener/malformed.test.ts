import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  answering,
  codeOf,
  converse,
  get,
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
    config: {
      listen: { limits: { headers: "4KiB", uri: "1KiB", body: "16B", headersTimeout: "1s" } },
    },
  });
});

afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  await origin[Symbol.asyncDispose]();
});

const host = "Host: gw.test\r\n";

/** What, the bytes, the status. */
const refused: readonly (readonly [name: string, text: string, status: number])[] = [
  ["garbage", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n", 400],
  ["a request line of one word", "GET\r\n\r\n", 400],
  ["an unknown HTTP version", `GET / HTTP/3.0\r\n${host}\r\n`, 400],
  ["no Host", "GET / HTTP/1.1\r\n\r\n", 400],
  ["no Host in HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", 400],
  ["two Hosts", `GET / HTTP/1.1\r\n${host}Host: other.test\r\n\r\n`, 400],
  ["the same Host twice", `GET / HTTP/1.1\r\n${host}${host}\r\n`, 400],
  ["a Host with user information", "GET / HTTP/1.1\r\nHost: me@gw.test\r\n\r\n", 400],
  ["a Host that is a list", "GET / HTTP/1.1\r\nHost: gw.test, other.test\r\n\r\n", 400],
  ["an empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", 400],
  [
    "two Authorizations",
    `GET / HTTP/1.1\r\n${host}Authorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n`,
    400,
  ],
  ["blank before the colon", `GET / HTTP/1.1\r\n${host}X-A : 1\r\n\r\n`, 400],
  ["a folded field", `GET / HTTP/1.1\r\n${host}X-A: 1\r\n 2\r\n\r\n`, 400],
  ["a bare line feed", `GET / HTTP/1.1\n${host}\r\n`, 400],
  ["a NUL in a field", `GET / HTTP/1.1\r\n${host}X-A: a\0b\r\n\r\n`, 400],
  ["an absolute target of another host", `GET http://other.test/ HTTP/1.1\r\n${host}\r\n`, 400],
  ["an absolute target of another port", `GET http://gw.test:81/ HTTP/1.1\r\n${host}\r\n`, 400],
  [
    "an absolute target with user information",
    `GET http://me@gw.test/ HTTP/1.1\r\n${host}\r\n`,
    400,
  ],
  ["an absolute target of another scheme", `GET ftp://gw.test/ HTTP/1.1\r\n${host}\r\n`, 400],
  ["the asterisk", `OPTIONS * HTTP/1.1\r\n${host}\r\n`, 400],
  ["CONNECT", `CONNECT gw.test:443 HTTP/1.1\r\n${host}\r\n`, 405],
  ["TRACE", `TRACE / HTTP/1.1\r\n${host}\r\n`, 405],
  [
    "a request that has passed eight gateways like this one",
    `GET / HTTP/1.1\r\n${host}Via: ${"1.1 tocsin, 1.0 other, ".repeat(7)}1.1 tocsin (x)\r\n\r\n`,
    508,
  ],
  ["an unknown expectation", `GET / HTTP/1.1\r\n${host}Expect: miracles\r\n\r\n`, 417],
  [
    "both lengths",
    `POST / HTTP/1.1\r\n${host}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    400,
  ],
  [
    "two lengths",
    `POST / HTTP/1.1\r\n${host}Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc`,
    400,
  ],
  [
    "the same length twice",
    `POST / HTTP/1.1\r\n${host}Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc`,
    400,
  ],
  ["a list of lengths", `POST / HTTP/1.1\r\n${host}Content-Length: 3, 3\r\n\r\nabc`, 400],
  ["a signed length", `POST / HTTP/1.1\r\n${host}Content-Length: +3\r\n\r\nabc`, 400],
  [
    "another transfer coding",
    `POST / HTTP/1.1\r\n${host}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`,
    400,
  ],
  [
    "chunked in a list",
    `POST / HTTP/1.1\r\n${host}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n`,
    400,
  ],
  [
    "a transfer coding with a blank before the colon",
    `POST / HTTP/1.1\r\n${host}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n`,
    400,
  ],
  [
    "chunked in HTTP/1.0",
    `POST / HTTP/1.0\r\n${host}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    400,
  ],
  [
    "an announced body beyond the limit",
    `POST / HTTP/1.1\r\n${host}Content-Length: 17\r\n\r\n`,
    413,
  ],
  ["a target beyond the limit", `GET /${"a".repeat(1024)} HTTP/1.1\r\n${host}\r\n`, 414],
  ["fields beyond the limit", `GET / HTTP/1.1\r\n${host}X-A: ${"a".repeat(4096)}\r\n\r\n`, 431],
  [
    "fields beyond every limit",
    `GET / HTTP/1.1\r\n${host}X-A: ${"a".repeat(300_000)}\r\n\r\n`,
    431,
  ],
  ["many small fields", `GET / HTTP/1.1\r\n${host}${"a:1\r\n".repeat(3_000)}\r\n`, 431],
  ["an encoded slash", `GET /a%2Fb HTTP/1.1\r\n${host}\r\n`, 400],
  ["an encoded backslash", `GET /a%5cb HTTP/1.1\r\n${host}\r\n`, 400],
  ["a backslash", `GET /a\\b HTTP/1.1\r\n${host}\r\n`, 400],
  ["an encoded NUL", `GET /a%00b HTTP/1.1\r\n${host}\r\n`, 400],
  ["dot segments", `GET /a/../b HTTP/1.1\r\n${host}\r\n`, 400],
  ["encoded dot segments", `GET /a/%2e%2E/b HTTP/1.1\r\n${host}\r\n`, 400],
  ["dot segments encoded twice", `GET /a/%252e%252e/b HTTP/1.1\r\n${host}\r\n`, 400],
  ["dot segments with parameters", `GET /a/..;x=1/b HTTP/1.1\r\n${host}\r\n`, 400],
  ["an overlong slash", `GET /a%c0%afb HTTP/1.1\r\n${host}\r\n`, 400],
  ["a percent sign that encodes nothing", `GET /a%zz HTTP/1.1\r\n${host}\r\n`, 400],
  ["a fragment", `GET /a#b HTTP/1.1\r\n${host}\r\n`, 400],
  [
    "Connection that names Authorization",
    `GET / HTTP/1.1\r\n${host}Authorization: Bearer a\r\nConnection: authorization\r\n\r\n`,
    400,
  ],
];

describe("what is not a proper request is refused, and the upstream sees nothing", () => {
  test.each(refused)("%s", async (_name, text, status) => {
    const answer = await converse(gateway.port, text);
    expect(statusOf(answer)).toBe(status);
    expect(answer).toMatch(/\r\ncontent-type: application\/problem\+json\r\n/i);
    expect(answer).toMatch(/\r\nconnection: close\r\n/i);
    expect(answer).toMatch(/\r\nx-request-id: [A-Za-z0-9_-]{1,64}\r\n/i);
    expect(origin.received()).toBe("");
  });
});

test("a request that stops in its head is cut off", async () => {
  const answer = await converse(gateway.port, `GET / HTTP/1.1\r\n${host}X-Slow`);
  expect(statusOf(answer)).toBe(408);
  expect(codeOf(answer)).toBe("request-timeout");
});

test("a connection that says nothing is closed", async () => {
  expect(await converse(gateway.port, "")).toMatch(/^HTTP\/1\.1 408 /);
});

test("405 names the methods", async () => {
  expect(await converse(gateway.port, `TRACE / HTTP/1.1\r\n${host}\r\n`)).toMatch(
    /\r\nallow: GET, HEAD, POST/i,
  );
});

test("the listener is well after all of this", async () => {
  expect(statusOf(await get(gateway.port))).toBe(200);
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
