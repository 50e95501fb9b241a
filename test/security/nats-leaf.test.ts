/**
 * What a leaf server's own user bounds: a host was taken over, and whoever has it may do anything at the leaf. At the hub they may do
 * what those on this host may, and nothing else.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { silentLog, systemClock } from "@tocsin/shared";
import { connectNats, openNatsJournals, type NatsBus } from "@tocsin/shared/nats";
import { afterAll, beforeAll, expect, test } from "vitest";
import { eventually, startNats } from "../harness/index.ts";
import { startProductionBus, type ProductionBus } from "./production-bus.ts";

let bus: ProductionBus;
let controlPlane: NatsBus;
let proxy: NatsBus;
/** At the leaf, allowed everything there. */
let intruder: NatsBus;
const open = new AsyncDisposableStack();

const word = '{"forged":true}';

beforeAll(async () => {
  bus = open.use(await startProductionBus());
  controlPlane = await bus.connect("control-plane", "control-plane-1");
  proxy = await bus.connect("proxy", "proxy-1");
  open.use(
    await openNatsJournals({
      bus: controlPlane,
      clock: systemClock,
      log: silentLog,
      deadlineMs: 10_000,
    }),
  );
  const config = join(bus.directory, "leaf", "taken.conf");
  const shipped = readFileSync(join(bus.directory, "leaf", "leaf.conf"), "utf8");
  writeFileSync(
    config,
    shipped.replace('include "users.conf"', "users: [{ user: root, password: root }]"),
  );
  const password = readFileSync(join(bus.directory, "users/leaf-host-1/password"), "utf8").trim();
  const leaf = open.use(
    await startNats({
      config,
      environment: {
        TOCSIN_NATS_LEAF_URL: `tls://leaf-host-1:${password}@localhost:${bus.link.port}`,
      },
    }),
  );
  intruder = open.use(
    await connectNats({
      servers: [leaf.urlFor("root", "root")],
      role: "operator",
      node: "root",
      clock: systemClock,
      log: silentLog,
      firstConnectTimeoutMs: 5_000,
    }),
  );
}, 30_000);
afterAll(() => open.disposeAsync());

/** Resolves when the leaf and the hub know of each other's interest: what is allowed comes through. */
async function passes(heard: readonly string[]): Promise<void> {
  await eventually("what is allowed", async () => {
    intruder.publish("tocsin.v1.held.proxy-2", word);
    await intruder.flush();
    return heard.includes("tocsin.v1.held.proxy-2");
  });
}

test("what is said behind it reaches the hub in the names of its members alone", async () => {
  const heard: string[] = [];
  const hear = (message: { subject: string; text(): string }) => {
    if (message.text() === word) heard.push(message.subject);
  };
  await using _1 = await controlPlane.subscribe("tocsin.v1.>", hear);
  await using _2 = await controlPlane.subscribe("_INBOX_cp.control-plane-1.>", hear);
  await using _3 = await proxy.subscribe("tocsin.v1.feed.>", hear);
  await using _4 = await proxy.subscribe("tocsin.v1.beacon", hear);
  await using _5 = await proxy.subscribe("_INBOX_px.proxy-1.>", hear);
  await passes(heard);
  const allowed = [
    "tocsin.v1.ack.Order_1.proxy-2",
    "tocsin.v1.heartbeat.proxy.proxy-2",
    "tocsin.v1.register.content.content-1",
    "tocsin.v1.sync.revocations",
  ];
  const forbidden = [
    "tocsin.v1.ack.Order_1.proxy-1",
    "tocsin.v1.ack.Order_1.proxy-2.proxy-1",
    "tocsin.v1.heartbeat.proxy.proxy-1",
    "tocsin.v1.heartbeat.control-plane.control-plane-1",
    "tocsin.v1.report.proxy-1",
    "tocsin.v1.held.proxy-1",
    "tocsin.v1.register.users.users-1",
    "tocsin.v1.deregister.users.users-1",
    "tocsin.v1.beacon",
    "tocsin.v1.proxy.collect",
    "tocsin.v1.feed.revocations.forged",
    "tocsin.v1.log.revocations.forged",
    "tocsin.v1.operate.revoke",
    "_INBOX_cp.control-plane-1.forged",
    "_INBOX_px.proxy-1.forged",
  ];
  for (const subject of [...forbidden, ...allowed]) intruder.publish(subject, word);
  await intruder.flush();
  await eventually("the last of the allowed", () => heard.includes("tocsin.v1.sync.revocations"));
  await controlPlane.flush();
  await proxy.flush();
  const once = new Set(heard);
  once.delete("tocsin.v1.held.proxy-2");
  expect([...once].toSorted()).toEqual(allowed.toSorted());
});

test("what is heard behind it is what its members may hear", async () => {
  const heard = new Set<string>();
  for (const subject of [
    ">",
    "*.>",
    "tocsin.>",
    "tocsin.v1.>",
    "tocsin.v1.log.>",
    "tocsin.v1.register.>",
    "_INBOX_px.>",
    "_INBOX_px.*.>",
    "_INBOX_cp.>",
    "_INBOX_svc.>",
    "_INBOX_op.>",
    "$JS.API.>",
    "$JS.EVENT.>",
    "tocsin.v1.sync.revocations",
  ])
    open.use(await intruder.subscribe(subject, (message) => heard.add(message.subject)));
  const own = ["tocsin.v1.beacon", "_INBOX_px.proxy-2.answer", "_INBOX_svc.content.answer"];
  await eventually("interest is known at the hub", async () => {
    for (const subject of own) controlPlane.publish(subject, word);
    await controlPlane.flush();
    return own.every((subject) => heard.has(subject));
  });
  const users = await bus.connect("service", "users");
  const others = [
    [controlPlane, "tocsin.v1.log.revocations.user"],
    [controlPlane, "tocsin.v1.heartbeat.control-plane.control-plane-1"],
    [controlPlane, "_INBOX_px.proxy-1.answer"],
    [controlPlane, "_INBOX_svc.users.answer"],
    [controlPlane, "_INBOX_op.alice.answer"],
    [proxy, "tocsin.v1.ack.Order_1.proxy-1"],
    [proxy, "tocsin.v1.heartbeat.proxy.proxy-1"],
    [proxy, "tocsin.v1.sync.revocations"],
    [users, "tocsin.v1.register.users.users-1"],
  ] as const;
  for (const [from, subject] of others) {
    from.publish(subject, word);
    await from.flush();
  }
  await proxy.request("tocsin.v1.sync.revocations", "", { timeoutMs: 300 }).catch(() => {});
  controlPlane.publish("tocsin.v1.proxy.collect", word);
  await eventually("the last that is allowed", () => heard.has("tocsin.v1.proxy.collect"));
  await eventually("the feed of what was written", () =>
    heard.has("tocsin.v1.feed.revocations.user"),
  );
  const foreign = [...heard].filter(
    (subject) => !own.includes(subject) && !subject.startsWith("$LDS."),
  );
  expect(foreign.toSorted()).toEqual([
    "tocsin.v1.feed.revocations.user",
    "tocsin.v1.proxy.collect",
  ]);
});

test.each([
  "$JS.API.INFO",
  "$JS.API.STREAM.INFO.TOCSIN_REVOCATIONS",
  "$JS.API.STREAM.DELETE.TOCSIN_REVOCATIONS",
  "$JS.API.STREAM.PURGE.TOCSIN_REVOCATIONS",
  "$JS.API.CONSUMER.CREATE.TOCSIN_REVOCATIONS",
  "$SYS.REQ.SERVER.PING",
])("%s is answered by nobody behind it, and the journals stand", async (subject) => {
  await expect(intruder.request(subject, "{}", { timeoutMs: 500 })).rejects.toMatchObject({
    kind: expect.stringMatching(/timeout|no-responders/),
  });
  const info = await controlPlane.request("$JS.API.STREAM.INFO.TOCSIN_REVOCATIONS", "", {
    timeoutMs: 3_000,
  });
  expect(JSON.parse(info.text())).toMatchObject({ state: { messages: 1 } });
});
