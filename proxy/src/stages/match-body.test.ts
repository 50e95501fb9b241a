/** Routes that depend on the body, with both ends raw. */
import { connect } from "node:net";
import { describe, expect, test } from "vitest";
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
} from "../listener/gateway.fixture.ts";

const routes = [
  { id: "premium", match: { path: "/orders", body: { "/plan": "premium" } } },
  { id: "bulk", match: { path: "/orders", body: { "/plan": "premium", "/bulk": true } } },
  { id: "beta", match: { path: "/orders", headers: { "x-beta": "1" }, body: { "/n": 1 } } },
  { id: "plain", match: { path: "/orders" } },
  { id: "only", match: { path: "/only", methods: ["POST"], body: { "/kind": "*" } } },
  { id: "every", match: { path: "/every", body: { "/kind": "*" } } },
  { id: "upload", match: { path: "/upload" } },
].map((route) => ({ ...route, service: "a", auth: "none" }));

async function start(limits: object = {}) {
  const stack = new AsyncDisposableStack();
  const origin = stack.use(await startRawOrigin(answering(ok)));
  const gateway = stack.use(
    await startTestGateway({ to: [origin.port], config: { routes, listen: { limits } } }),
  );
  return { origin, gateway, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

const post = (
  body: string,
  { path = "/orders", type = "application/json", fields = "", method = "POST" } = {},
) =>
  `${method} ${path} HTTP/1.1\r\nHost: gw.test\r\nConnection: close\r\n${type === "" ? "" : `Content-Type: ${type}\r\n`}${fields}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${Buffer.from(body).toString("latin1")}`;

test.each([
  ["the value", post(`{"plan":"premium"}`), "premium"],
  ["another value", post(`{"plan":"free"}`), "plain"],
  ["a value of another type", post(`{"plan":["premium"]}`), "plain"],
  ["the value elsewhere", post(`{"x":{"plan":"premium"}}`), "plain"],
  ["more conditions", post(`{"bulk":true,"plan":"premium"}`), "bulk"],
  ["a text instead of true", post(`{"bulk":"true","plan":"premium"}`), "premium"],
  ["a field, then a member", post(`{"n":1,"plan":"premium"}`, { fields: "X-Beta: 1\r\n" }), "beta"],
  ["a suffix", post(`{"plan":"premium"}`, { type: "application/vnd.shop+json" }), "premium"],
  [
    "a type with parameters, in another case",
    post(`{"plan":"premium"}`, { type: `Application/JSON ; Charset="UTF-8"` }),
    "premium",
  ],
  ["another type", post(`{"plan":"premium"}`, { type: "text/plain" }), "plain"],
  ["a type that only looks like JSON", post(`{"plan":"premium"}`, { type: "text/json" }), "plain"],
  ["no type", post(`{"plan":"premium"}`, { type: "" }), "plain"],
  ["no body", post(""), "plain"],
  ["PUT", post(`{"plan":"premium"}`, { method: "PUT" }), "premium"],
  ["GET, whose content means nothing", post(`{"plan":"premium"}`, { method: "GET" }), "plain"],
  ["no JSON where no route asks", post("{", { path: "/upload" }), "upload"],
  ["any value", post(`{"kind":null}`, { path: "/only" }), "only"],
])("%s: the route", async (_what, request, route) => {
  await using both = await start();
  const answer = await converse(both.gateway.port, request);
  expect(statusOf(answer)).toBe(200);
  const record = await soon(() => both.gateway.records.at(0));
  expect(record.route).toBe(route);
  // Byte for byte what came.
  const body = request.slice(request.indexOf("\r\n\r\n"));
  expect(both.origin.received().endsWith(body)).toBe(true);
  expect(record.bytesIn).toBe(body.length - 4);
});

test.each([
  ["what is not JSON", post("{"), 400],
  ["a member that is there twice", post(`{"plan":"free","plan":"premium"}`), 400],
  ["two types", post("{}", { fields: "Content-Type: text/plain\r\n" }), 400],
  ["a list of types", post("{}", { type: "application/json, text/plain" }), 400],
  ["a type that is none", post("{}", { type: "json" }), 400],
  ["another charset", post("{}", { type: "application/json; charset=utf-16" }), 415],
  ["a content coding", post("{}", { fields: "Content-Encoding: gzip\r\n" }), 415],
  ["more than may be read", post(`{"a":"${"x".repeat(2_000)}"}`), 413],
  ["a condition that is not met", post(`{"other":1}`, { path: "/only" }), 404],
  ["GET where only bodies count", post(`{"kind":1}`, { path: "/every", method: "GET" }), 404],
  ["no JSON on the only route", post(`kind=1`, { path: "/only", type: "text/plain" }), 404],
])("%s is refused, and the upstream sees nothing", async (_what, request, status) => {
  await using both = await start({ matchBody: "1KiB" });
  const answer = await converse(both.gateway.port, request);
  expect(statusOf(answer)).toBe(status);
  if (status === 415 && request.includes("gzip"))
    expect(answer).toMatch(/^accept-encoding: identity/im);
  expect(both.origin.received()).toBe("");
});

test("a body in chunks is sent on in chunks, and one that grows too large is refused", async () => {
  await using both = await start({ matchBody: "1KiB" });
  const head =
    "POST /orders HTTP/1.1\r\nHost: gw.test\r\nConnection: close\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
  const answer = await converse(
    both.gateway.port,
    `${head}9;x=1\r\n{"plan":"\r\n9\r\npremium"}\r\n0\r\n\r\n`,
  );
  expect(statusOf(answer)).toBe(200);
  expect(both.gateway.records[0]!.route).toBe("premium");
  expect(both.origin.received()).toMatch(/\r\nTransfer-Encoding: chunked\r\n/);
  expect(both.origin.received().endsWith(`\r\n\r\n12\r\n{"plan":"premium"}\r\n0\r\n\r\n`)).toBe(
    true,
  );
  expect(statusOf(await converse(both.gateway.port, `${head}0\r\n\r\n`))).toBe(200);
  expect(both.gateway.records[1]!.route).toBe("plain");
  const large = await converse(
    both.gateway.port,
    `${head}${`400\r\n${"x".repeat(1024)}\r\n`.repeat(2)}`,
  );
  expect(statusOf(large)).toBe(413);
  expect(codeOf(large)).toBe("body-too-large");
});

test("who waits for 100 Continue is asked for the body when a route depends on it, and not when it is too large", async () => {
  await using both = await start({ matchBody: "1KiB" });
  const head = (length: number) =>
    `POST /orders HTTP/1.1\r\nHost: gw.test\r\nConnection: close\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: ${length}\r\n\r\n`;
  const client = connect(both.gateway.port, "127.0.0.1");
  let received = "";
  client.on("data", (bytes) => (received += bytes.toString("latin1")));
  client.write(head(18));
  await soon(() => received.startsWith("HTTP/1.1 100 Continue\r\n\r\n"));
  expect(both.origin.received()).toBe("");
  client.write(`{"plan":"premium"}`);
  await soon(() => received.includes("HTTP/1.1 200 OK"));
  expect((await soon(() => both.gateway.records.at(0))).route).toBe("premium");
  client.destroy();
  expect(statusOf(await converse(both.gateway.port, head(1_025)))).toBe(413);
});

test("a client that goes away before its body is whole reaches nobody", async () => {
  await using both = await start();
  const client = connect(both.gateway.port, "127.0.0.1");
  client.write(post(`{"plan":"premium"}`).slice(0, -5));
  await soon(() => both.gateway.listener.active === 1);
  client.destroy();
  const record = await soon(() => both.gateway.records.at(0));
  expect(record).toMatchObject({ status: 499, aborted: "client-gone", route: "" });
  expect(both.origin.received()).toBe("");
});

test("a body that stops coming is 408", async () => {
  await using both = await start({ bodyTimeout: "1s" });
  const answer = await converse(both.gateway.port, post(`{"plan":"premium"}`).slice(0, -5));
  expect(statusOf(answer)).toBe(408);
  expect(both.origin.received()).toBe("");
});

test("what was read is sent to another instance when the first cannot be reached", async () => {
  await using both = await start();
  const gone = await startRawOrigin(() => {});
  await gone[Symbol.asyncDispose]();
  both.gateway.setInstances(instanceAt(gone.port), instanceAt(both.origin.port));
  for (let index = 0; index < 2; index += 1) {
    const answer = await converse(both.gateway.port, post(`{"plan":"premium"}`));
    expect(statusOf(answer)).toBe(200);
  }
  expect(both.origin.received().split(`\r\n\r\n{"plan":"premium"}`)).toHaveLength(3);
});

describe("a connection", () => {
  test("goes on after a body that was read for its route", async () => {
    await using both = await start();
    const keep = post(`{"plan":"premium"}`).replace("Connection: close\r\n", "");
    const answer = await converse(both.gateway.port, `${keep}${keep}${post("{}")}`);
    expect(answer.match(/HTTP\/1\.1 200 OK/g)).toHaveLength(3);
    expect(both.gateway.records.map(({ route }) => route)).toEqual(["premium", "premium", "plain"]);
    expect(statusOf(await get(both.gateway.port, "/orders"))).toBe(200);
  });
});
