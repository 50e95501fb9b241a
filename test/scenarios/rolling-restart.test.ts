/**
 * Two proxies behind a balancer are restarted one after the other, twenty times, and nobody notices.
 *
 * An upload and a download take 20 s each, and a proxy that has one in flight ends when it is over. So there are three of each over all
 * of the restarts, one at a time: with one in flight at each restart the test would take seven minutes. An event stream and a WebSocket
 * are open all the time: whenever their proxy stops they are closed as their protocols say, and their clients come back.
 */
import { Agent, request as send } from "node:http";
import { expect, test } from "vitest";
import { startBalancer } from "../harness/balancer.ts";
import { ask } from "../harness/client.ts";
import { pieceBytes, startEndless } from "../harness/endless.ts";
import { startGateway } from "../harness/gateway.ts";
import { soon } from "../harness/soon.ts";

const restarts = 20;
const longSeconds = 20;
const paceMs = 100;
const pieces = (longSeconds * 1_000) / paceMs;

const configFor = (url: string) => `version: 1
environment: development
services:
  all: { instances: [{ url: "${url}" }], timeouts: { total: 60s } }
routes:
  - { id: socket, match: { path: "/socket" }, service: all, auth: none, websocket: true }
  - { id: all, match: { path: "/*" }, service: all, auth: none }
`;

/** What clients saw that they should not have seen. */
class Complaints {
  readonly list: string[] = [];
  readonly counts = { requests: 0, uploads: 0, downloads: 0, events: 0, streams: 0, sockets: 0 };
  note(what: string, why: unknown): void {
    this.list.push(`${what}: ${why instanceof Error ? why.message : String(why)}`);
  }
}

/** 50 requests per second, half of them on new connections. */
async function requests(url: string, complaints: Complaints, over: AbortSignal): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 4, scheduling: "fifo" });
  const open = new Set<Promise<void>>();
  const one = async (index: number) => {
    complaints.counts.requests += 1;
    try {
      const { status } = await ask(url, "/x", index % 2 === 0 ? { agent } : {});
      if (status !== 200) complaints.note("request", status);
    } catch (error) {
      complaints.note(index % 2 === 0 ? "request on a kept connection" : "request", error);
    }
  };
  const beganAt = performance.now();
  for (let index = 0; !over.aborted; index += 1) {
    const running = one(index).finally(() => open.delete(running));
    open.add(running);
    const waitMs = beganAt + (index + 1) * 20 - performance.now();
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
  }
  await Promise.all(open);
  agent.destroy();
}

function upload(url: string, complaints: Complaints): Promise<void> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve) => {
    const request = send(
      { host: hostname, port, path: "/upload", method: "POST", agent: false },
      (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (part: string) => (text += part));
        response.on("close", () => {
          complaints.counts.uploads += 1;
          if (text !== String(pieces * pieceBytes)) complaints.note("upload", text);
          resolve();
        });
      },
    );
    request.on("error", (error) => {
      complaints.note("upload", error);
      resolve();
    });
    let sent = 0;
    const timer = setInterval(() => {
      sent += 1;
      request.write(Buffer.alloc(pieceBytes, 7));
      if (sent < pieces) return;
      clearInterval(timer);
      request.end();
    }, paceMs);
    request.on("close", () => clearInterval(timer));
  });
}

function download(url: string, complaints: Complaints): Promise<void> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve) => {
    const path = `/download?pieces=${pieces}`;
    send({ host: hostname, port, path, agent: false }, (response) => {
      let bytes = 0;
      response.on("data", (data: Buffer) => (bytes += data.length));
      response.on("error", () => {});
      response.on("close", () => {
        complaints.counts.downloads += 1;
        if (bytes !== pieces * pieceBytes || !response.complete)
          complaints.note("download", `${bytes} bytes`);
        resolve();
      });
    })
      .on("error", (error) => {
        complaints.note("download", error);
        resolve();
      })
      .end();
  });
}

/** As an EventSource: comes back after the end of a stream, and goes on behind the last event. */
async function events(url: string, complaints: Complaints, over: AbortSignal): Promise<void> {
  const { hostname, port } = new URL(url);
  let last = 0;
  while (!over.aborted) {
    await new Promise<void>((resolve) => {
      const request = send(
        {
          host: hostname,
          port,
          path: "/events",
          agent: false,
          headers: last === 0 ? {} : { "last-event-id": String(last) },
        },
        (response) => {
          complaints.counts.streams += 1;
          if (response.statusCode !== 200) complaints.note("events", response.statusCode);
          let rest = "";
          response.setEncoding("utf8").on("data", (text: string) => {
            const [...blocks] = (rest + text).split("\n\n");
            rest = blocks.pop()!;
            for (const block of blocks) {
              const id = Number(/^id: (\d+)$/m.exec(block)?.[1]);
              if (id !== last + 1) complaints.note("events", `${id} after ${last}`);
              last = id;
              complaints.counts.events += 1;
            }
          });
          response.on("error", () => {});
          response.on("close", () => {
            if (!over.aborted && !response.complete) complaints.note("events", "cut");
            if (!over.aborted && rest !== "") complaints.note("events", "cut within an event");
            resolve();
          });
        },
      );
      request.on("error", (error) => {
        if (!over.aborted) complaints.note("events", error);
        resolve();
      });
      over.addEventListener("abort", () => request.destroy(), { once: true });
      request.end();
    });
  }
}

/** Comes back whenever the proxy says that it goes away. */
async function sockets(url: string, complaints: Complaints, over: AbortSignal): Promise<void> {
  while (!over.aborted) {
    await new Promise<void>((resolve) => {
      const socket = new WebSocket(`${url.replace("http:", "ws:")}/socket`);
      let heard = 0;
      socket.addEventListener("open", () => (complaints.counts.sockets += 1));
      socket.addEventListener("message", ({ data }) => {
        if (Number(data) !== ++heard) complaints.note("socket", `${data} instead of ${heard}`);
      });
      socket.addEventListener("close", ({ code, wasClean }) => {
        if (!over.aborted && (code !== 1001 || !wasClean))
          complaints.note("socket", `closed with ${code}`);
        resolve();
      });
      over.addEventListener("abort", () => socket.close(), { once: true });
    });
  }
}

test("twenty rolling restarts under load: nothing refused, nothing cut", async () => {
  await using origin = await startEndless();
  await using gateway = await startGateway("cluster", {
    proxies: 2,
    environment: { TOCSIN_WORKERS: "2", TOCSIN_DRAIN_TIMEOUT: "40s" },
    config: configFor(origin.url),
  });
  await soon(async () => {
    for (const { status } of await gateway.askAll("/x")) expect(status).toBe(200);
  });
  await using balancer = await startBalancer(
    gateway.urls.map((url, index) => ({ url, probe: gateway.probes[index]! })),
  );
  const { url } = balancer;
  const complaints = new Complaints();
  const over = new AbortController();
  const running = [
    requests(url, complaints, over.signal),
    events(url, complaints, over.signal),
    sockets(url, complaints, over.signal),
  ];
  const long: Promise<void>[] = [];
  for (let restart = 0; restart < restarts; restart += 1) {
    if (restart % 7 === 0) {
      await Promise.all(long);
      long.push(upload(url, complaints), download(url, complaints));
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    const index = restart % 2;
    const name = gateway.names.proxies[index]!;
    const code = await gateway.node(name).end("SIGTERM");
    if (code !== 0) complaints.note(name, `ended with ${code}`);
    await gateway.restart(name);
    await soon(
      async () => expect((await ask(gateway.probes[index]!, "/readyz")).status).toBe(200),
      20_000,
    );
  }
  await Promise.all(long);
  over.abort();
  await Promise.all(running);
  expect(complaints.list).toEqual([]);
  expect(balancer.refused).toBe(0);
  expect(complaints.counts).toMatchObject({ uploads: 3, downloads: 3 });
  // They did come back: they were closed, and not left alone by chance.
  expect(complaints.counts.streams).toBeGreaterThan(3);
  expect(complaints.counts.sockets).toBeGreaterThan(3);
}, 300_000);
