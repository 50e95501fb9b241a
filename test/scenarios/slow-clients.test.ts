/** A thousand clients that are slow at everything, in front of a real proxy process: what they cost, and what they cost others. */
import { readFileSync } from "node:fs";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { expect, test } from "vitest";
import { ask } from "../harness/client.ts";
import { startGateway, type Gateway } from "../harness/gateway.ts";
import { soon } from "../harness/soon.ts";

const KiB = 1024;
const count = 1_000;
/** Clients that are not slow. */
const others = 4;
const limitMs = 3_000;
/** What two shared cores may be late by. */
const lateMs = 1_500;

const configFor = (url: string) => `version: 1
environment: development
listen: { limits: { headersTimeout: ${limitMs}ms, bodyTimeout: ${limitMs}ms, writeTimeout: ${limitMs}ms } }
services:
  files: { instances: [{ url: "${url}" }] }
routes:
  - { id: files, match: { path: "/*" }, service: files, auth: none }
`;

/** Answers at once what is asked by GET: `/big` with 6 MiB, everything else with two bytes. Reads what is posted, and says nothing. */
async function startFiles() {
  const big = Buffer.alloc(6 * KiB * KiB, "x");
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    socket.setNoDelay(true);
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => {});
    socket.on("data", (bytes) => {
      const [, path] = /^GET (\S+) /.exec(bytes.toString("latin1")) ?? [];
      if (path === undefined) return;
      const body = path === "/big" ? big : "ok";
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n`);
      socket.write(body);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", 2_048, resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Resident memory of the proxy's process, in bytes. */
function residentBytes(gateway: Gateway): number {
  const status = readFileSync(`/proc/${gateway.proxies()[0]!.process.pid}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)![1]) * KiB;
}

/** Connections from clients, as the proxy counts them. */
async function connections(gateway: Gateway): Promise<number> {
  const { text } = await ask(gateway.probes[0]!, "/metrics");
  return Number(/^gateway_active_connections (\d+)$/m.exec(text)![1]);
}

interface Client {
  readonly socket: Socket;
  readonly startedAt: number;
  heard: string;
  closedAt: number | undefined;
}

function open(gateway: Gateway): Client {
  const { hostname, port } = new URL(gateway.urls[0]!);
  const socket = connect(Number(port), hostname);
  const client: Client = { socket, startedAt: performance.now(), heard: "", closedAt: undefined };
  socket.on("error", () => {});
  socket.on("close", () => (client.closedAt = performance.now()));
  return client;
}

const hear = (client: Client) =>
  client.socket.on("data", (bytes) => (client.heard += bytes.toString("latin1")));

async function started(): Promise<{ gateway: Gateway } & AsyncDisposable> {
  const stack = new AsyncDisposableStack();
  const files = stack.use(await startFiles());
  const gateway = stack.use(await startGateway("standalone", { config: configFor(files.url) }));
  await soon(async () => expect((await gateway.ask("/")).status).toBe(200));
  return { gateway, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

const get = "GET / HTTP/1.1\r\nHost: gw.test\r\n\r\n";

test("an idle connection costs less than 50 KB", async () => {
  await using both = await started();
  const { gateway } = both;
  const idle = async (count: number) => {
    const clients = Array.from({ length: count }, () => {
      const client = open(gateway);
      hear(client).write(get);
      return client;
    });
    await soon(
      () => expect(clients.filter(({ heard }) => heard.endsWith("ok"))).toHaveLength(count),
      10_000,
    );
    return clients;
  };
  // What the first requests cost, whoever sends them, is no cost of an idle connection.
  for (let round = 0; round < 30; round += 1)
    for (const { socket } of await idle(50)) socket.destroy();
  await soon(async () => expect(await connections(gateway)).toBe(0));

  const before = residentBytes(gateway);
  const clients = await idle(count);
  expect(await connections(gateway)).toBe(count);
  const each = (residentBytes(gateway) - before) / clients.length;
  console.log(`an idle connection costs ${(each / KiB).toFixed(1)} KiB of resident memory`);
  expect(each).toBeLessThan(50_000);
  for (const { socket } of clients) socket.destroy();
}, 60_000);

test("1,000 slow clients are cut by the limits, and others are served all the time", async () => {
  await using both = await started();
  const { gateway } = both;
  const head = "GET / HTTP/1.1\r\nHost: gw.test\r\nX-Slow: ";
  const lengthy = "POST / HTTP/1.1\r\nHost: gw.test\r\nContent-Length: 100000\r\n\r\n";
  const chunked = "POST / HTTP/1.1\r\nHost: gw.test\r\nTransfer-Encoding: chunked\r\n\r\n400\r\n";
  const [heads, bodies, replies]: Client[][] = [[], [], []];
  const begin = (index: number) => {
    const client = open(gateway);
    const kind = index % 32;
    // Few of these: each holds several megabytes in the buffers of the system, of which there is one for all tests.
    if (kind === 0) {
      replies!.push(client);
      client.socket.write("GET /big HTTP/1.1\r\nHost: gw.test\r\n\r\n");
      client.socket.pause();
    } else if (kind < 16) {
      bodies!.push(client);
      hear(client).write(kind % 2 === 0 ? lengthy : chunked);
    } else {
      heads!.push(client);
      hear(client).write(head);
    }
  };
  let begun = 0;
  const arriving = setInterval(() => {
    for (let more = 10; more > 0 && begun < count; more -= 1) begin(begun++);
  }, 20);
  const trickle = setInterval(() => {
    for (const { socket } of [...heads!, ...bodies!]) if (socket.writable) socket.write("x");
    for (const { socket } of replies!) socket.read(16);
  }, 250);

  const times: number[] = [];
  let most = 0;
  const slow = { left: count };
  const deadline = performance.now() + 30_000;
  /** Asks one thing after another, from the first slow client to the last. */
  const other = async () => {
    while (slow.left > 0) {
      const askedAt = performance.now();
      expect((await gateway.ask("/")).status).toBe(200);
      times.push(performance.now() - askedAt);
      expect(askedAt).toBeLessThan(deadline);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  /** Asks how many connections there are. */
  const watch = async () => {
    while (slow.left > 0) {
      const open = await connections(gateway);
      most = Math.max(most, open);
      slow.left = begun < count ? count : Math.max(0, open - others);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  try {
    await Promise.all([watch(), ...Array.from({ length: others }, other)]);
  } finally {
    slow.left = 0;
    clearInterval(arriving);
    clearInterval(trickle);
  }
  await soon(async () => expect(await connections(gateway)).toBe(0));
  const endedAt = performance.now();
  times.sort((a, b) => a - b);
  const p99 = times[Math.floor(times.length * 0.99)]!;
  console.log(
    `${times.length} requests of others: median ${times[times.length >> 1]!.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms`,
  );
  expect(most).toBeGreaterThanOrEqual(count * 0.9);
  expect(times.length).toBeGreaterThanOrEqual(50);
  expect(p99).toBeLessThan(1_000);

  await soon(() => expect([...heads!, ...bodies!].every(({ closedAt }) => closedAt)).toBe(true));
  for (const { heard, startedAt, closedAt } of [...heads!, ...bodies!]) {
    expect(heard).toMatch(/^HTTP\/1\.1 408 /);
    expect(closedAt! - startedAt).toBeGreaterThan(limitMs - 100);
    // The limit, a second in which it is seen, a second to read the answer.
    expect(closedAt! - startedAt).toBeLessThan(limitMs + 2_000 + lateMs);
  }
  const lastAt = Math.max(...replies!.map(({ startedAt }) => startedAt));
  expect(endedAt - lastAt).toBeLessThan(limitMs + 2_000 + lateMs);
  for (const { socket } of replies!) socket.destroy();
}, 60_000);
