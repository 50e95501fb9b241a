/** What ends a WebSocket: its limits, orders from outside, and sides that vanish. */
import { connect } from "node:net";
import { describe, expect, test } from "vitest";
import type { Presented } from "../identity/identity.ts";
import type { IdentifiedPrincipal } from "../identity/principal.ts";
import { goingAway, unauthorized } from "../streams/streams.ts";
import { closing, frame, plainFrame } from "../websocket/frames.fixture.ts";
import { codeOf, instanceAt, soon, statusOf } from "./gateway.fixture.ts";
import { End, handshakeText, lastClose, startStage, switchingText } from "./websocket.fixture.ts";
import type { Stage } from "./websocket.fixture.ts";

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function counted(stage: Stage, reason: string): Promise<void> {
  await soon(() => stage.gateway.streams.size === 0);
  const line = `tocsin_streams_closed_total{kind="websocket",reason="${reason}"}`;
  expect((await stage.gateway.metrics.scrape()).text).toContain(line);
}

/** Nothing of it is left. */
async function gone(stage: Stage): Promise<void> {
  await soon(() => stage.gateway.listener.active === 0 && stage.gateway.streams.size === 0);
  expect(stage.gateway.websockets.size).toBe(0);
}

describe("time", () => {
  test("silence in both directions ends it with 1001", async () => {
    await using stage = await startStage({ websocket: { idle: "1s" } });
    const { client, service } = await stage.open();
    const begun = performance.now();
    await soon(() => lastClose(client.frames) && lastClose(service.frames));
    expect(performance.now() - begun).toBeGreaterThan(900);
    expect(lastClose(client.frames)).toBe("1001 idle");
    expect(lastClose(service.frames)).toBe("1001 idle");
    client.socket.end(frame(closing(1001), { opcode: 8 }));
    service.socket.end(plainFrame(closing(1001), { opcode: 8 }));
    const record = await soon(() => stage.gateway.records[0]);
    expect(record).toMatchObject({ status: 101, aborted: "deadline" });
    await counted(stage, "idle");
  });

  test.each(["client", "service"])("a ping of the %s now and then is no silence", async (who) => {
    await using stage = await startStage({ websocket: { idle: "1s" } });
    const { client, service } = await stage.open();
    const begun = performance.now();
    while (performance.now() - begun < 2_500) {
      if (who === "client") client.send(frame("", { opcode: 9 }));
      else service.send(plainFrame("", { opcode: 9 }));
      await pause(300);
    }
    expect(lastClose(client.frames)).toBeUndefined();
    expect(client.ended || service.ended).toBe(false);
  });

  test("the longest life ends it with 1001, however busy it is", async () => {
    await using stage = await startStage({ websocket: { maxLifetime: "1s" } });
    const { client, service } = await stage.open();
    const begun = performance.now();
    while (!client.ended) {
      if (client.socket.writable) client.send(frame("busy"));
      await pause(50);
      expect(performance.now() - begun).toBeLessThan(5_000);
    }
    expect(lastClose(client.frames)).toBe("1001 lifetime");
    await soon(() => service.ended);
    expect(lastClose(service.frames)).toBe("1001 lifetime");
    client.socket.end();
    service.socket.end();
    await counted(stage, "lifetime");
  });

  test("neither the service's time for all nor its time between bytes applies", async () => {
    await using stage = await startStage({
      config: {
        services: { a: { timeouts: { total: "300ms", idle: "300ms", firstByte: "200ms" } } },
        routes: [{ id: "all", match: { path: "/*" }, service: "a", auth: "none", websocket: true }],
      },
    });
    const { client, service } = await stage.open();
    await pause(900);
    client.send(frame("still here"));
    await service.gets(frame("still here"));
  });
});

describe("numbers", () => {
  const alice: IdentifiedPrincipal = {
    method: "jwt",
    subject: "alice",
    issuer: "https://id.example",
    roles: [],
    scopes: [],
    expiresAt: 4_000_000_000,
    credential: {
      issuer: "https://id.example",
      subject: "alice",
      issuedAt: 0,
      jti: undefined,
      fingerprint: undefined,
    },
    headers: ["X-User-ID", "alice"],
  };
  const identity = {
    identify: ({ head: { authorization } }: Presented) =>
      ({ ...alice, subject: authorization!.slice(7) }) satisfies IdentifiedPrincipal,
  };
  const routes = (websocket: Record<string, unknown>) => [
    { id: "all", match: { path: "/*" }, service: "a", auth: "required", websocket },
    { id: "other", match: { path: "/other" }, service: "a", auth: "required", websocket },
  ];
  const as = (who: string) => `Authorization: Bearer ${who}`;

  test("a principal has so many at the same time, on each route", async () => {
    await using stage = await startStage({
      config: { routes: routes({ perPrincipal: 2 }) },
      gateway: { identity },
    });
    const { client } = await stage.open([as("alice")]);
    await stage.open([as("alice")]);
    const third = stage.client(handshakeText([as("alice")]));
    await soon(() => third.ended);
    expect(statusOf(third.text)).toBe(429);
    expect(codeOf(third.text)).toBe("quota-exceeded");
    expect(third.text).toMatch(/\r\nretry-after: 1\r\n/i);
    expect(stage.origin.connections).toHaveLength(2);
    await stage.open([as("bob")]);
    const count = stage.services.length;
    stage.client(handshakeText([as("alice")], "/other"));
    await soon(() => stage.services.length === count + 1);
    client.socket.destroy();
    await soon(() => stage.gateway.streams.size === 2);
    const again = await stage.open([as("alice")]);
    expect(statusOf(again.client.head)).toBe(101);
  });

  test("an address has so many at the same time", async () => {
    await using stage = await startStage({ websocket: { perAddress: 3 } });
    const open = [await stage.open(), await stage.open(), await stage.open()];
    const fourth = stage.client();
    await soon(() => fourth.ended);
    expect(statusOf(fourth.text)).toBe(429);
    for (const { client } of open) client.socket.destroy();
    await gone(stage);
    await stage.open();
  });

  test("an IPv6 client is its /64", async () => {
    await using stage = await startStage({
      config: {
        listen: { trustedProxies: ["127.0.0.1"] },
        routes: routes({ perAddress: 1 }).map((route) => ({ ...route, auth: "none" })),
      },
    });
    await stage.open(["X-Forwarded-For: 2001:db8:0:1::1"]);
    await stage.open(["X-Forwarded-For: 2001:db8:0:2::1"]);
    const same = stage.client(handshakeText(["X-Forwarded-For: 2001:DB8:0:1:ffff::2"]));
    await soon(() => same.ended);
    expect(statusOf(same.text)).toBe(429);
  });

  test("who was refused by the service, or went away before its answer, does not count", async () => {
    await using stage = await startStage({ websocket: { perAddress: 1 } });
    for (const answer of ["HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", undefined]) {
      const count = stage.services.length;
      const client = stage.client();
      const service = await soon(() => stage.services[count]);
      await soon(() => service.head !== "");
      if (answer === undefined) client.socket.destroy();
      else {
        service.send(answer);
        await soon(() => client.ended);
        client.socket.end();
      }
      await gone(stage);
    }
    await stage.open();
  });

  test("a hundred of them pass their bytes, and a hundred are closed when they are told", async () => {
    await using stage = await startStage();
    const all = await Promise.all(
      Array.from({ length: 100 }, async (_, index) => {
        const client = stage.client(handshakeText([`X-Number: ${index}`]));
        const service = await soon(() =>
          stage.services.find(({ head }) => head.includes(`X-Number: ${index}\r\n`)),
        );
        service.send(switchingText());
        await soon(() => client.head !== "");
        return { client, service, index };
      }),
    );
    await Promise.all(
      all.map(async ({ client, service, index }) => {
        const up = frame(`up ${index} `.repeat(100 * index));
        const down = plainFrame(`down ${index} `.repeat(100 * index));
        client.send(up);
        service.send(down);
        await Promise.all([service.gets(up), client.gets(down)]);
      }),
    );
    expect(stage.gateway.streams.count("websocket")).toBe(100);
    const metrics = await stage.gateway.metrics.scrape();
    expect(metrics.text).toMatch(/^gateway_active_connections 100$/m);
    const closing = stage.gateway.streams.closeAll(goingAway, 200);
    await soon(() => all.every(({ client }) => client.ended));
    await closing;
    for (const { client, service } of all) {
      expect(lastClose(client.frames)).toBe("1001 shutdown");
      expect(lastClose(service.frames)).toBe("1001 shutdown");
      client.socket.end();
      service.socket.end();
    }
    await gone(stage);
    expect(stage.gateway.records.map(({ status, aborted }) => `${status} ${aborted}`)).toEqual(
      Array.from({ length: 100 }, () => "101 shutdown"),
    );
    await soon(async () => true);
    expect((await stage.gateway.metrics.scrape()).text).toMatch(/^gateway_active_connections 0$/m);
  });
});

describe("closing from outside", () => {
  test("those of one principal with 4401, and nobody else's", async () => {
    await using stage = await startStage();
    const one = await stage.open();
    const other = await stage.open();
    const [first] = [...stage.gateway.streams];
    expect(first).toMatchObject({
      kind: "websocket",
      route: "all",
      service: "a",
      clientAddress: "127.0.0.1",
    });
    expect(stage.gateway.streams.close((stream) => stream === first, unauthorized, "revoked")).toBe(
      1,
    );
    await soon(() => one.client.ended && one.service.ended);
    expect(lastClose(one.client.frames)).toBe("4401 revoked");
    expect(lastClose(one.service.frames)).toBe("4401 revoked");
    expect(other.client.ended).toBe(false);
    one.client.socket.end();
    one.service.socket.end();
    await soon(() => stage.gateway.records.length === 1);
    expect(stage.gateway.records[0]).toMatchObject({ status: 101, code: "credential-revoked" });
  });

  test("in the middle of a frame, the frame is finished first, and nothing stands behind the end", async () => {
    await using stage = await startStage();
    const { client, service } = await stage.open();
    const message = plainFrame("0123456789".repeat(30));
    service.send(message.subarray(0, 100));
    await soon(() => client.frames.length === 100);
    void stage.gateway.streams.closeAll(goingAway, 0);
    // Towards the service nothing is under way.
    await soon(() => lastClose(service.frames) === "1001 shutdown");
    expect(client.ended).toBe(false);
    service.send(Buffer.concat([message.subarray(100), plainFrame("too late")]));
    await soon(() => client.ended);
    const end = plainFrame(closing(1001, "shutdown"), { opcode: 8 });
    expect(client.frames.equals(Buffer.concat([message, end]))).toBe(true);
    client.socket.end();
    service.socket.end();
    await gone(stage);
  });

  test("a frame that is never finished is cut, and sides that do not close, too", async () => {
    await using stage = await startStage();
    const { client, service } = await stage.open();
    service.send(plainFrame("0123456789").subarray(0, 5));
    await soon(() => client.frames.length === 5);
    const begun = performance.now();
    void stage.gateway.streams.closeAll(goingAway, 0);
    await soon(() => client.closed && service.ended);
    expect(performance.now() - begun).toBeLessThan(4_000);
    expect(client.frames).toHaveLength(5);
    await gone(stage);
  });
});

describe("sides that vanish", () => {
  test("a client that resets: the service sees a reset", async () => {
    await using stage = await startStage();
    const { client, service } = await stage.open();
    client.socket.resetAndDestroy();
    await soon(() => service.closed);
    expect(service.reset).toBe(true);
    await gone(stage);
    expect(stage.gateway.records[0]).toMatchObject({ status: 101, aborted: "client-gone" });
    await counted(stage, "client-gone");
  });

  test("a service that resets: the client sees a reset", async () => {
    await using stage = await startStage();
    const { client, service } = await stage.open();
    service.socket.resetAndDestroy();
    await soon(() => client.closed);
    expect(client.reset).toBe(true);
    await gone(stage);
    expect(stage.gateway.records[0]).toMatchObject({ status: 101, code: "upstream-failed" });
    await counted(stage, "upstream-gone");
  });

  test("a client that ends its direction still hears the service, which then ends its own", async () => {
    await using stage = await startStage();
    const { client, service } = await stage.open();
    client.socket.end(Buffer.concat([frame("last words"), Buffer.from([0x81])]));
    await soon(() => service.ended);
    await service.gets(Buffer.concat([frame("last words"), Buffer.from([0x81])]));
    service.send(plainFrame("farewell"));
    await client.gets(plainFrame("farewell"));
    expect(client.ended).toBe(false);
    service.socket.end();
    await soon(() => client.ended && client.closed);
    expect(client.reset).toBe(false);
    await counted(stage, "client-gone");
  });

  test("a service that ends its direction still hears the client", async () => {
    await using stage = await startStage();
    const { client, service } = await stage.open();
    service.socket.end(plainFrame("I only listen"));
    await soon(() => client.ended);
    await client.gets(plainFrame("I only listen"));
    client.send(frame("good"));
    await service.gets(frame("good"));
    client.socket.end();
    await counted(stage, "upstream-gone");
  });

  test("a client that ends without a word frees its service, which says nothing, in seconds", async () => {
    await using stage = await startStage();
    const { client, service } = await stage.open();
    const begun = performance.now();
    client.socket.destroy();
    await soon(() => service.ended);
    await gone(stage);
    expect(performance.now() - begun).toBeLessThan(4_000);
    await counted(stage, "client-gone");
  });

  test("a close frame and nothing else is an end as it should be", async () => {
    await using stage = await startStage();
    const { client, service } = await stage.open();
    service.socket.end(plainFrame(closing(1000), { opcode: 8 }));
    await client.gets(plainFrame(closing(1000), { opcode: 8 }));
    client.socket.destroy();
    await counted(stage, "closed");
    await gone(stage);
    expect(stage.gateway.records[0]!.aborted).toBeUndefined();
    expect(stage.gateway.records[0]!.code).toBeUndefined();
  });

  test.each([
    [1000, ""],
    [1001, "going"],
    [1011, "failed"],
    [3000, "library"],
    [4999, "r".repeat(123)],
  ])("the close code %i passes in both directions", async (code, reason) => {
    await using stage = await startStage();
    for (const first of ["client", "service"] as const) {
      const { client, service } = await stage.open();
      const up = frame(closing(code, reason), { opcode: 8 });
      const down = plainFrame(closing(code, reason), { opcode: 8 });
      if (first === "client") client.send(up);
      else service.send(down);
      await (first === "client" ? service.gets(up) : client.gets(down));
      if (first === "client") service.send(down);
      else client.send(up);
      await soon(() => client.ended && service.ended);
      await client.gets(down);
      await service.gets(up);
      client.socket.end();
      service.socket.end();
    }
    await counted(stage, "closed");
  });

  test("both have said the end and neither closes: the gateway does", async () => {
    await using stage = await startStage();
    const { client, service } = await stage.open();
    client.send(frame(closing(1000), { opcode: 8 }));
    service.send(plainFrame(closing(1000), { opcode: 8 }));
    await soon(() => client.ended && service.ended);
    await counted(stage, "closed");
    await gone(stage);
  });
});

describe("pace", () => {
  // More than the system buffers on the way.
  const many = 48 * 1024 * 1024;

  test.each(["up", "down"])("%s: nobody sends faster than the other side reads", async (way) => {
    await using stage = await startStage({ websocket: { maxMessage: "64MiB" } });
    const { client, service } = await stage.open();
    const [sender, receiver] = way === "up" ? [client, service] : [service, client];
    const bytes = (way === "up" ? frame : plainFrame)(Buffer.alloc(many, 7), { opcode: 2 });
    receiver.socket.pause();
    let drained = false;
    sender.socket.on("drain", () => (drained = true));
    sender.send(bytes);
    await pause(400);
    expect(drained).toBe(false);
    // The other direction goes on meanwhile.
    const word = (way === "up" ? plainFrame : frame)("hello");
    receiver.send(word);
    await sender.gets(word);
    receiver.socket.resume();
    await receiver.gets(bytes);
  });

  test("a side that takes nothing for too long is cut, however much it says itself", async () => {
    await using stage = await startStage({
      websocket: { maxMessage: "64MiB", idle: "10s" },
      config: { listen: { limits: { writeTimeout: "1s" } } },
    });
    const { client, service } = await stage.open();
    client.socket.pause();
    service.send(plainFrame(Buffer.alloc(many, 7), { opcode: 2 }));
    const begun = performance.now();
    while (!service.closed) {
      if (client.socket.writable) client.send(frame("ping", { opcode: 9 }));
      await pause(50);
      expect(performance.now() - begun).toBeLessThan(6_000);
    }
    await counted(stage, "stalled");
    await gone(stage);
  });

  test("a side that takes little, but takes it, is waited for", async () => {
    await using stage = await startStage({
      websocket: { maxMessage: "64MiB" },
      config: { listen: { limits: { writeTimeout: "1s" } } },
    });
    const { client, service } = await stage.open();
    service.send(plainFrame(Buffer.alloc(many, 7), { opcode: 2 }));
    const begun = performance.now();
    // Some of it every 300 ms, for three times as long as nothing may be taken.
    while (performance.now() - begun < 3_000) {
      client.socket.resume();
      await pause(2);
      client.socket.pause();
      await pause(300);
    }
    client.socket.resume();
    await soon(() => client.size - client.head.length === many + 10);
  });
});

test("least-requests counts those that are open", async () => {
  await using other = await startStage();
  await using stage = await startStage({
    config: {
      services: { a: { balance: { algorithm: "least-requests" } } },
      routes: [{ id: "all", match: { path: "/*" }, service: "a", auth: "none", websocket: true }],
    },
    // The two that are drawn are always the two that there are.
    gateway: { random: alternating(0, 0.99) },
  });
  stage.gateway.setInstances(instanceAt(stage.origin.port), instanceAt(other.origin.port));
  const count = () => [stage.services.length, other.services.length];
  const clients: End[] = [];
  for (let index = 1; index <= 6; index += 1) {
    const client = stage.client();
    clients.push(client);
    await soon(() => stage.services.length + other.services.length === index);
    const service = await soon(() =>
      [...stage.services, ...other.services].find(({ head, sent }) => head !== "" && sent === 0),
    );
    service.send(switchingText());
    await soon(() => client.head !== "");
  }
  expect(count()).toEqual([3, 3]);
  for (const service of other.services) service.socket.destroy();
  await soon(() => clients.filter(({ ended, closed }) => ended || closed).length === 3);
  for (const client of clients) if (client.ended || client.closed) client.socket.destroy();
  await soon(() => stage.gateway.streams.size === 3);
  for (let index = 7; index <= 9; index += 1) {
    stage.client();
    await soon(() => stage.services.length + other.services.length === index);
  }
  expect(count()).toEqual([3, 6]);
});

/** Chance that gives these in turn. */
function alternating(...values: number[]): () => number {
  let turn = 0;
  return () => values[turn++ % values.length]!;
}

test("a frozen client is found out by silence, and its service is told", async () => {
  await using stage = await startStage({ websocket: { idle: "1s" } });
  const socket = connect(stage.gateway.port, "127.0.0.1");
  const client = new End(socket);
  client.send(handshakeText());
  const service = await soon(() => stage.services[0]);
  await soon(() => service.head !== "");
  service.send(switchingText());
  await soon(() => client.head !== "");
  // It reads nothing, says nothing, and does not close.
  socket.pause();
  await soon(() => lastClose(service.frames) === "1001 idle");
  await gone(stage);
  expect(stage.gateway.records[0]).toMatchObject({ status: 101, aborted: "deadline" });
  socket.destroy();
});
