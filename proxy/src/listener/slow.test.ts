/** Clients that are slow at anything: each is cut by its limit, and nobody else is. */
import { connect } from "node:net";
import type { Socket } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { sleep, systemClock } from "@tocsin/shared";
import {
  answering,
  codeOf,
  ok,
  soon,
  startRawOrigin,
  startTestGateway,
  statusOf,
} from "./gateway.fixture.ts";
import type { OriginConnection } from "./gateway.fixture.ts";

let stack: AsyncDisposableStack;
beforeEach(() => {
  stack = new AsyncDisposableStack();
});
afterEach(() => stack.disposeAsync());

const origin = async (behave: (connection: OriginConnection) => void) =>
  stack.use(await startRawOrigin(behave));
const gatewayTo = async (port: number, limits: Record<string, string>, wrap?: Wrap) =>
  stack.use(
    await startTestGateway({
      to: [port],
      config: { listen: { limits } },
      ...(wrap === undefined ? {} : { wrap }),
    }),
  );
type Wrap = NonNullable<Parameters<typeof startTestGateway>[0]["wrap"]>;

interface Client {
  readonly socket: Socket;
  heard(): string;
  readonly closed: Promise<number>;
}

/** A client whose connection tells after how many milliseconds it was closed. */
function client(port: number, text: string, options: { readonly reads?: boolean } = {}): Client {
  let heard = "";
  const begun = performance.now();
  const socket = connect(port, "127.0.0.1");
  stack.defer(() => void socket.destroy());
  socket.on("error", () => {});
  if (options.reads !== false) socket.on("data", (bytes) => (heard += bytes.toString("latin1")));
  socket.write(text, "latin1");
  const closed = new Promise<number>((resolve) =>
    socket.on("close", () => resolve(performance.now() - begun)),
  );
  return { socket, heard: () => heard, closed };
}

/** Writes one byte again and again. */
function trickle({ socket }: Client, byte: string, everyMs: number): void {
  stack.defer(systemClock.every(everyMs, () => void (socket.writable && socket.write(byte))));
}

const post = "POST / HTTP/1.1\r\nHost: gw.test\r\nContent-Length: 4000\r\n\r\n";
const chunkedPost =
  "POST / HTTP/1.1\r\nHost: gw.test\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n";
const get = "GET / HTTP/1.1\r\nHost: gw.test\r\n\r\n";

/** What this machine may be late by, in milliseconds. */
const late = 1_000;

test.each([
  ["stops", undefined],
  ["trickles in", 100],
])("a head that %s is cut within a second of its time", async (_what, everyMs) => {
  const service = await origin(answering(ok));
  const gateway = await gatewayTo(service.port, { headersTimeout: "1s" });
  const slow = client(gateway.port, "GET / HTTP/1.1\r\nHost: gw.test\r\nX-Slow: ");
  if (everyMs !== undefined) trickle(slow, "x", everyMs);
  const after = await slow.closed;
  expect(after).toBeGreaterThan(950);
  // One second for the head, one in which it is seen, one that the other side has to close.
  expect(after).toBeLessThan(3_000 + late);
  expect(statusOf(slow.heard())).toBe(408);
  expect(codeOf(slow.heard())).toBe("request-timeout");
  expect(service.connections).toHaveLength(0);
});

test("the second head on a connection has its time too", async () => {
  const service = await origin(answering(ok));
  const gateway = await gatewayTo(service.port, { headersTimeout: "1s" });
  const slow = client(gateway.port, `${get}GET / HT`);
  await soon(() => /^HTTP\/1\.1 200 [^]*HTTP\/1\.1 408 /.test(slow.heard()));
  await slow.closed;
});

test.each([
  ["stops", post, undefined],
  ["trickles in", post, 50],
  ["stops between two chunks", chunkedPost, undefined],
])(
  "a body that %s is a 408, and the upstream's copy is broken off",
  async (_what, text, everyMs) => {
    const service = await origin(() => {});
    const gateway = await gatewayTo(service.port, { bodyTimeout: "1s" });
    const slow = client(gateway.port, text);
    if (everyMs !== undefined) trickle(slow, "x", everyMs);
    await soon(() => slow.heard().includes("\r\n\r\n"));
    expect(codeOf(slow.heard())).toBe("request-timeout");
    expect(slow.heard()).toMatch(/^HTTP\/1\.1 408 [^]*\r\nconnection: close\r\n/i);
    expect(await slow.closed).toBeLessThan(3_000 + late);
    await soon(() => service.connections[0]!.socket.closed);
    expect(service.received()).not.toMatch(/0\r\n\r\n$/);
    expect(gateway.records[0]).toMatchObject({ status: 408, code: "request-timeout" });
    expect(gateway.listener.active).toBe(0);
  },
);

test("a body that goes on is not cut, however long it takes", async () => {
  const service = await origin((connection) =>
    connection.socket.on("data", () => {
      if (connection.received.endsWith("end")) connection.socket.write(ok);
    }),
  );
  const gateway = await gatewayTo(service.port, { bodyTimeout: "1s" });
  const parts = 6;
  const steady = client(
    gateway.port,
    `POST / HTTP/1.1\r\nHost: gw.test\r\nContent-Length: ${parts * 1024 + 3}\r\n\r\n`,
  );
  for (let part = 0; part < parts; part += 1) {
    await sleep(systemClock, 400);
    steady.socket.write("x".repeat(1024));
  }
  steady.socket.write("end");
  await soon(() => steady.heard().startsWith("HTTP/1.1 200 "));
});

test("a body that stops when the reply has begun cuts the connection", async () => {
  const service = await origin(({ socket }) =>
    socket.once("data", () =>
      socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"),
    ),
  );
  const gateway = await gatewayTo(service.port, { bodyTimeout: "1s" });
  const slow = client(gateway.port, post);
  await soon(() => slow.heard().includes("half"));
  expect(await slow.closed).toBeLessThan(2_000 + late);
  expect(slow.heard()).not.toMatch(/408|0\r\n\r\n$/);
  await soon(() => service.connections[0]!.socket.closed);
});

test("while the upstream does not read, a client that would send has all the time", async () => {
  const sink = await origin(({ socket }) => {
    socket.removeAllListeners("data");
    socket.pause();
  });
  const gateway = await gatewayTo(sink.port, { bodyTimeout: "1s" });
  const bytes = 32 * 1024 * 1024;
  const patient = client(
    gateway.port,
    `POST / HTTP/1.1\r\nHost: gw.test\r\nContent-Length: ${bytes}\r\n\r\n`,
  );
  patient.socket.write(Buffer.alloc(bytes, "x"));
  // It is the absence of something that is waited for.
  await sleep(systemClock, 2_500);
  expect(patient.socket.closed).toBe(false);
  let seen = 0;
  const upstream = sink.connections[0]!.socket;
  upstream.on("data", (chunk) => {
    seen += chunk.length;
    if (seen > bytes) upstream.write(ok);
  });
  upstream.resume();
  await soon(() => patient.heard().startsWith("HTTP/1.1 200 "));
});

/** Writes as fast as it is taken, without an end. */
function pour({ socket }: OriginConnection): void {
  const block = Buffer.alloc(256 * 1024, "x");
  socket.once("data", () => {
    socket.write("HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n");
    const write = () => {
      while (socket.writable && socket.write(block));
    };
    socket.on("drain", write);
    write();
  });
}

test("a reader that takes nothing is cut, and the upstream is freed", async () => {
  const source = await origin(pour);
  const gateway = await gatewayTo(source.port, { writeTimeout: "1s" });
  const slow = client(gateway.port, get, { reads: false });
  await soon(() => gateway.records[0]);
  await soon(() => source.connections[0]!.socket.closed);
  expect(gateway.records[0]).toMatchObject({ status: 200, aborted: "deadline" });
  expect(gateway.records[0]!.durationMs).toBeLessThan(3_000 + late);
  slow.socket.resume();
  await slow.closed;
});

test("a reader that takes a few bytes now and then is cut", async () => {
  const source = await origin(pour);
  const gateway = await gatewayTo(source.port, { writeTimeout: "1s" });
  const slow = client(gateway.port, get, { reads: false });
  slow.socket.pause();
  stack.defer(systemClock.every(100, () => void slow.socket.read(10)));
  await soon(() => gateway.records[0]);
  await soon(() => source.connections[0]!.socket.closed);
});

test("a reader that is slow but goes on is not cut", async () => {
  const source = await origin(pour);
  const gateway = await gatewayTo(source.port, { writeTimeout: "1s" });
  let bytes = 0;
  const slow = client(gateway.port, get, { reads: false });
  slow.socket.on("data", (chunk) => {
    bytes += chunk.length;
    slow.socket.pause();
  });
  // Nearly always it reads nothing.
  stack.defer(systemClock.every(50, () => void slow.socket.resume()));
  await sleep(systemClock, 4_000);
  expect(slow.socket.closed).toBe(false);
  expect(bytes).toBeGreaterThan(0);
  expect(gateway.records).toHaveLength(0);
});

test("a reader that takes nothing of a reply that is ready as a whole is cut too", async () => {
  const service = await origin(answering(ok));
  const body = Buffer.alloc(64 * 1024 * 1024, "x");
  const gateway = await gatewayTo(service.port, { writeTimeout: "1s" }, (gate) => ({
    ...gate,
    handle: async () => ({ status: 200, headers: ["Content-Length", String(body.length)], body }),
  }));
  const slow = client(gateway.port, get, { reads: false });
  await soon(() => gateway.listener.active === 1);
  await soon(() => gateway.listener.active === 0);
  slow.socket.resume();
  expect(await slow.closed).toBeLessThan(3_000 + late);
});

test("who is refused and goes on sending is cut after a second", async () => {
  const service = await origin(answering(ok));
  const gateway = await gatewayTo(service.port, {});
  const stubborn = client(gateway.port, "GET /\r\n\r\n");
  trickle(stubborn, "x", 100);
  expect(await stubborn.closed).toBeLessThan(1_000 + late);
  expect(statusOf(stubborn.heard())).toBe(400);
});

test.each([
  ["before the first request", ""],
  ["behind a request", get],
])("empty lines %s do not keep a connection open", async (_when, text) => {
  const service = await origin(answering(ok));
  const gateway = stack.use(
    await startTestGateway({
      to: [service.port],
      config: { listen: { limits: { headersTimeout: "1s" } } },
      keepAliveMs: 1_000,
    }),
  );
  const slow = client(gateway.port, `${text}\r\n`);
  stack.defer(
    systemClock.every(100, () => void (slow.socket.writable && slow.socket.write("\r\n"))),
  );
  expect(await slow.closed).toBeLessThan(3_000 + late);
});
