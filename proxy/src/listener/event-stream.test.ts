/** Server-sent events and long polls, with both ends raw. */
import { connect } from "node:net";
import type { Socket } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { goingAway } from "../streams/streams.ts";
import { soon, startRawOrigin, startTestGateway, statusOf } from "./gateway.fixture.ts";
import type { OriginConnection, TestGateway } from "./gateway.fixture.ts";

let stack: AsyncDisposableStack;
beforeEach(() => {
  stack = new AsyncDisposableStack();
});
afterEach(() => stack.disposeAsync());

const head =
  "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n";
const chunk = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n`;

interface Listening {
  readonly gateway: TestGateway;
  readonly service: OriginConnection;
  readonly socket: Socket;
  readonly heard: () => string;
  readonly closed: () => boolean;
}

/** A client that asked for events, and the service that it asked. */
async function listening(
  timeouts: Record<string, string> = {},
  version = "1.1",
  answer = head,
): Promise<Listening> {
  const origin = stack.use(await startRawOrigin(() => {}));
  const gateway = stack.use(
    await startTestGateway({ to: [origin.port], config: { services: { a: { timeouts } } } }),
  );
  let heard = "";
  let closed = false;
  const socket = connect(gateway.port, "127.0.0.1");
  stack.defer(() => void socket.destroy());
  socket.on("data", (bytes) => (heard += bytes.toString("latin1")));
  socket.on("close", () => (closed = true));
  socket.on("error", () => {});
  socket.write(`GET /events HTTP/${version}\r\nHost: gw.test\r\nAccept: text/event-stream\r\n\r\n`);
  const service = await soon(() => origin.connections[0]);
  await service.until((text) => text.includes("\r\n\r\n"));
  service.socket.write(answer);
  return { gateway, service, socket, heard: () => heard, closed: () => closed };
}

test("each event arrives before the next one is sent, and nothing is put to it", async () => {
  const { service, heard, gateway } = await listening();
  await soon(() => heard().includes("\r\n\r\n"));
  await soon(() => gateway.streams.count("event-stream") === 1);
  let body = "";
  for (let index = 1; index <= 20; index += 1) {
    const event = chunk(`id: ${index}\ndata: ${"x".repeat(index * 50)}\n\n`);
    service.socket.write(event);
    body += event;
    await soon(() => heard().endsWith(body));
  }
  service.socket.write("0\r\n\r\n");
  await soon(() => heard().endsWith(`${body}0\r\n\r\n`));
  await soon(() => gateway.records.length === 1);
  expect(gateway.records[0]).toMatchObject({ status: 200, aborted: undefined, code: undefined });
  expect(gateway.streams.size).toBe(0);
  expect((await gateway.metrics.scrape()).text).toContain(
    'tocsin_streams_closed_total{kind="event-stream",reason="closed"} 1',
  );
});

test("a long poll is answered when there is an answer, within the time for a first byte", async () => {
  const origin = stack.use(await startRawOrigin(() => {}));
  const gateway = stack.use(
    await startTestGateway({
      to: [origin.port],
      config: { services: { a: { timeouts: { idle: "300ms", firstByte: "5s" } } } },
    }),
  );
  const begun = performance.now();
  const polled = new Promise<string>((resolve) => {
    let heard = "";
    const socket = connect(gateway.port, "127.0.0.1");
    stack.defer(() => void socket.destroy());
    socket.on("data", (bytes) => {
      heard += bytes.toString("latin1");
      if (heard.endsWith("news")) resolve(heard);
    });
    socket.write("GET /poll HTTP/1.1\r\nHost: gw.test\r\n\r\n");
  });
  const service = await soon(() => origin.connections[0]);
  // Three times as long as a body may be silent.
  await soon(() => performance.now() - begun > 900);
  service.socket.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnews");
  expect(statusOf(await polled)).toBe(200);
});

test("comments keep a stream alive; one that is silent is visibly cut", async () => {
  const { service, heard, closed, gateway } = await listening({ idle: "500ms" });
  const begun = performance.now();
  while (performance.now() - begun < 1_500) {
    const before = heard().length;
    service.socket.write(chunk(":\n\n"));
    await soon(() => heard().length > before);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  expect(closed()).toBe(false);
  await soon(() => closed());
  expect(heard().endsWith("0\r\n\r\n")).toBe(false);
  await soon(() => gateway.streams.size === 0);
  expect(gateway.records[0]).toMatchObject({ status: 200, code: "upstream-failed" });
});

test("ended from outside, its body ends properly, and the service hears of it", async () => {
  const { service, heard, gateway } = await listening();
  const event = chunk("id: 7\ndata: x\n\n");
  service.socket.write(event);
  await soon(() => heard().endsWith(event));
  service.socket.write(chunk("id: 8\nda"));
  await soon(() => heard().endsWith("da\r\n"));
  let gone = false;
  service.socket.on("close", () => (gone = true));
  await gateway.streams.closeAll(goingAway, 0);
  await soon(() => heard().endsWith(`${event}${chunk("id: 8\nda")}0\r\n\r\n`));
  await soon(() => gone);
  await soon(() => gateway.records.length === 1);
  expect(gateway.records[0]).toMatchObject({ status: 200, aborted: "shutdown", code: undefined });
  expect((await gateway.metrics.scrape()).text).toContain(
    'tocsin_streams_closed_total{kind="event-stream",reason="shutdown"} 1',
  );
});

test("one that begins while all are ended is ended at once", async () => {
  const { gateway, heard } = await listening();
  await soon(() => gateway.streams.size === 1);
  await gateway.streams.closeAll(goingAway, 0);
  await soon(() => heard().endsWith("0\r\n\r\n"));
  const origin = await startRawOrigin(({ socket }) => {
    socket.on("data", () => socket.write(head + chunk("data: x\n\n")));
  });
  stack.use(origin);
  gateway.setInstances({
    key: "a.late.1",
    service: "a",
    instance: "late",
    url: `http://127.0.0.1:${origin.port}`,
    weight: 1,
    eligible: true,
    active: true,
  });
  const late = connect(gateway.port, "127.0.0.1");
  stack.defer(() => void late.destroy());
  let text = "";
  late.on("data", (bytes) => (text += bytes.toString("latin1")));
  late.write("GET / HTTP/1.1\r\nHost: gw.test\r\n\r\n");
  await soon(() => text.endsWith("0\r\n\r\n"));
});

test("a client that goes away is counted as gone, and frees the service", async () => {
  const { service, heard, socket, gateway } = await listening();
  service.socket.write(chunk("data: x\n\n"));
  await soon(() => heard().includes("data: x"));
  let gone = false;
  service.socket.on("close", () => (gone = true));
  socket.resetAndDestroy();
  await soon(() => gone);
  await soon(() => gateway.streams.size === 0);
  expect(gateway.records[0]).toMatchObject({ aborted: "client-gone" });
});

test("HTTP/1.0 gets events too, and its connection ends with them", async () => {
  const { service, heard, closed, gateway } = await listening({}, "1.0");
  service.socket.write(chunk("data: x\n\n"));
  await soon(() => heard().endsWith("\r\n\r\ndata: x\n\n"));
  await gateway.streams.closeAll(goingAway, 0);
  await soon(() => closed());
  expect(heard().endsWith("\r\n\r\ndata: x\n\n")).toBe(true);
});

test.each([
  [
    "a length",
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 100\r\n\r\nhalf",
  ],
  ["another media type", "HTTP/1.1 200 OK\r\nContent-Type: text/event-streams\r\n\r\nhalf"],
])("a body with %s is no event stream", async (_what, answer) => {
  const { heard, gateway } = await listening({}, "1.1", answer);
  await soon(() => heard().includes("half"));
  expect(gateway.streams.size).toBe(0);
});

test("both directions go on at the same time", async () => {
  const origin = stack.use(await startRawOrigin(() => {}));
  const gateway = stack.use(await startTestGateway({ to: [origin.port] }));
  const socket = connect(gateway.port, "127.0.0.1");
  stack.defer(() => void socket.destroy());
  let heard = "";
  socket.on("data", (bytes) => (heard += bytes.toString("latin1")));
  socket.write("POST /talk HTTP/1.1\r\nHost: gw.test\r\nTransfer-Encoding: chunked\r\n\r\n");
  socket.write(chunk("q0"));
  const service = await soon(() => origin.connections[0]);
  await service.until((text) => text.endsWith(chunk("q0")));
  service.socket.write(head);
  for (let index = 1; index <= 10; index += 1) {
    service.socket.write(chunk(`a${index}`));
    await soon(() => heard.endsWith(chunk(`a${index}`)));
    socket.write(chunk(`q${index}`));
    await service.until((text) => text.endsWith(chunk(`q${index}`)));
  }
});
