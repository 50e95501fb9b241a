/**
 * Requests that are malformed, or could be read in two ways. Each is a line: its bytes, and what the client is told. Both ends are raw
 * sockets: behind each stands another request, which must not be served, and the upstream must see nothing, not even a connection.
 */
import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  answering,
  codeOf,
  converse,
  get,
  instanceAt,
  ok,
  soon,
  startRawOrigin,
  startTestGateway,
  statusOf,
} from "../../proxy/src/listener/gateway.fixture.ts";
import type { RawOrigin, TestGateway } from "../../proxy/src/listener/gateway.fixture.ts";
import { refusals } from "../../shared/src/refusal.ts";
import type { RefusalCode } from "../../shared/src/refusal.ts";
import { hostFields, otherFields } from "./malformed/fields.ts";
import { chunks, codings, lengths } from "./malformed/framing.ts";
import { fields, line } from "./malformed/line.ts";
import type { Malformed } from "./malformed/line.ts";
import { requestLines } from "./malformed/request-line.ts";

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

const smuggled = "GET /smuggled HTTP/1.1\r\nHost: gw.test\r\n\r\n";

const lists: Readonly<Record<string, readonly Malformed[]>> = {
  "request lines": requestLines,
  hosts: hostFields,
  fields: otherFields,
  lengths,
  codings,
  chunks,
};

for (const [what, list] of Object.entries(lists)) {
  describe(`${what}: refused, closed, and the upstream sees nothing`, () => {
    test.each(list.map(named))("$name", async ({ bytes, status, code }) => {
      origin.connections.length = 0;
      const answer = await converse(gateway.port, bytes + smuggled);
      expect({ status: statusOf(answer), code: codeOf(answer) }).toEqual({ status, code });
      expect(answer).toMatch(/\r\ncontent-type: application\/problem\+json\r\n/i);
      expect(answer).toMatch(/\r\nconnection: close\r\n/i);
      expect(answer).toMatch(/\r\nx-request-id: [A-Za-z0-9_-]{1,64}\r\n/i);
      expect(answer.match(/HTTP\/1\.1 \d/g)).toHaveLength(1);
      expect(origin.connections).toHaveLength(0);
      await soon(() => gateway.listener.active === 0);
    });
  });
}

function named([name, bytes, status, code = codeFor(status)]: Malformed) {
  return { name, bytes, status, code };
}

/** The first code with this status. */
function codeFor(status: number): RefusalCode {
  const codes = Object.keys(refusals) as RefusalCode[];
  return codes.find((code) => refusals[code].status === status)!;
}

/** Bodies that turn out to be malformed behind their head: what of them has come, what comes then, and what the client is told. */
const late: readonly (readonly [name: string, first: string, then: string, status: number])[] = [
  ["a chunk size that is none", "3\r\nabc\r\n", "x\r\n", 400],
  ["a signed chunk size", "3\r\nabc\r\n", "+3\r\nabc\r\n0\r\n\r\n", 400],
  ["a chunk that is too long", "3\r\nabc\r\n3\r\nabc", "d\r\n0\r\n\r\n", 400],
  ["a bare line feed behind a chunk", "3\r\nabc", "\n0\r\n\r\n", 400],
  ["a bare line feed at the end", "3\r\nabc\r\n", "0\n\n", 400],
  ["a trailer with a length", "3\r\nabc\r\n0\r\n", "Content-Length: 3\r\n\r\n", 400],
  ["a trailer with a Host", "3\r\nabc\r\n0\r\n", "Host: other.test\r\n\r\n", 400],
  ["a trailer with a NUL", "3\r\nabc\r\n0\r\n", "X-A: \0\r\n\r\n", 400],
  ["a body that grows beyond the limit", "8\r\nabcdefgh\r\n", "9\r\nabcdefghi\r\n0\r\n\r\n", 413],
  ["extensions beyond every limit", "3\r\nabc\r\n", `3;${"a".repeat(20_000)}\r\nabc\r\n`, 413],
];

describe("refused within the body: closed, and the upstream's copy has no end", () => {
  test.each(late)("%s", async (_name, first, then, status) => {
    const silent = await startRawOrigin(() => {});
    gateway.setInstances(instanceAt(silent.port));
    const { socket, heard } = talk(gateway.port);
    socket.write(
      `POST /late HTTP/1.1\r\nHost: gw.test\r\nTransfer-Encoding: chunked\r\n\r\n${first}`,
      "latin1",
    );
    await soon(() => silent.received().includes("abc"));
    socket.write(then + smuggled, "latin1");
    await soon(() => socket.closed);
    expect({ status: statusOf(heard()), code: codeOf(heard()) }).toEqual({
      status,
      code: codeFor(status),
    });
    expect(heard().match(/HTTP\/1\.1 \d/g)).toHaveLength(1);
    expect(heard()).toMatch(/\r\nconnection: close\r\n/i);
    await soon(() => silent.connections.every((connection) => connection.socket.closed));
    expect(silent.received()).not.toMatch(/\r\n0\r\n|smuggled/);
    expect(silent.connections).toHaveLength(1);
    await silent[Symbol.asyncDispose]();
    gateway.setInstances(instanceAt(origin.port));
  });
});

function talk(port: number) {
  let text = "";
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => {});
  socket.on("data", (bytes) => (text += bytes.toString("latin1")));
  return { socket, heard: () => text };
}

test("a request that was answered for is not lost for what stands behind it", async () => {
  origin.connections.length = 0;
  const answer = await converse(
    gateway.port,
    `GET /first HTTP/1.1\r\nHost: gw.test\r\n\r\nPOST /second HTTP/1.1\r\nHost: gw.test\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n${smuggled}`,
  );
  expect(answer.match(/HTTP\/1\.1 \d+/g)).toEqual(["HTTP/1.1 200", "HTTP/1.1 400"]);
  expect(origin.received()).toMatch(/^GET \/first /);
  expect(origin.received()).not.toMatch(/second|smuggled/);
});

test("behind a request that says it is the last one nothing is read, and nothing is said", async () => {
  origin.connections.length = 0;
  const answer = await converse(
    gateway.port,
    `GET /last HTTP/1.1\r\nHost: gw.test\r\nConnection: close\r\n\r\n${smuggled}`,
  );
  expect(answer.match(/HTTP\/1\.1 \d+/g)).toEqual(["HTTP/1.1 200"]);
  expect(origin.received()).not.toContain("smuggled");
});

/** What others may refuse, but nobody can read in two ways; and the first line of what the upstream gets. */
const tolerated: readonly (readonly [name: string, bytes: string, sent: string])[] = [
  ["an empty line before the request", `\r\n${line("GET /a HTTP/1.1")}`, "GET /a HTTP/1.1"],
  ["several blanks in the request line", line("GET  /a   HTTP/1.1"), "GET /a HTTP/1.1"],
  ["an absolute target", line("GET http://gw.test/a?b HTTP/1.1"), "GET /a?b HTTP/1.1"],
  ["an absolute target in capitals", line("GET HTTP://GW.TEST:80/a HTTP/1.1"), "GET /a HTTP/1.1"],
  ["an absolute target without a path", line("GET http://gw.test?b HTTP/1.1"), "GET /?b HTTP/1.1"],
  ["HTTP/1.0", line("GET /a HTTP/1.0"), "GET /a HTTP/1.1"],
  ["the protocol of cameras", line("GET /a RTSP/1.0"), "GET /a HTTP/1.1"],
  ["a Host of an IPv6 address", "GET /a HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", "GET /a HTTP/1.1"],
  ["a Host with the root's dot", "GET /a HTTP/1.1\r\nHost: gw.test.\r\n\r\n", "GET /a HTTP/1.1"],
  ["blanks around a value", fields("X-A:  \t1 \t "), "GET / HTTP/1.1"],
  ["obs-text in a value", fields("X-A: caf\xe9"), "GET / HTTP/1.1"],
  ["an extension of a chunk", chunkedPost('3;a="b c";d\r\nabc\r\n0\r\n\r\n'), "POST / HTTP/1.1"],
  ["a chunk size with noughts", chunkedPost("0003\r\nabc\r\n00\r\n\r\n"), "POST / HTTP/1.1"],
  [
    "a coding in capitals",
    chunkedPost("0\r\n\r\n").replace("chunked", "CHUNKED"),
    "POST / HTTP/1.1",
  ],
  ["a trailer that means nothing", chunkedPost("0\r\nX-Sum: 1\r\n\r\n"), "POST / HTTP/1.1"],
];

function chunkedPost(body: string): string {
  return line("POST / HTTP/1.1", "Transfer-Encoding: chunked") + body;
}

describe("taken, because there is one way to read it", () => {
  test.each(tolerated)("%s", async (_name, bytes, sent) => {
    origin.connections.length = 0;
    await using fresh = await startRawOrigin(answering(ok));
    gateway.setInstances(instanceAt(fresh.port));
    const { socket, heard } = talk(gateway.port);
    socket.write(bytes, "latin1");
    await soon(() => heard().endsWith("ok"));
    expect(statusOf(heard())).toBe(200);
    expect(fresh.received().split("\r\n")[0]).toBe(sent);
    expect(fresh.received()).not.toMatch(/X-Sum/);
    socket.destroy();
    gateway.setInstances(instanceAt(origin.port));
  });
});

test("no line stands there twice", () => {
  const all = Object.values(lists).flat();
  expect(new Set(all.map(([name]) => name)).size).toBe(all.length);
  expect(new Set(all.map(([, bytes]) => bytes)).size).toBe(all.length);
  expect(all.length).toBeGreaterThanOrEqual(150);
});

test("the gateway is well after all of this", async () => {
  expect(statusOf(await get(gateway.port))).toBe(200);
});
