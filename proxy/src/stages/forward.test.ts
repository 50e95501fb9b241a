/** What the upstream gets of a request. Names of identity fields are tried in test/conformance/identity-names.test.ts. */
import { expect, test } from "vitest";
import {
  answering,
  converse,
  get,
  ok,
  startRawOrigin,
  startTestGateway,
  statusOf,
} from "../listener/gateway.fixture.ts";
import type { IdentifiedPrincipal } from "../identity/principal.ts";

const ada: IdentifiedPrincipal = {
  method: "jwt",
  subject: "ada",
  issuer: "test",
  roles: ["admin"],
  scopes: [],
  expiresAt: 4e9,
  credential: {
    issuer: "test",
    subject: "ada",
    issuedAt: 0,
    jti: undefined,
    fingerprint: undefined,
  },
  headers: ["X-User-ID", "ada", "X-User-Roles", "admin", "X-Auth-Method", "jwt"],
};

async function pair(config?: Record<string, unknown>) {
  const stack = new AsyncDisposableStack();
  const origin = stack.use(await startRawOrigin(answering(ok)));
  const gateway = stack.use(
    await startTestGateway({
      to: [origin.port],
      identity: { identify: () => ada },
      ...(config === undefined ? {} : { config }),
    }),
  );
  return { origin, port: gateway.port, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

/** The values that a field has in what the origin got. */
function values(received: string, name: string): string[] {
  return received
    .split("\r\n")
    .slice(1)
    .filter((line) => line.toLowerCase().startsWith(`${name.toLowerCase()}:`))
    .map((line) => line.slice(line.indexOf(":") + 1).trim());
}

test("hop-by-hop fields, and all that Connection names, stop here", async () => {
  await using both = await pair();
  await get(both.port, "/", [
    "Keep-Alive: timeout=9",
    "Proxy-Connection: keep-alive",
    "Proxy-Authorization: Basic eA==",
    "TE: gzip;q=0.5",
    "Upgrade: h2c",
    "HTTP2-Settings: AAMAAABkAAQAAP__",
    "Connection: X-Secret, te",
    "X-Secret: 1",
    "X-Kept: 1",
  ]);
  const received = both.origin.received();
  for (const name of [
    "keep-alive",
    "proxy-connection",
    "proxy-authorization",
    "te",
    "upgrade",
    "http2-settings",
    "x-secret",
  ])
    expect(values(received, name), name).toEqual([]);
  expect(values(received, "x-kept")).toEqual(["1"]);
});

test("an upgrade without Connection, and one with it, are plain requests to the upstream", async () => {
  await using both = await pair();
  expect(statusOf(await get(both.port, "/", ["Connection: Upgrade", "Upgrade: websocket"]))).toBe(
    200,
  );
  expect(values(both.origin.received(), "upgrade")).toEqual([]);
});

test("repeats and their order are kept, both ways", async () => {
  await using origin = await startRawOrigin(
    answering(
      "HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nX-One: 1\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n\r\n",
    ),
  );
  await using gateway = await startTestGateway({ to: [origin.port] });
  const answer = await get(gateway.port, "/", ["X-Two: a", "X-Other: 1", "X-Two: b"]);
  expect(values(answer, "set-cookie")).toEqual(["a=1", "b=2"]);
  expect(values(origin.received(), "x-two")).toEqual(["a", "b"]);
});

test("hop-by-hop fields of an answer, and what its Connection names, do not reach the client", async () => {
  await using origin = await startRawOrigin(
    answering(
      "HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Inner\r\nX-Inner: 1\r\nKeep-Alive: timeout=3\r\nX-Request-ID: theirs\r\nContent-Length: 0\r\n\r\n",
    ),
  );
  await using gateway = await startTestGateway({ to: [origin.port] });
  const answer = await get(gateway.port);
  expect(answer).not.toMatch(/x-inner|timeout=3|theirs/i);
  expect(values(answer, "x-request-id")).toHaveLength(1);
});

test("a stranger's words about the client are replaced", async () => {
  await using both = await pair();
  await get(both.port, "/", [
    "X-Forwarded-For: 6.6.6.6",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Host: evil.test",
    "X-Forwarded-Port: 1",
    "X-Real-IP: 6.6.6.6",
    "Forwarded: for=6.6.6.6",
    "X-Request-ID: evil",
  ]);
  const received = both.origin.received();
  expect(received).not.toMatch(/6\.6\.6\.6|evil/);
  expect(values(received, "x-forwarded-for")).toEqual(["127.0.0.1"]);
  expect(values(received, "x-forwarded-proto")).toEqual(["http"]);
  expect(values(received, "x-forwarded-host")).toEqual(["gw.test"]);
  expect(values(received, "x-forwarded-port")).toEqual([]);
  expect(values(received, "forwarded")).toEqual(['for=127.0.0.1;proto=http;host="gw.test"']);
  expect(values(received, "x-request-id")[0]).toMatch(/^[0-9a-f]{32}$/);
});

test("a trusted peer's words about the client are extended", async () => {
  await using origin = await startRawOrigin(answering(ok));
  await using gateway = await startTestGateway({
    to: [origin.port],
    config: { listen: { trustedProxies: ["127.0.0.0/8", "10.0.0.0/8"] } },
  });
  const answer = await get(gateway.port, "/", [
    "X-Forwarded-For: 6.6.6.6, 192.0.2.7",
    "X-Forwarded-For: 10.1.1.1",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Host: shop.test",
    "X-Forwarded-Port: 443",
    "Forwarded: for=192.0.2.7",
    "X-Request-ID: from-the-edge_1",
    "Via: 1.1 edge",
  ]);
  const received = origin.received();
  expect(values(received, "x-forwarded-for")).toEqual(["6.6.6.6, 192.0.2.7, 10.1.1.1, 127.0.0.1"]);
  expect(values(received, "x-forwarded-proto")).toEqual(["https"]);
  expect(values(received, "x-forwarded-host")).toEqual(["shop.test"]);
  expect(values(received, "x-forwarded-port")).toEqual(["443"]);
  expect(values(received, "forwarded")).toEqual([
    'for=192.0.2.7, for=127.0.0.1;proto=http;host="gw.test"',
  ]);
  expect(values(received, "x-request-id")).toEqual(["from-the-edge_1"]);
  expect(values(received, "via")).toEqual(["1.1 edge, 1.1 tocsin"]);
  expect(values(answer, "x-request-id")).toEqual(["from-the-edge_1"]);
  expect(gateway.records[0]?.clientAddress).toBe("192.0.2.7");
});

test.each(["a b", "a".repeat(65), "", "a\u00e9", "a;b", "a\r\nX-Request-ID: b"])(
  "a trusted peer's odd request id %j is replaced",
  async (id) => {
    await using origin = await startRawOrigin(answering(ok));
    await using gateway = await startTestGateway({
      to: [origin.port],
      config: { listen: { trustedProxies: ["127.0.0.1"] } },
    });
    await get(gateway.port, "/", [`X-Request-ID: ${id}`]);
    expect(values(origin.received(), "x-request-id")).toEqual([
      expect.stringMatching(/^[0-9a-f]{32}$/),
    ]);
  },
);

test("a valid trace goes on, another is begun anew and loses its state", async () => {
  await using both = await pair();
  const valid = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  await get(both.port, "/", [`traceparent: ${valid}`, "tracestate: a=1"]);
  expect(values(both.origin.received(), "traceparent")).toEqual([valid]);
  expect(values(both.origin.received(), "tracestate")).toEqual(["a=1"]);
  for (const bad of [
    "00-00000000000000000000000000000000-b7ad6b7169203331-01",
    "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
    "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
  ]) {
    await using other = await pair();
    await get(other.port, "/", [`traceparent: ${bad}`, "tracestate: a=1"]);
    expect(values(other.origin.received(), "traceparent"), bad).toEqual([
      expect.stringMatching(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/),
    ]);
    expect(values(other.origin.received(), "traceparent")).not.toEqual([bad]);
    expect(values(other.origin.received(), "tracestate")).toEqual([]);
  }
});

test("the upstream gets the path in one spelling and the query untouched", async () => {
  await using both = await pair();
  await get(both.port, "/%61/%7euser/caf%c3%a9?q=%61%2e%2e/..%2f");
  expect(both.origin.received()).toMatch(
    /^GET \/a\/~user\/caf%C3%A9\?q=%61%2e%2e\/\.\.%2f HTTP\/1\.1\r\n/,
  );
});

test("a GET has no body on the way to the upstream", async () => {
  await using both = await pair();
  await get(both.port, "/", ["Content-Length: 0"]);
  expect(both.origin.received()).not.toMatch(/transfer-encoding|content-length/i);
});

test("a body keeps its framing on the way to the upstream", async () => {
  await using both = await pair();
  const head = "POST / HTTP/1.1\r\nHost: gw.test\r\nConnection: close\r\n";
  await converse(both.port, `${head}Content-Length: 3\r\n\r\nabc`);
  expect(both.origin.received()).toMatch(/\r\nContent-Length: 3\r\n(?:[^\r]+\r\n)*\r\nabc$/);
  await using chunked = await pair();
  await converse(chunked.port, `${head}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n`);
  expect(chunked.origin.received()).toMatch(
    /transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n$/i,
  );
  await using empty = await pair();
  await converse(empty.port, `${head}Content-Length: 0\r\n\r\n`);
  expect(empty.origin.received()).toMatch(/content-length: 0\r\n\r\n$/i);
});
