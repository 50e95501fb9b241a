import { connect } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  answering,
  codeOf,
  converse,
  instanceAt,
  ok,
  soon,
  startRawOrigin,
  startTestGateway,
  statusOf,
} from "../listener/gateway.fixture.ts";
import type { OriginConnection } from "../listener/gateway.fixture.ts";
import { behaving, deadPort, requestsTo, requestText } from "../upstream/resilience.fixture.ts";

let stack: AsyncDisposableStack;
beforeEach(() => {
  stack = new AsyncDisposableStack();
});
afterEach(() => stack.disposeAsync());

const origin = async (behave: (connection: OriginConnection) => void) =>
  stack.use(await startRawOrigin(behave));

/** A gateway whose service `a` does this, and whose other service is `b`. */
async function gatewayWith(
  how: string,
  fallback: Record<string, unknown>,
  services: Record<string, unknown> = {},
  inPlace: (connection: OriginConnection) => void = answering(ok),
) {
  const first =
    how === "refusal" || how === "nobody"
      ? undefined
      : await origin(how === "early" ? silentUntilGone : behaving(how));
  const other = await origin(inPlace);
  const gateway = stack.use(
    await startTestGateway({
      to: [
        ...(how === "nobody" ? [] : [first?.port ?? (await deadPort())]),
        instanceAt(other.port, { service: "b", key: `b.i${other.port}.1` }),
      ],
      config: {
        services: { a: { timeouts: { firstByte: "100ms" } }, b: {}, ...services },
        routes: [{ id: "all", match: { path: "/*" }, service: "a", auth: "none", fallback }],
      },
    }),
  );
  return { gateway, first, other };
}
const silentUntilGone = ({ socket }: OriginConnection) =>
  void socket.once("data", () => socket.destroy());

describe("another service stands in", () => {
  test.each([
    ["GET", "nobody", undefined, true],
    ["GET", "refusal", undefined, true],
    ["GET", "reset", undefined, true],
    ["GET", "garbage", undefined, true],
    ["GET", "silence", undefined, true],
    ["PUT", "reset", "some", true],
    ["POST", "refusal", "some", true],
    ["POST", "nobody", "some", true],
    // The first service may have done it already.
    ["POST", "reset", "some", false],
    ["POST", "silence", "some", false],
    ["POST", "reset", undefined, false],
    ["POST", "silence", undefined, false],
    // These are answers.
    ["GET", "500", undefined, false],
    ["GET", "503", undefined, false],
    ["GET", "404", undefined, false],
  ] as const)("%s, %s, body %s: %s", async (method, how, body, stands) => {
    const { gateway, other } = await gatewayWith(how, { service: "b" });
    const reply = await converse(gateway.port, requestText(method, body));
    expect(requestsTo(other)).toEqual(stands ? [`${method} /x`] : []);
    expect(gateway.records[0]).toMatchObject(
      stands
        ? { status: 200, service: "b", instance: `i${other.port}`, code: undefined }
        : { service: "a" },
    );
    if (stands) {
      expect(statusOf(reply)).toBe(200);
      expect(other.received().endsWith(`\r\n\r\n${body ?? ""}`)).toBe(true);
    }
  });

  test("a body too large to keep goes to one service only", async () => {
    const { gateway, other } = await gatewayWith("reset", { service: "b" });
    const reply = await converse(gateway.port, requestText("PUT", "x".repeat(64 * 1024 + 1)));
    expect(codeOf(reply)).toBe("upstream-failed");
    expect(requestsTo(other)).toEqual([]);
  });

  test("a body of which half was read when the time was up goes to nobody, and least of all the other half", async () => {
    const { gateway, other } = await gatewayWith(
      "200",
      { service: "b" },
      { a: { timeouts: { total: "100ms" } } },
    );
    const head = requestText("PUT", undefined, "Content-Length: 8").trimEnd();
    let reply = "";
    const socket = connect(gateway.port, "127.0.0.1", () => socket.write(`${head}\r\n\r\nhalf`));
    stack.defer(() => void socket.destroy());
    socket.on("error", () => {});
    socket.on("data", (bytes) => (reply += String(bytes)));
    await soon(() => statusOf(reply) === 504);
    socket.write("rest");
    await soon(() => gateway.records.length === 1);
    expect(requestsTo(other)).toEqual([]);
  });

  test("by its own policy, and for it nobody stands in", async () => {
    const { gateway, other } = await gatewayWith(
      "refusal",
      { service: "b" },
      { b: { timeouts: { firstByte: "50ms" }, retry: { on: ["timeout"], attempts: 2 } } },
      behaving("silence"),
    );
    const reply = await converse(gateway.port, requestText("GET"));
    expect(codeOf(reply)).toBe("upstream-timeout");
    expect(requestsTo(other)).toHaveLength(2);
    expect(gateway.records[0]).toMatchObject({ service: "b", code: "upstream-timeout" });
  });

  test("only after what the first one's policy tries", async () => {
    const { gateway, first, other } = await gatewayWith(
      "reset",
      { service: "b" },
      { a: { retry: { attempts: 3 } } },
    );
    expect(statusOf(await converse(gateway.port, requestText("PUT", "some")))).toBe(200);
    expect(requestsTo(first!)).toHaveLength(3);
    expect(other.received().endsWith("\r\n\r\nsome")).toBe(true);
  });

  test("when every circuit of the first one is open", async () => {
    const { gateway, first, other } = await gatewayWith(
      "500",
      { service: "b" },
      { a: { circuit: { failures: 2 } } },
    );
    const statuses: number[] = [];
    for (let time = 0; time < 4; time += 1)
      statuses.push(statusOf(await converse(gateway.port, requestText("POST", "some"))));
    expect(statuses).toEqual([500, 500, 200, 200]);
    expect(requestsTo(first!)).toHaveLength(2);
    expect(requestsTo(other)).toHaveLength(2);
  });

  test("requests are counted for the service that answered", async () => {
    const { gateway } = await gatewayWith(
      "500",
      { service: "b" },
      { a: { circuit: { failures: 1 } } },
    );
    for (let time = 0; time < 3; time += 1) await converse(gateway.port, requestText("GET"));
    const { text } = await gateway.metrics.scrape();
    const count = (service: string, status: number) =>
      new RegExp(
        `^http_requests_total\\{method="GET",route="all",service="${service}",status_code="${status}"\\} (\\d+)$`,
        "m",
      ).exec(text)?.[1];
    expect(count("a", 500)).toBe("1");
    expect(count("b", 200)).toBe("2");
  });
});

describe("a fixed answer stands in", () => {
  const fixed = { answer: { status: 203, contentType: "text/plain", body: "later, pl\u00e9ase" } };

  test.each([
    ["GET", "nobody", undefined, true],
    ["GET", "refusal", undefined, true],
    ["GET", "reset", undefined, true],
    ["GET", "silence", undefined, true],
    ["POST", "reset", "some", true],
    ["POST", "early", "x".repeat(200_000), true],
    ["GET", "500", undefined, false],
    ["GET", "503", undefined, false],
  ] as const)("%s, %s, %#: %s", async (method, how, body, stands) => {
    const { gateway } = await gatewayWith(how, fixed);
    const reply = Buffer.from(
      await converse(gateway.port, requestText(method, body)),
      "latin1",
    ).toString();
    if (!stands) return expect(statusOf(reply)).toBe(Number(how));
    expect(statusOf(reply)).toBe(203);
    expect(reply).toMatch(/\r\ncontent-type: text\/plain\r\ncontent-length: 14\r\n/);
    expect(reply).toMatch(/\r\nX-Request-ID: [0-9a-f]{32}\r\n/);
    expect(reply.endsWith("\r\n\r\nlater, pl\u00e9ase")).toBe(true);
    expect(gateway.records[0]).toMatchObject({ status: 203, instance: undefined, code: undefined });
    expect(gateway.records[0]!.requestId).toMatch(/^[0-9a-f]{32}$/);
  });

  test("without content where its status has none, and without a body for HEAD", async () => {
    const none = await gatewayWith("nobody", { answer: { status: 204, body: "not sent" } });
    const reply = await converse(none.gateway.port, requestText("GET"));
    expect(reply).toMatch(/^HTTP\/1\.1 204 /);
    expect(reply).not.toMatch(/content-length|not sent/i);
    const head = await gatewayWith("nobody", fixed);
    const heads = await converse(head.gateway.port, requestText("HEAD"));
    expect(heads).toMatch(/content-length: 14\r\n/);
    expect(heads.endsWith("\r\n\r\n")).toBe(true);
  });

  test("not for what the client did wrong", async () => {
    const { gateway } = await gatewayWith("200", fixed);
    const reply = await converse(
      gateway.port,
      "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n",
    );
    expect(statusOf(reply)).toBe(400);
  });

  test("not for a body that is larger than it may be, found out on the way", async () => {
    const silent = await origin(behaving("silence"));
    const gateway = stack.use(
      await startTestGateway({
        to: [silent.port],
        config: {
          listen: { limits: { body: "1KiB" } },
          services: { a: {} },
          routes: [
            { id: "all", match: { path: "/*" }, service: "a", auth: "none", fallback: fixed },
          ],
        },
      }),
    );
    const chunk = `400\r\n${"x".repeat(1024)}\r\n`;
    const text = `${requestText("POST", undefined, "Transfer-Encoding: chunked")}${chunk}`;
    const socket = connect(gateway.port, "127.0.0.1", () => socket.write(text));
    stack.defer(() => void socket.destroy());
    let reply = "";
    socket.on("data", (bytes) => (reply += String(bytes)));
    socket.on("error", () => {});
    await soon(() => silent.received().includes(chunk));
    socket.write(chunk);
    expect(statusOf(await soon(() => reply !== "" && reply))).toBe(413);
  });

  test("one reply does not change the next", async () => {
    const { gateway } = await gatewayWith("nobody", fixed);
    const replies = [];
    for (let time = 0; time < 3; time += 1)
      replies.push(await converse(gateway.port, requestText("GET")));
    for (const reply of replies) expect(reply.match(/X-Request-ID/g)).toHaveLength(1);
  });
});
