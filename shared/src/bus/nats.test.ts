/** What is true of the bus on NATS beyond the contract: connections that come late, break, go mute, or may not. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { eventually, freePort, startNats, startRelay } from "@tocsin/test/harness";
import { describe, expect, test } from "vitest";
import { silentLog, type Log } from "../log.ts";
import { systemClock } from "../time.ts";
import type { BusState } from "./bus.ts";
import { connectNats, type NatsOptions } from "./nats.ts";

const options = (url: string, more: Partial<NatsOptions> = {}): NatsOptions => ({
  servers: [url],
  node: "node-1",
  role: "proxy",
  clock: systemClock,
  log: silentLog,
  ...more,
});

test("with no server there is a bus after the time that was given; it fails at once, and works when the server comes", async () => {
  const port = await freePort();
  await using bus = await connectNats(
    options(`nats://127.0.0.1:${port}`, { firstConnectTimeoutMs: 50 }),
  );
  expect(bus.state).toBe("disconnected");
  bus.publish("a", "lost");
  await expect(bus.request("a", "", { timeoutMs: 10_000 })).rejects.toMatchObject({
    kind: "disconnected",
  });
  await expect(bus.flush()).rejects.toMatchObject({ kind: "disconnected" });
  const subscribing = bus.subscribe("a", (message) => message.respond("here"));

  await using _ = await startNats({ port });
  await using _listening = await subscribing;
  expect(bus.state).toBe("connected");
  expect((await bus.request("a", "", { timeoutMs: 2_000 })).text()).toBe("here");
});

test("the first connection can be given up, and a bus that never connected can be disposed", async () => {
  const port = await freePort();
  const signal = AbortSignal.timeout(50);
  await expect(connectNats(options(`nats://127.0.0.1:${port}`, { signal }))).rejects.toMatchObject({
    name: "TimeoutError",
  });
});

test("a subscription while the bus is away fails after a while, and does not come back as a ghost", async () => {
  await using nats = await startNats();
  await using bus = await connectNats(options(nats.url));
  await nats.kill();
  await eventually("disconnected", () => bus.state === "disconnected");
  const heard: string[] = [];
  await expect(bus.subscribe("a", ({ subject }) => heard.push(subject))).rejects.toMatchObject({
    kind: "disconnected",
  });
  await nats.restart();
  await eventually("connected", () => bus.state === "connected");
  await expect(bus.request("a", "", { timeoutMs: 1_000 })).rejects.toMatchObject({
    kind: "no-responders",
  });
  expect(heard).toEqual([]);
});

test("when the server is killed requests end at once; when it is back subscriptions are too", async () => {
  await using nats = await startNats();
  await using bus = await connectNats(options(nats.url));
  await using other = await connectNats(options(nats.url));
  const states: BusState[] = [];
  bus.onState((state) => states.push(state));
  const heard: string[] = [];
  await using _ = await bus.subscribe("a.*", (message) => heard.push(message.text()));
  await using _mute = await bus.subscribe("mute", () => {});
  const asking = bus.request("mute", "", { timeoutMs: 60_000 });
  const ended = expect(asking).rejects.toMatchObject({ kind: "disconnected" });
  await nats.kill();
  await ended;
  await nats.restart();
  await eventually("both are back", () => bus.state === other.state && bus.state === "connected");
  expect(states).toEqual(["disconnected", "connected"]);
  other.publish("a.b", "again");
  await eventually("the message", () => heard.length === 1);
});

test("a connection that is open and mute is noticed, and left when asked", async () => {
  await using nats = await startNats();
  await using relay = await startRelay(nats.port);
  await using bus = await connectNats(options(`nats://127.0.0.1:${relay.port}`));
  const heard: string[] = [];
  await using _ = await bus.subscribe("a", (message) => heard.push(message.text()));
  const states: BusState[] = [];
  bus.onState((state) => states.push(state));

  relay.hold();
  await expect(bus.flush()).rejects.toMatchObject({ name: "BusUnavailable" });
  const leaving = bus.reconnect();
  await leaving;
  expect(bus.state).toBe("disconnected");
  relay.cut();
  relay.pass();
  await eventually("connected again", () => bus.state === "connected");
  bus.publish("a", "1");
  await eventually("delivery", () => heard.length === 1);

  relay.hold();
  await eventually("noticed by pings", () => bus.state === "disconnected", 12_000);
  relay.pass();
  await eventually("connected again", () => bus.state === "connected");
  expect(states).toEqual(["disconnected", "connected", "disconnected", "connected"]);
  await bus.flush();
  expect(heard).toEqual(["1"]);
}, 40_000);

test("an attempt that is cut half-way is given up at once, not when its time is up", async () => {
  await using nats = await startNats();
  await using relay = await startRelay(nats.port);
  await using bus = await connectNats(options(`nats://127.0.0.1:${relay.port}`));
  const before = relay.carried.toClient;
  // The server greets, and never hears what the client says to that.
  relay.drop("toServer");
  relay.cut();
  await eventually("the greeting", () => relay.carried.toClient > before);
  relay.pass();
  relay.cut();
  const cutAt = performance.now();
  await eventually("connected again", () => bus.state === "connected");
  expect(performance.now() - cutAt).toBeLessThan(1_500);
}, 20_000);

test("a mute connection whose buffers are full is left behind all the same", async () => {
  await using nats = await startNats();
  await using relay = await startRelay(nats.port);
  await using bus = await connectNats(options(`nats://127.0.0.1:${relay.port}`));
  relay.hold();
  const chunk = new Uint8Array(512 * 1024);
  for (let count = 0; count < 64; count++) bus.publish("a", chunk);
  await eventually("left", () => bus.state === "disconnected", 12_000);
  relay.pass();
  await eventually("connected again", () => bus.state === "connected");
  await bus.flush();
}, 40_000);

test("dispose does not wait for a server that is mute", async () => {
  await using nats = await startNats();
  const bus = await connectNats(options(nats.url));
  nats.freeze();
  const began = performance.now();
  await bus[Symbol.asyncDispose]();
  expect(performance.now() - began).toBeLessThan(8_000);
  nats.thaw();
});

describe("with users", () => {
  const config = `accounts { A { users: [
    { user: u, password: "p:/@ 1", permissions: { publish: { allow: ["ok", "asked"] }, subscribe: { allow: ["ok", "_INBOX_px.>"] } } }
    { user: server, password: s }
  ] } }`;
  const start = async () => {
    const nats = await startNats();
    const file = join(nats.storeDirectory, "users.conf");
    await writeFile(file, config);
    const secured = await startNats({ config: file });
    return { nats, secured };
  };

  test("user and password come from the URL; what is not permitted is refused, not silent", async () => {
    const { nats, secured } = await start();
    await using _one = nats;
    await using _two = secured;
    await using bus = await connectNats(options(secured.urlFor("u", "p:/@ 1")));
    await using server = await connectNats(options(secured.urlFor("server", "s")));
    await using _asked = await server.subscribe("asked", (message) => message.respond("yes"));
    await using _ok = await bus.subscribe("ok", () => {});
    expect((await bus.request("asked", "", { timeoutMs: 2_000 })).text()).toBe("yes");
    await expect(bus.subscribe("secret.>", () => {})).rejects.toMatchObject({ kind: "refused" });
    await expect(bus.subscribe("ok", () => {}, { queue: "q" })).resolves.toBeDefined();
    await expect(bus.request("forbidden", "", { timeoutMs: 60_000 })).rejects.toMatchObject({
      kind: "refused",
    });
    await using stranger = await connectNats(
      options(secured.urlFor("u", "p:/@ 1"), { role: "operator" }),
    );
    await expect(stranger.request("asked", "", { timeoutMs: 60_000 })).rejects.toMatchObject({
      kind: "refused",
    });
  });

  test("a wrong password is said in the log, and tried again", async () => {
    const { nats, secured } = await start();
    await using _one = nats;
    await using _two = secured;
    const lines: object[] = [];
    const log: Log = { ...silentLog, warn: (fields: object) => void lines.push(fields) };
    await using bus = await connectNats(
      options(secured.urlFor("u", "wrong"), { log, firstConnectTimeoutMs: 300 }),
    );
    expect(bus.state).toBe("disconnected");
    expect(JSON.stringify(lines)).toMatch(/authorization violation/i);
    expect(JSON.stringify(lines)).not.toContain("wrong");
  });
});

test("credentials that cannot be read are an error that names the file", async () => {
  await expect(
    connectNats(options("nats://127.0.0.1:1", { credentials: "/nowhere/x.creds" })),
  ).rejects.toThrow("/nowhere/x.creds");
});

test("tls:// is not served in the clear", async () => {
  await using nats = await startNats();
  await using bus = await connectNats(
    options(`tls://127.0.0.1:${nats.port}`, { firstConnectTimeoutMs: 300 }),
  );
  expect(bus.state).toBe("disconnected");
});
