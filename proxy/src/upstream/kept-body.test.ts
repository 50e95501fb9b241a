import { once } from "node:events";
import { createServer } from "node:http";
import { connect } from "node:net";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createVirtualClock } from "../../../test/harness/virtual-clock.ts";
import {
  answering,
  converse,
  ok,
  soon,
  startRawOrigin,
  startTestGateway,
  statusOf,
} from "../listener/gateway.fixture.ts";
import type { OriginConnection, TestGatewayOptions } from "../listener/gateway.fixture.ts";
import {
  answer,
  answeringInTurn,
  behaving,
  requestsTo,
  requestText,
} from "./resilience.fixture.ts";
import { KeptMemory } from "./kept-body.ts";

let stack: AsyncDisposableStack;
beforeEach(() => {
  stack = new AsyncDisposableStack();
});
afterEach(() => stack.disposeAsync());

const origin = async (behave: (connection: OriginConnection) => void) =>
  stack.use(await startRawOrigin(behave));
const gateway = async (
  to: TestGatewayOptions["to"],
  service: Record<string, unknown>,
  more: Partial<TestGatewayOptions> = {},
) => stack.use(await startTestGateway({ to, config: { services: { a: service } }, ...more }));

const keyed = { on: ["reset", 503], idempotencyKey: true };

test("what bodies that are kept hold together is bounded, and given back", () => {
  const memory = new KeptMemory();
  let taken = 0;
  while (memory.take(64 * 1024)) taken += 1;
  expect(taken).toBe(256);
  memory.give(1_000);
  expect(memory.take(1_001)).toBe(false);
  expect(memory.take(1_000)).toBe(true);
  expect(new KeptMemory().take(64 * 1024 + 1)).toBe(false);
  expect(new KeptMemory().take(Number.NaN)).toBe(false);
});

describe("bodies", () => {
  test("one of 64 KiB is kept and sent again byte for byte; a larger one is sent as it comes, once", async () => {
    for (const [size, again] of [
      [64 * 1024, true],
      [64 * 1024 + 1, false],
    ] as const) {
      const bad = await origin(behaving("503"));
      const good = await origin(answering(ok));
      const { port } = await gateway([bad.port, good.port], { retry: {} });
      const body = Array.from({ length: size }, (_, at) => String.fromCharCode(65 + (at % 26)));
      const text = body.join("");
      const reply = await converse(port, requestText("PUT", text));
      expect(statusOf(reply)).toBe(again ? 200 : 503);
      expect(good.received().endsWith(again ? `\r\n\r\n${text}` : "")).toBe(true);
      expect(requestsTo(good)).toHaveLength(again ? 1 : 0);
    }
  });

  test("one in chunks is not kept", async () => {
    const bad = await origin(behaving("503"));
    const good = await origin(answering(ok));
    const { port } = await gateway([bad.port, good.port], { retry: {} });
    const text = `${requestText("PUT", undefined, "Transfer-Encoding: chunked")}4\r\nsome\r\n0\r\n\r\n`;
    const reply = await converse(port, text);
    expect(statusOf(reply)).toBe(503);
    expect(requestsTo(good)).toEqual([]);
  });

  test("what is kept is given back: the memory for 256 bodies does for any number", async () => {
    let requests = 0;
    const only = stack.use(
      createServer((request, response) => {
        requests += 1;
        request.resume();
        request.on("end", () => response.writeHead(requests === 301 ? 503 : 200).end());
      }).listen(0, "127.0.0.1"),
    );
    await once(only, "listening");
    const { port } = await gateway([(only.address() as AddressInfo).port], { retry: {} });
    const body = "x".repeat(64 * 1024);
    for (let time = 1; time <= 301; time += 1)
      expect(statusOf(await converse(port, requestText("PUT", body)))).toBe(200);
    // The last one was sent twice, so it was kept.
    expect(requests).toBe(302);
  });

  test("one that is on its way is sent to nobody else, whatever the answer", async () => {
    const bad = await origin(({ socket }) => {
      socket.once("data", () => socket.write(answer(503)));
    });
    const good = await origin(answering(ok));
    const made = await gateway([bad.port, good.port], { retry: keyed });
    const head = requestText("PUT", undefined, "Content-Length: 200000").trimEnd();
    const socket = connect(made.port, "127.0.0.1", () => socket.write(`${head}\r\n\r\nhalf`));
    stack.defer(() => void socket.destroy());
    let reply = "";
    socket.on("data", (bytes) => (reply += String(bytes)));
    await soon(() => statusOf(reply) === 503);
    expect(requestsTo(good)).toEqual([]);
  });

  test("of a POST without a key nothing is kept: it goes on as it comes", async () => {
    const only = await origin(behaving("silence"));
    const made = await gateway([only.port], { retry: keyed });
    const head = requestText("POST", undefined, "Content-Length: 9").trimEnd();
    const socket = connect(made.port, "127.0.0.1", () => socket.write(`${head}\r\n\r\nhalf`));
    stack.defer(() => void socket.destroy());
    socket.on("error", () => {});
    await soon(() => only.received().endsWith("\r\n\r\nhalf"));
  });

  test("one that does not come in time is a 408, and nothing was sent", async () => {
    const clock = createVirtualClock();
    const only = await origin(answering(ok));
    const { port, listener } = await gateway([only.port], { retry: {} }, { clock });
    const head = requestText("PUT", undefined, "Content-Length: 9").trimEnd();
    const reply = converse(port, `${head}\r\n\r\nhalf`);
    await soon(() => listener.active === 1 && clock.timers > 0);
    await clock.pass(120_000);
    expect(statusOf(await reply)).toBe(408);
    expect(requestsTo(only)).toEqual([]);
  });
});

describe("an answer that is not passed on", () => {
  test("is read to its end when it is short, and its connection is used again", async () => {
    const only = await origin(
      answeringInTurn("HTTP/1.1 503 X\r\nContent-Length: 4\r\n\r\nbusy", ok),
    );
    const { port } = await gateway([only.port], { retry: {} });
    expect(statusOf(await converse(port, requestText("GET")))).toBe(200);
    expect(only.connections).toHaveLength(1);
  });

  test("closes its connection when it is long", async () => {
    // A clock that stands: only the size can end it.
    const clock = createVirtualClock();
    const only = await origin(
      answeringInTurn(
        `HTTP/1.1 503 X\r\nContent-Length: 1000000\r\n\r\n${"x".repeat(200_000)}`,
        ok,
      ),
    );
    const { port } = await gateway([only.port], { retry: {} }, { clock });
    const reply = converse(port, requestText("GET"));
    await soon(() => {
      void clock.pass(0);
      return requestsTo(only).length === 2;
    });
    expect(statusOf(await reply)).toBe(200);
    await soon(() => only.connections[0]!.socket.destroyed);
  });

  test("closes its connection when it does not end in a second", async () => {
    const clock = createVirtualClock();
    const only = await origin(
      answeringInTurn("HTTP/1.1 503 X\r\nContent-Length: 9\r\n\r\nhalf", ok),
    );
    const { port } = await gateway([only.port], { retry: {} }, { clock });
    const reply = converse(port, requestText("GET"));
    await soon(() => requestsTo(only).length === 1 && clock.timers > 1);
    await clock.pass(0);
    expect(statusOf(await reply)).toBe(200);
    expect(only.connections[0]!.socket.destroyed).toBe(false);
    await clock.pass(1_000);
    await soon(() => only.connections[0]!.socket.destroyed);
  });
});
