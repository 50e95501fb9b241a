/** SIGTERM, as an init system, a container runtime or a person sends it. */
import { request as send } from "node:http";
import { expect, test, describe } from "vitest";
import { ask } from "../harness/client.ts";
import { startEndless } from "../harness/endless.ts";
import { startGateway, type Gateway } from "../harness/gateway.ts";
import { soon } from "../harness/soon.ts";
import { startOrigin } from "../harness/origin.ts";

const configFor = (url: string) => `version: 1
environment: development
services:
  all: { instances: [{ url: "${url}" }] }
routes:
  - { id: socket, match: { path: "/socket" }, service: all, auth: none, websocket: true }
  - { id: all, match: { path: "/*" }, service: all, auth: none }
`;

const kinds = [
  { name: "standalone", mode: "standalone", workers: "1" },
  { name: "a proxy of one process", mode: "cluster", workers: "1" },
  { name: "a proxy of two workers", mode: "cluster", workers: "2" },
] as const;

/** An answer that has begun, and how it ends. */
function open(gateway: Gateway, path: string) {
  const { hostname, port } = new URL(gateway.urls[0]!);
  const heard = { bytes: 0, complete: undefined as boolean | undefined };
  const ended = new Promise<void>((resolve) => {
    send({ host: hostname, port, path, agent: false }, (response) => {
      response.on("data", (data: Buffer) => (heard.bytes += data.length));
      response.on("error", () => {});
      response.on("close", () => {
        heard.complete = response.complete;
        resolve();
      });
    })
      .on("error", () => resolve())
      .end();
  });
  return { heard, ended };
}

describe.each(kinds)("$name", ({ mode, workers }) => {
  const start = (url: string, environment: Record<string, string> = {}) =>
    startGateway(mode, {
      proxies: 1,
      environment: { TOCSIN_WORKERS: workers, ...environment },
      config: configFor(url),
    });

  test("told to stop, it is not ready at once, goes on for a notice, finishes what is in flight, closes streams properly, and ends with 0", async () => {
    await using origin = await startEndless();
    await using gateway = await start(origin.url, { TOCSIN_DRAIN_NOTICE: "1s" });
    await soon(async () => expect((await gateway.ask("/x")).status).toBe(200));
    const events = open(gateway, "/events");
    const download = open(gateway, "/download?pieces=25");
    const socket = new WebSocket(`${gateway.urls[0]!.replace("http:", "ws:")}/socket`);
    const closed = new Promise<[number, boolean]>((resolve) =>
      socket.addEventListener("close", ({ code, wasClean }) => resolve([code, wasClean])),
    );
    let messages = 0;
    socket.addEventListener("message", () => (messages += 1));
    await soon(() => {
      expect(Math.min(events.heard.bytes, download.heard.bytes, messages)).toBeGreaterThan(0);
    });

    const ended = gateway.proxies()[0]!.end("SIGTERM");
    await soon(
      async () => expect((await ask(gateway.probes[0]!, "/readyz")).status).toBe(503),
      500,
    );
    const noticed = await gateway.ask("/x");
    expect([noticed.status, noticed.headers.connection]).toEqual([200, "close"]);
    expect(socket.readyState).toBe(WebSocket.OPEN);
    await soon(async () => {
      await expect(gateway.ask("/x")).rejects.toThrow(/ECONNREFUSED/);
    });
    // Streams go on until all else is over.
    expect(events.heard.complete).toBeUndefined();
    await download.ended;
    expect(download.heard).toEqual({ bytes: 25 * 1024, complete: true });
    expect(await closed).toEqual([1001, true]);
    await events.ended;
    expect(events.heard.complete).toBe(true);
    expect(await ended).toBe(0);
  }, 60_000);

  test("whatever is still in flight, it ends with 0 within its time", async () => {
    await using origin = await startOrigin((request) => request.resume());
    await using gateway = await start(origin.url, { TOCSIN_DRAIN_TIMEOUT: "2s" });
    const stuck = open(gateway, "/stuck");
    await soon(() => expect(origin.seen.length).toBeGreaterThan(0));
    const beganAt = performance.now();
    expect(await gateway.proxies()[0]!.end("SIGTERM")).toBe(0);
    expect(performance.now() - beganAt).toBeLessThan(2_000);
    expect(performance.now() - beganAt).toBeGreaterThan(1_000);
    await stuck.ended;
  }, 60_000);
});

test("a bus that is frozen does not keep a proxy from ending", async () => {
  await using origin = await startOrigin();
  await using gateway = await startGateway("cluster", {
    proxies: 1,
    environment: { TOCSIN_WORKERS: "2", TOCSIN_DRAIN_TIMEOUT: "2s" },
    config: configFor(origin.url),
  });
  gateway.nats!.freeze();
  const beganAt = performance.now();
  expect(await gateway.proxies()[0]!.end("SIGTERM")).toBe(0);
  expect(performance.now() - beganAt).toBeLessThan(2_000);
  gateway.nats!.thaw();
}, 60_000);
