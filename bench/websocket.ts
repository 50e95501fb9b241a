/**
 * WebSocket messages per second and CPU time per message, through the gateway and straight to the service.
 *
 *     node bench/websocket.ts [bytes of a message, default 128] [connections, default 50]
 *
 * Each connection sends a message when the one before has come back. Client and service are raw sockets that know what the next
 * frame looks like, so that neither of them is what is measured; both run on the load's core.
 */
import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { usageOf } from "./accounting.ts";
import { onCore, place } from "./placement.ts";
import { startTocsin } from "./tocsin/gateway.ts";

const seconds = 4;
const warmUpSeconds = 3;
const rounds = 3;
/** A helper process is told by its arguments: role, port, bytes, connections. */
const given = process.argv.slice(2);
const sizes = given[0] === "service" || given[0] === "load" ? given.slice(2) : given;
const messageBytes = Number(sizes[0] ?? 128);
const connections = Number(sizes[1] ?? 50);

/** A whole text frame (RFC 6455 §5.2). A client masks what it sends; which mask makes no difference to who passes it on. */
function frame(masked: boolean): Buffer {
  const length =
    messageBytes < 126
      ? Buffer.from([messageBytes])
      : messageBytes < 65_536
        ? Buffer.from([126, messageBytes >> 8, messageBytes & 255])
        : Buffer.concat([Buffer.from([127, 0, 0, 0, 0]), uint32(messageBytes)]);
  if (masked) length[0]! |= 0x80;
  return Buffer.concat([
    Buffer.from([0x81]),
    length,
    masked ? Buffer.alloc(4) : Buffer.alloc(0),
    Buffer.alloc(messageBytes, "a"),
  ]);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** Counts whole frames of one size. */
function perFrame(size: number, each: () => void): (bytes: Buffer) => void {
  let left = size;
  return (bytes) => {
    let length = bytes.length;
    while (length >= left) {
      length -= left;
      left = size;
      each();
    }
    left -= length;
  };
}

/** The service: says yes to every handshake, then a message for each that comes. */
async function service(): Promise<void> {
  const answer = frame(false);
  const server = createServer((socket) => {
    socket.setNoDelay(true);
    socket.on("error", () => {});
    let head = "";
    const onHead = (bytes: Buffer) => {
      head += bytes.toString("latin1");
      if (!head.includes("\r\n\r\n")) return;
      const key = /sec-websocket-key: *(\S+)/i.exec(head)?.[1];
      // A health probe.
      if (key === undefined) {
        socket.end("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        return;
      }
      const accept = createHash("sha1")
        .update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
        .digest("base64");
      socket.off("data", onHead);
      socket.on(
        "data",
        perFrame(frame(true).length, () => socket.write(answer)),
      );
      socket.write(
        `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
      );
    };
    socket.on("data", onHead);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  process.send!({ port: (server.address() as AddressInfo).port });
}

/** The clients. */
async function load(port: number): Promise<void> {
  const message = frame(true);
  let counted = 0;
  const sockets: Socket[] = await Promise.all(
    Array.from({ length: connections }, async () => {
      const socket = connect(port, "127.0.0.1");
      socket.setNoDelay(true);
      socket.write(
        `GET /chat HTTP/1.1\r\nHost: bench.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString("base64")}\r\n\r\n`,
      );
      const [bytes] = (await once(socket, "data")) as [Buffer];
      if (!bytes.toString("latin1").startsWith("HTTP/1.1 101"))
        throw new Error(bytes.toString("latin1"));
      return socket;
    }),
  );
  for (const socket of sockets) {
    socket.on(
      "data",
      perFrame(frame(false).length, () => {
        counted += 1;
        socket.write(message);
      }),
    );
    socket.on("close", () => {
      throw new Error("a connection was closed");
    });
    socket.write(message);
  }
  process.send!({ ready: true });
  process.on("message", () => process.send!({ counted }));
}

interface Helper extends Disposable {
  ask(): Promise<{ readonly port?: number; readonly counted?: number }>;
  readonly first: { readonly port?: number };
  readonly pid: number;
}

async function helper(core: number | undefined, ...args: string[]): Promise<Helper> {
  const [command = "", ...before] = onCore(core, [process.execPath]);
  const child: ChildProcess = fork(import.meta.filename, args, {
    execPath: command,
    execArgv: before,
  });
  const [first] = (await once(child, "message")) as [{ port?: number }];
  return {
    first,
    pid: child.pid!,
    async ask() {
      child.send("count");
      const [answer] = (await once(child, "message")) as [{ counted: number }];
      return answer;
    },
    [Symbol.dispose]: () => void child.kill("SIGKILL"),
  };
}

const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Messages per second, and what the processes used for each, in microseconds. */
async function measure(port: number, core: number | undefined, pid: number | undefined) {
  using clients = await helper(
    core,
    "load",
    String(port),
    String(messageBytes),
    String(connections),
  );
  await wait(warmUpSeconds * 1_000);
  const shown: { perSecond: number; micros: number | undefined }[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const before = (await clients.ask()).counted!;
    const cpuBefore = pid === undefined ? undefined : usageOf(pid).cpuMicros;
    const begunAt = performance.now();
    await wait(seconds * 1_000);
    const count = (await clients.ask()).counted! - before;
    const elapsed = (performance.now() - begunAt) / 1_000;
    shown.push({
      perSecond: count / elapsed,
      micros: pid === undefined ? undefined : (usageOf(pid).cpuMicros - cpuBefore!) / count,
    });
  }
  return shown.toSorted((a, b) => a.perSecond - b.perSecond)[Math.floor(rounds / 2)]!;
}

async function main(): Promise<void> {
  const placement = place();
  const directory = mkdtempSync(join(tmpdir(), "tocsin-websocket-"));
  try {
    using echo = await helper(placement.upstream, "service", "", String(messageBytes));
    const port = echo.first.port!;
    const config = join(directory, "tocsin.yaml");
    writeFileSync(
      config,
      JSON.stringify({
        version: 1,
        services: { chat: { instances: [{ url: `http://127.0.0.1:${port}` }] } },
        routes: [
          { id: "chat", match: { path: "/chat" }, service: "chat", auth: "none", websocket: true },
        ],
      }),
    );
    await using program = await startTocsin({
      args: ["standalone", "--config", config],
      core: placement.program,
      directory,
    });
    await wait(500);
    const direct = await measure(port, placement.load, undefined);
    const through = await measure(
      Number(new URL(program.bound["proxy"]!).port),
      placement.load,
      program.pid,
    );
    console.table([
      { way: "straight to the service", "messages/s": Math.round(direct.perSecond) },
      {
        way: "through tocsin",
        "messages/s": Math.round(through.perSecond),
        "CPU µs/message and back": Number(through.micros!.toFixed(1)),
        ratio: Number((through.perSecond / direct.perSecond).toFixed(2)),
      },
    ]);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

const [role, port] = given;
if (role === "service") await service();
else if (role === "load") await load(Number(port));
else await main();
