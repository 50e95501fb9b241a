import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { Agent, request as send } from "node:http";
import { expect, test } from "vitest";
import { startGateway, type Gateway } from "../harness/gateway.ts";
import { startOrigin } from "../harness/origin.ts";
import { soon } from "../harness/soon.ts";

const GiB = 1024 ** 3;
const MiB = 1024 ** 2;

const configFor = (url: string) => `version: 1
environment: development
services:
  files: { instances: [{ url: "${url}" }] }
routes:
  - { id: files, match: { path: "/*" }, service: files, auth: none }
`;

/** Resident memory of the proxy's process, in bytes. */
function residentBytes(gateway: Gateway): number {
  const status = readFileSync(`/proc/${gateway.proxies()[0]!.process.pid}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)![1]) * 1024;
}

test("1 GB up and 1 GB down pass with less than 64 MB of growth", async () => {
  const chunk = Buffer.alloc(256 * 1024, 7);
  await using origin = await startOrigin((request, response) => {
    if (request.method === "POST") {
      let bytes = 0;
      request.on("data", (data: Buffer) => (bytes += data.length));
      request.on("end", () => response.end(String(bytes)));
      return;
    }
    let left = Number(new URL(request.url!, "http://x").searchParams.get("bytes"));
    const push = () => {
      while (left > 0) {
        left -= chunk.length;
        if (response.write(chunk)) continue;
        response.once("drain", push);
        return;
      }
      response.end();
    };
    push();
  });
  await using gateway = await startGateway("standalone", { config: configFor(origin.url) });
  await soon(async () => expect((await gateway.ask("/?bytes=0")).status).toBe(200));
  const { hostname, port } = new URL(gateway.urls[0]!);

  const download = (bytes: number) =>
    new Promise<number>((resolve, reject) => {
      send({ host: hostname, port, path: `/?bytes=${bytes}`, agent: false }, (response) => {
        let seen = 0;
        response.on("data", (data: Buffer) => (seen += data.length));
        response.on("end", () => resolve(seen));
        response.on("error", reject);
      }).end();
    });
  const upload = (bytes: number) =>
    new Promise<number>((resolve, reject) => {
      const request = send(
        { host: hostname, port, path: "/", method: "POST", agent: false },
        (response) => {
          let text = "";
          response.setEncoding("utf8").on("data", (part: string) => (text += part));
          response.on("end", () => resolve(Number(text)));
        },
      );
      request.on("error", reject);
      let left = bytes;
      const push = () => {
        while (left > 0) {
          left -= chunk.length;
          if (request.write(chunk)) continue;
          request.once("drain", push);
          return;
        }
        request.end();
      };
      push();
    });

  // Warm up: what any first megabytes cost is not growth.
  expect(await download(64 * MiB)).toBe(64 * MiB);
  expect(await upload(64 * MiB)).toBe(64 * MiB);
  const before = residentBytes(gateway);
  let peak = before;
  const watch = setInterval(() => (peak = Math.max(peak, residentBytes(gateway))), 50);
  try {
    expect(await download(GiB)).toBe(GiB);
    expect(await upload(GiB)).toBe(GiB);
  } finally {
    clearInterval(watch);
  }
  expect((peak - before) / MiB).toBeLessThan(64);
}, 120_000);

test("a client that goes away frees the upstream within a second", async () => {
  let open = 0;
  await using origin = await startOrigin((request, response) => {
    open++;
    response.on("close", () => open--);
    request.resume();
    // Headers and a piece, then nothing for a long time.
    if (request.url === "/started") response.write("piece");
  });
  await using gateway = await startGateway("standalone", { config: configFor(origin.url) });
  const { hostname, port } = new URL(gateway.urls[0]!);
  await soon(async () => {
    for (const path of ["/waiting", "/started"]) {
      const socket = connect(Number(port), hostname);
      socket.on("error", () => {});
      socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
      await soon(() => expect(open).toBe(1), 1_000);
      socket.destroy();
      await soon(() => expect(open).toBe(0), 1_000);
    }
  });
}, 60_000);

test("an upstream that breaks off mid-body costs the client a broken answer, never a clean end", async () => {
  await using origin = await startOrigin((request, response) => {
    request.resume();
    response.writeHead(200, { "content-type": "text/plain" });
    response.write("half of the", () => setTimeout(() => response.socket?.destroy(), 20));
  });
  await using gateway = await startGateway("standalone", { config: configFor(origin.url) });
  const agent = new Agent();
  await soon(async () => {
    await expect(gateway.ask("/", { agent })).rejects.toThrow(/aborted|hang up|ECONNRESET/);
  });
  agent.destroy();
}, 60_000);
