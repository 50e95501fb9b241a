import { connect } from "node:net";
import type { Socket } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import {
  answering,
  codeOf,
  converse,
  get,
  ok,
  soon,
  startRawOrigin,
  startTestGateway,
  statusOf,
} from "./gateway.fixture.ts";
import type { OriginConnection, TestGateway } from "./gateway.fixture.ts";

let stack: AsyncDisposableStack;
beforeEach(() => {
  stack = new AsyncDisposableStack();
});
afterEach(() => stack.disposeAsync());

const origin = async (behave: (connection: OriginConnection) => void) =>
  stack.use(await startRawOrigin(behave));
const gatewayTo = async (
  port: number,
  more: Partial<Parameters<typeof startTestGateway>[0]> = {},
): Promise<TestGateway> => stack.use(await startTestGateway({ to: [port], ...more }));

/** A client that says what it is told, and keeps what it hears. */
function client(port: number, text = ""): Socket & { heard: () => string } {
  let heard = "";
  const socket = connect(port, "127.0.0.1");
  stack.defer(() => void socket.destroy());
  socket.on("error", () => {});
  socket.on("data", (bytes) => (heard += bytes.toString("latin1")));
  if (text !== "") socket.write(text, "latin1");
  return Object.assign(socket, { heard: () => heard });
}

const MiB = 1024 * 1024;

/** Writes 64 MiB as fast as they are taken. */
async function pour(socket: Socket): Promise<void> {
  const block = Buffer.alloc(MiB, "x");
  for (let left = 64; left > 0; left -= 1) {
    if (!socket.write(block)) await new Promise((resolve) => socket.once("drain", resolve));
  }
}

/** Waits until a count stops growing, and gives it. */
async function settled(count: () => number): Promise<number> {
  for (let before = -1; ;) {
    const now = count();
    if (now > 0 && now === before) return now;
    before = now;
    await new Promise((resolve) => setTimeout(resolve, 150));
  }
}

test("a client that does not read stops the upstream, and gets all 64 MiB when it does", async () => {
  const source = await origin(({ socket }) =>
    socket.once("data", () => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${64 * MiB}\r\n\r\n`);
      void pour(socket);
    }),
  );
  const gateway = await gatewayTo(source.port);
  const socket = connect(gateway.port, "127.0.0.1");
  socket.write("GET / HTTP/1.1\r\nHost: gw.test\r\nConnection: close\r\n\r\n");
  let bytes = 0;
  await new Promise<void>((resolve) => socket.once("readable", resolve));
  const upstream = await soon(() => source.connections[0]?.socket);
  // What the buffers of four sockets hold, not what the gateway would pile up.
  expect(await settled(() => upstream.bytesWritten - upstream.writableLength)).toBeLessThan(
    24 * MiB,
  );
  socket.on("data", (chunk) => (bytes += chunk.length));
  await new Promise<void>((resolve) => socket.on("close", () => resolve()));
  expect(bytes).toBeGreaterThan(64 * MiB);
  expect((await soon(() => gateway.records[0])).bytesOut).toBe(64 * MiB);
});

test("an upstream that does not read stops the client, and gets all 64 MiB when it does", async () => {
  let bytes = 0;
  const sink = await origin(({ socket }) => {
    socket.removeAllListeners("data");
    socket.pause();
  });
  const gateway = await gatewayTo(sink.port);
  const socket = client(
    gateway.port,
    `POST / HTTP/1.1\r\nHost: gw.test\r\nContent-Length: ${64 * MiB}\r\n\r\n`,
  );
  const poured = pour(socket);
  const upstream = await soon(() => sink.connections[0]?.socket);
  expect(await settled(() => socket.bytesWritten - socket.writableLength)).toBeLessThan(24 * MiB);
  upstream.on("data", (chunk) => {
    bytes += chunk.length;
    if (bytes > 64 * MiB) upstream.write(ok);
  });
  upstream.resume();
  await poured;
  await soon(() => socket.heard().startsWith("HTTP/1.1 200"));
  expect((await soon(() => gateway.records[0])).bytesIn).toBe(64 * MiB);
});

test.each([
  ["before the answer", () => {}],
  [
    "within the body",
    ({ socket }: OriginConnection) =>
      void socket.once("data", () =>
        socket.write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"),
      ),
  ],
] as const)("a client that goes away %s frees the upstream", async (when, behave) => {
  const service = await origin(behave);
  const gateway = await gatewayTo(service.port);
  const socket = client(gateway.port, "GET / HTTP/1.1\r\nHost: gw.test\r\n\r\n");
  await soon(() =>
    when === "within the body"
      ? socket.heard().endsWith("half")
      : service.received().endsWith("\r\n\r\n"),
  );
  const goneAt = performance.now();
  socket.destroy();
  await soon(() => service.connections[0]!.socket.closed);
  expect(performance.now() - goneAt).toBeLessThan(1_000);
  const record = await soon(() => gateway.records[0]);
  expect(record).toMatchObject({
    aborted: "client-gone",
    status: when === "within the body" ? 200 : 499,
  });
  expect(gateway.listener.active).toBe(0);
});

test("a client that goes away within its upload frees the upstream", async () => {
  const service = await origin(() => {});
  const gateway = await gatewayTo(service.port);
  const socket = client(
    gateway.port,
    "POST / HTTP/1.1\r\nHost: gw.test\r\nContent-Length: 100\r\n\r\nsome",
  );
  await soon(() => service.received().endsWith("some"));
  socket.destroy();
  await soon(() => service.connections[0]!.socket.closed);
  expect(await soon(() => gateway.records[0])).toMatchObject({
    aborted: "client-gone",
    bytesIn: 4,
  });
});

test("a body beyond the limit is cut where it crosses it", async () => {
  const service = await origin(() => {});
  const gateway = await gatewayTo(service.port, { config: { listen: { limits: { body: "8B" } } } });
  const answer = await converse(
    gateway.port,
    "POST / HTTP/1.1\r\nHost: gw.test\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n5\r\nefghi\r\n0\r\n\r\n",
  );
  expect(statusOf(answer)).toBe(413);
  expect(codeOf(answer)).toBe("body-too-large");
  expect(answer).toMatch(/\r\nconnection: close\r\n/i);
  expect(service.received()).not.toMatch(/efghi|0\r\n\r\n$/);
});

test("a body up to the limit passes", async () => {
  const service = await origin(answering(ok));
  const gateway = await gatewayTo(service.port, { config: { listen: { limits: { body: "8B" } } } });
  const answer = await converse(
    gateway.port,
    "POST / HTTP/1.1\r\nHost: gw.test\r\nConnection: close\r\nContent-Length: 8\r\n\r\nabcdefgh",
  );
  expect(statusOf(answer)).toBe(200);
});

test("100 Continue is said when the body is about to be read", async () => {
  const service = await origin((connection) => {
    connection.socket.on("data", () => {
      if (connection.received.endsWith("hi")) connection.socket.write(ok);
    });
  });
  const gateway = await gatewayTo(service.port);
  const socket = client(
    gateway.port,
    "POST / HTTP/1.1\r\nHost: gw.test\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n",
  );
  await soon(() => socket.heard() === "HTTP/1.1 100 Continue\r\n\r\n");
  socket.write("hi");
  await soon(() => socket.heard().includes("HTTP/1.1 200 OK"));
  expect(service.received()).not.toMatch(/expect/i);
});

test("100 Continue is not said to a request that is refused", async () => {
  const service = await origin(answering(ok));
  const gateway = await gatewayTo(service.port, {
    config: { routes: [{ id: "one", match: { path: "/one" }, service: "a" }] },
  });
  const answer = await converse(
    gateway.port,
    "POST /two HTTP/1.1\r\nHost: gw.test\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n",
  );
  expect(answer).toMatch(/^HTTP\/1\.1 404 /);
});

test("an upstream that answers before it read the upload is heard", async () => {
  const hasty = await origin(({ socket }) =>
    socket.once("data", () =>
      socket.write("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"),
    ),
  );
  const gateway = await gatewayTo(hasty.port);
  const socket = client(
    gateway.port,
    "POST / HTTP/1.1\r\nHost: gw.test\r\nContent-Length: 100000\r\n\r\nsome",
  );
  await soon(() => socket.heard().endsWith("no"));
  expect(socket.heard()).toMatch(/^HTTP\/1\.1 403 [^]*connection: close/i);
  await soon(() => socket.closed);
});

test("a body whose chunks cannot be read is a 400, and the upstream's copy is broken off", async () => {
  const service = await origin(() => {});
  const gateway = await gatewayTo(service.port);
  const socket = client(
    gateway.port,
    "POST / HTTP/1.1\r\nHost: gw.test\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n",
  );
  await soon(() => service.received().includes("hi"));
  socket.write("zz\r\n");
  await soon(() => socket.heard().startsWith("HTTP/1.1 400"));
  await soon(() => service.connections[0]!.socket.closed);
  expect(service.received()).not.toMatch(/0\r\n\r\n$/);
});

test("requests on one connection are answered in order", async () => {
  const service = await origin(({ socket }) => {
    let tail = "";
    socket.on("data", (bytes) => {
      tail += bytes.toString("latin1");
      const path = /^GET (\S+)/.exec(tail)?.[1];
      if (!tail.endsWith("\r\n\r\n") || path === undefined) return;
      tail = "";
      const answer = `HTTP/1.1 200 OK\r\nContent-Length: ${path.length}\r\n\r\n${path}`;
      // The first one takes longest.
      setTimeout(() => socket.write(answer), path === "/1" ? 80 : 0);
    });
  });
  const gateway = await gatewayTo(service.port);
  const answer = await converse(
    gateway.port,
    ["/1", "/2", "/3"]
      .map(
        (path) =>
          `GET ${path} HTTP/1.1\r\nHost: gw.test\r\n${path === "/3" ? "Connection: close\r\n" : ""}\r\n`,
      )
      .join(""),
  );
  expect(answer.match(/\/\d(?=HTTP|$)/g)).toEqual(["/1", "/2", "/3"]);
});

test("an idle connection is closed after its time, a busy one is not", async () => {
  const slow = await origin(({ socket }) =>
    socket.on("data", () => setTimeout(() => socket.write(ok), 300)),
  );
  const gateway = await gatewayTo(slow.port, { keepAliveMs: 100 });
  const socket = client(gateway.port, "GET / HTTP/1.1\r\nHost: gw.test\r\n\r\n");
  await soon(() => socket.heard().endsWith("ok"));
  await soon(() => socket.closed);
});

test("a drain finishes what is in flight, says close, closes what is idle and takes nothing new", async () => {
  const service = await origin(() => {});
  const gateway = await gatewayTo(service.port);
  const idle = client(gateway.port);
  await new Promise((resolve) => idle.once("connect", resolve));
  const busy = client(gateway.port, "GET / HTTP/1.1\r\nHost: gw.test\r\n\r\n");
  await soon(() => service.received().endsWith("\r\n\r\n"));
  const drained = gateway.listener.drain({ timeoutMs: 5_000 });
  await soon(() => idle.closed);
  await expect(connected(gateway.port)).rejects.toThrow(/ECONNREFUSED/);
  service.connections[0]!.socket.write(ok);
  expect(await drained).toBe(true);
  await soon(() => busy.heard().endsWith("ok"));
  expect(busy.heard()).toMatch(/connection: close\r\n/i);
});

test("a drain answers everything that one client sent at once, and says close with the last", async () => {
  const service = await origin(() => {});
  const gateway = await gatewayTo(service.port);
  const request = "GET / HTTP/1.1\r\nHost: gw.test\r\n\r\n";
  const busy = client(gateway.port, request.repeat(3));
  await soon(() => service.connections.length === 3);
  await soon(() => service.connections.every(({ received }) => received.endsWith("\r\n\r\n")));
  const drained = gateway.listener.drain({ timeoutMs: 5_000 });
  for (const { socket } of service.connections) socket.write(ok);
  expect(await drained).toBe(true);
  await soon(() => busy.closed);
  expect(busy.heard().match(/HTTP\/1\.1 200 /g)).toHaveLength(3);
  expect(busy.heard().match(/connection: close/gi)).toHaveLength(1);
});

test("while a drain gives notice, requests are served on connections that end", async () => {
  const service = await origin(answering(ok));
  const gateway = await gatewayTo(service.port);
  const drained = gateway.listener.drain({ noticeMs: 300, timeoutMs: 5_000 });
  const socket = client(gateway.port, "GET / HTTP/1.1\r\nHost: gw.test\r\n\r\n");
  await soon(() => socket.heard().endsWith("ok"));
  expect(socket.heard()).toMatch(/connection: close/i);
  expect(await drained).toBe(true);
});

test("a drain that runs out of time cuts what is left", async () => {
  const silent = await origin(() => {});
  const gateway = await gatewayTo(silent.port);
  const socket = client(gateway.port, "GET / HTTP/1.1\r\nHost: gw.test\r\n\r\n");
  await soon(() => silent.received().endsWith("\r\n\r\n"));
  expect(await gateway.listener.drain({ timeoutMs: 100 })).toBe(false);
  await soon(() => socket.closed && silent.connections[0]!.socket.closed);
});

test("a body that was in the air when the drain began arrives whole, and its connection ends", async () => {
  const slow = await origin(({ socket }) =>
    socket.once("data", () => socket.write("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")),
  );
  const gateway = await gatewayTo(slow.port);
  const socket = client(gateway.port, "GET / HTTP/1.1\r\nHost: gw.test\r\n\r\n");
  await soon(() => socket.heard().endsWith("half"));
  const drained = gateway.listener.drain({ timeoutMs: 5_000 });
  slow.connections[0]!.socket.write("half");
  expect(await drained).toBe(true);
  await soon(() => socket.closed && socket.heard().endsWith("halfhalf"));
});

test("disposing twice is disposing once", async () => {
  const service = await origin(answering(ok));
  const gateway = await startTestGateway({ to: [service.port] });
  expect(statusOf(await get(gateway.port))).toBe(200);
  await gateway.listener[Symbol.asyncDispose]();
  await gateway.listener[Symbol.asyncDispose]();
  await gateway[Symbol.asyncDispose]();
});

test("a port that is taken is named", async () => {
  const service = await origin(answering(ok));
  const { startListener } = await import("./listener.ts");
  const gateway = await gatewayTo(service.port);
  const { silentLog, systemClock } = await import("@tocsin/shared");
  const taken = startListener({
    host: "127.0.0.1",
    port: gateway.port,
    gate: () => {
      throw new Error("nobody asks");
    },
    clock: systemClock,
    log: silentLog,
    metrics: gateway.metrics,
  });
  await expect(taken).rejects.toThrow(
    `cannot listen on 127.0.0.1:${gateway.port}: the port is taken by another process`,
  );
});

function connected(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => {
      socket.destroy();
      resolve();
    });
    socket.on("error", reject);
  });
}
