import { connect } from "node:net";
import { once } from "node:events";
import { expect, test } from "vitest";
import { startTestGateway } from "./gateway.fixture.ts";
import { Crowd } from "./crowd.ts";

test("addresses are counted one by one, those of IPv6 by their /64", () => {
  const crowd = new Crowd();
  expect(crowd.enter("192.0.2.1")).toBe(1);
  expect(crowd.enter("192.0.2.2")).toBe(1);
  expect(crowd.enter("192.0.2.1")).toBe(2);
  expect(crowd.enter("2001:db8:0:1::1")).toBe(1);
  expect(crowd.enter("2001:DB8:0:1:ffff::2")).toBe(2);
  expect(crowd.enter("2001:db8:0:0001:0:0:0:3")).toBe(3);
  expect(crowd.enter("2001:db8:0:2::1")).toBe(1);
  expect(crowd.enter("::1")).toBe(1);
  expect(crowd.enter("::2")).toBe(2);
  crowd.leave("2001:db8:0:1::9");
  expect(crowd.enter("2001:db8:0:1::1")).toBe(3);
  crowd.leave("192.0.2.1");
  crowd.leave("192.0.2.1");
  expect(crowd.enter("192.0.2.1")).toBe(1);
});

async function open(port: number) {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => {});
  await once(socket, "connect");
  return socket;
}

const closed = (socket: Awaited<ReturnType<typeof open>>) =>
  socket.destroyed || socket.closed ? Promise.resolve() : once(socket, "close");

async function answers(socket: Awaited<ReturnType<typeof open>>): Promise<string> {
  socket.write("GET /none HTTP/1.1\r\nHost: localhost\r\n\r\n");
  const [chunk] = (await once(socket, "data").catch(() => ["closed"])) as [Buffer];
  return chunk.toString().slice(0, 12);
}

/** What becomes of one more connection. */
async function outcome(port: number): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  const over = new Promise<string>((resolve) => {
    socket.on("error", () => resolve("closed"));
    socket.on("close", () => resolve("closed"));
  });
  const answer = await Promise.race([
    once(socket, "connect").then(
      () => answers(socket),
      () => "closed",
    ),
    over,
  ]);
  socket.destroy();
  return answer;
}

test("an address that holds as many connections as it may gets no more until one is closed", async () => {
  await using gateway = await startTestGateway({
    to: [],
    config: { listen: { limits: { connectionsPerAddress: 2 } } },
  });
  const [one, two] = [await open(gateway.port), await open(gateway.port)];
  expect(await answers(one)).toMatch(/^HTTP\/1\.1 \d/);
  expect(await outcome(gateway.port)).toBe("closed");
  expect(await answers(two)).toMatch(/^HTTP\/1\.1 \d/);
  const { text } = await gateway.metrics.scrape();
  expect(text).toContain('tocsin_connections_refused_total{reason="address"} 1');
  one.destroy();
  for (;;) {
    // The gateway hears of it a moment later.
    if ((await outcome(gateway.port)) !== "closed") break;
  }
  two.destroy();
});

test("a trusted proxy in front is many clients and not counted", async () => {
  await using gateway = await startTestGateway({
    to: [],
    config: {
      listen: { trustedProxies: ["127.0.0.1"], limits: { connectionsPerAddress: 1 } },
    },
  });
  const sockets = await Promise.all([1, 2, 3].map(() => open(gateway.port)));
  for (const socket of sockets) {
    expect(await answers(socket)).toMatch(/^HTTP\/1\.1 \d/);
    socket.destroy();
  }
});

test("a request whose head does not arrive in the time that the config gives is refused with 408", async () => {
  await using gateway = await startTestGateway({
    to: [],
    config: { listen: { limits: { headersTimeout: "1s" } } },
  });
  const socket = await open(gateway.port);
  socket.write("GET / HTTP/1.1\r\nHost: loc");
  const [chunk] = (await once(socket, "data")) as [Buffer];
  expect(chunk.toString()).toMatch(/^HTTP\/1\.1 408 /);
  await closed(socket);
});
