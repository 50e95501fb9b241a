/**
 * The shipped nats.conf, allow by allow and deny by deny, against a real server.
 */
import { fileURLToPath } from "node:url";
import { subjects, type Bus } from "@tocsin/shared/bus";
import { openNatsJournals, connectNats, type NatsBus, type NatsRole } from "@tocsin/shared/nats";
import { silentLog, systemClock } from "@tocsin/shared";
import { eventually, startNats, type NatsServer } from "../harness/index.ts";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const config = fileURLToPath(new URL("../../nats.conf", import.meta.url));
const users = ["control-plane", "proxy", "operator", "users", "content", "payments"] as const;
const passwords = Object.fromEntries(
  users.map((user) => [
    `TOCSIN_NATS_${user.toUpperCase().replace("-", "_")}_PASSWORD`,
    `secret-of-${user}`,
  ]),
);

let server: NatsServer | undefined;
const open: AsyncDisposable[] = [];
let controlPlane: NatsBus;
let proxy: NatsBus;
let operator: NatsBus;
let service: NatsBus;

async function connect(user: string, role: NatsRole, more: object = {}): Promise<NatsBus> {
  const bus = await connectNats({
    servers: [server!.urlFor(user, `secret-of-${user}`)],
    node: user,
    role,
    clock: systemClock,
    log: silentLog,
    firstConnectTimeoutMs: 10_000,
    ...more,
  });
  open.push(bus);
  return bus;
}

beforeAll(async () => {
  server = await startNats({ config, environment: passwords });
  controlPlane = await connect("control-plane", "control-plane");
  proxy = await connect("proxy", "proxy");
  operator = await connect("operator", "operator");
  service = await connect("users", "service");
});
afterAll(async () => {
  for (const each of open.toReversed()) await each[Symbol.asyncDispose]();
  await server?.[Symbol.asyncDispose]();
});

/** What a request for the permission alone tells: refused, or anything else that got past the server. */
async function mayPublish(bus: Bus, subject: string): Promise<boolean> {
  try {
    await bus.request(subject, "", { timeoutMs: 500 });
    return true;
  } catch (error) {
    return (error as { kind?: string }).kind !== "refused";
  }
}

async function maySubscribe(bus: Bus, subject: string): Promise<boolean> {
  try {
    await (await bus.subscribe(subject, () => {}))[Symbol.asyncDispose]();
    return true;
  } catch (error) {
    if ((error as { kind?: string }).kind === "refused") return false;
    throw error;
  }
}

describe("the control plane", () => {
  test("opens, writes, reads and follows the journals, by compare-and-set too", async () => {
    const opened = await openNatsJournals({
      bus: controlPlane,
      clock: systemClock,
      log: silentLog,
      deadlineMs: 3_000,
    });
    open.push(opened);
    for (const journal of Object.values(opened.journals)) {
      const heard: number[] = [];
      await using _ = await journal.follow(({ sequence }) => heard.push(sequence));
      const appended = await journal.append({ key: "a", body: "1" }, { expected: 0 });
      await expect(journal.append({ key: "a", body: "2" }, { expected: 0 })).rejects.toMatchObject({
        name: "JournalConflict",
      });
      expect(await journal.head()).toEqual({ epoch: appended.epoch, head: 1 });
      const found = [];
      for await (const { body } of journal.read(1, 10)) found.push(body);
      expect(found).toEqual(["1"]);
      await eventually("the feed", () => heard.length === 1);
    }
  });

  test.each([
    "tocsin.v1.feed.revocations.token",
    "$JS.API.STREAM.DELETE.TOCSIN_REVOCATIONS",
    "$JS.API.STREAM.PURGE.TOCSIN_REVOCATIONS",
    "$JS.API.STREAM.UPDATE.TOCSIN_REVOCATIONS",
    "$JS.API.STREAM.MSG.DELETE.TOCSIN_REVOCATIONS",
    "$JS.API.STREAM.RESTORE.TOCSIN_REVOCATIONS",
    "tocsin.v1.register.users.one",
    "tocsin.v1.ack.operation.proxy",
    "anything",
  ])("may not publish %s", async (subject) => {
    expect(await mayPublish(controlPlane, subject)).toBe(false);
  });

  test.each(["_INBOX.>", "_INBOX_px.>", "_INBOX_op.>", ">", "$JS.EVENT.>", "$SYS.>"])(
    "may not hear %s",
    async (subject) => {
      expect(await maySubscribe(controlPlane, subject)).toBe(false);
    },
  );
});

describe("a proxy", () => {
  test("hears the feed and the beacon, asks for a sync in many chunks, says it lives and what it applied", async () => {
    const heard: string[] = [];
    const hear = (message: { subject: string }) => void heard.push(message.subject);
    await using _1 = await proxy.subscribe(subjects.feed("revocations"), hear);
    await using _2 = await proxy.subscribe(subjects.beacon, hear);
    await using _3 = await controlPlane.subscribe(subjects.heartbeats("proxy"), hear);
    await using _4 = await controlPlane.subscribe(subjects.acks, hear);
    await using _5 = await controlPlane.subscribe(
      subjects.sync("revocations"),
      (message) => {
        for (let chunk = 0; chunk < 300; chunk++) message.respond(String(chunk));
      },
      { queue: "control-plane" },
    );
    controlPlane.publish(subjects.log("revocations", "token"), "{}");
    controlPlane.publish(subjects.beacon, "{}");
    proxy.publish(subjects.heartbeat("proxy", "p-1"), "{}");
    proxy.publish(subjects.ack("Order_1", "p-1"), "{}");
    await eventually("all four", () => heard.length >= 4);
    expect(new Set(heard)).toEqual(
      new Set([
        "tocsin.v1.feed.revocations.token",
        "tocsin.v1.beacon",
        "tocsin.v1.heartbeat.proxy.p-1",
        "tocsin.v1.ack.Order_1.p-1",
      ]),
    );
    let chunks = 0;
    await proxy.requestMany(
      subjects.sync("revocations"),
      "",
      () => (++chunks === 300 ? "done" : "more"),
      { timeoutMs: 3_000 },
    );
  });

  test.each([
    "tocsin.v1.feed.revocations.token",
    "tocsin.v1.log.revocations.token",
    "tocsin.v1.log.catalogue.config",
    "tocsin.v1.beacon",
    "tocsin.v1.heartbeat.control-plane.one",
    "tocsin.v1.register.users.one",
    "tocsin.v1.operate.revoke",
    "$JS.API.INFO",
    "$JS.API.STREAM.INFO.TOCSIN_REVOCATIONS",
    "$JS.API.STREAM.CREATE.EVIL",
    "$JS.API.STREAM.DELETE.TOCSIN_REVOCATIONS",
    "$JS.API.STREAM.PURGE.TOCSIN_REVOCATIONS",
    "$JS.API.STREAM.MSG.DELETE.TOCSIN_REVOCATIONS",
    "$JS.API.CONSUMER.CREATE.TOCSIN_REVOCATIONS",
    "$JS.API.CONSUMER.CREATE.TOCSIN_REVOCATIONS.evil",
    "$JS.API.CONSUMER.DURABLE.CREATE.TOCSIN_REVOCATIONS.evil",
    "_INBOX_cp.forged",
  ])("may not publish %s", async (subject) => {
    expect(await mayPublish(proxy, subject)).toBe(false);
  });

  test.each([
    "_INBOX_cp.>",
    "_INBOX_svc.users.>",
    "_INBOX_op.>",
    "_INBOX.>",
    "tocsin.v1.>",
    "tocsin.v1.log.>",
    "tocsin.v1.ack.*.*",
    "tocsin.v1.register.*.*",
    ">",
  ])("may not hear %s", async (subject) => {
    expect(await maySubscribe(proxy, subject)).toBe(false);
  });

  test("may not answer in the control plane's place", async () => {
    expect(await maySubscribe(proxy, subjects.sync("revocations"))).toBe(false);
    await expect(
      proxy.subscribe(subjects.sync("revocations"), () => {}, { queue: "control-plane" }),
    ).rejects.toMatchObject({ kind: "refused" });
  });
});

describe("a service", () => {
  test.each(["register", "renew", "deregister"] as const)(
    "may %s its own instances",
    async (verb) => {
      await using _ = await controlPlane.subscribe(subjects.leases(verb), (message) =>
        message.respond(message.subject),
      );
      const answer = await service.request(subjects.lease(verb, "users", "users-1"), "", {
        timeoutMs: 3_000,
      });
      expect(answer.text()).toBe(`tocsin.v1.${verb}.users.users-1`);
    },
  );

  test.each([
    "tocsin.v1.register.payments.payments-1",
    "tocsin.v1.renew.payments.payments-1",
    "tocsin.v1.deregister.payments.payments-1",
    "tocsin.v1.register.users.a.b",
    "tocsin.v1.log.catalogue.instance.users.users-1",
    "tocsin.v1.sync.catalogue",
    "tocsin.v1.beacon",
    "$JS.API.STREAM.INFO.TOCSIN_CATALOGUE",
  ])("may not publish %s", async (subject) => {
    expect(await mayPublish(service, subject)).toBe(false);
  });

  test.each([
    "tocsin.v1.feed.>",
    "tocsin.v1.register.*.*",
    "_INBOX_svc.payments.>",
    "_INBOX_cp.>",
    "_INBOX_svc.*.>",
    ">",
  ])("may not hear %s", async (subject) => {
    expect(await maySubscribe(service, subject)).toBe(false);
  });

  test.each(["content", "payments"])("%s may register itself and not users", async (name) => {
    const other = await connect(name, "service");
    expect(await mayPublish(other, subjects.lease("register", name, "one"))).toBe(true);
    expect(await mayPublish(other, subjects.lease("register", "users", "one"))).toBe(false);
  });
});

describe("an operator", () => {
  test("may give orders to the control plane", async () => {
    await using _ = await controlPlane.subscribe("tocsin.v1.operate.*", (message) =>
      message.respond("done"),
    );
    const answer = await operator.request("tocsin.v1.operate.revoke", "", { timeoutMs: 3_000 });
    expect(answer.text()).toBe("done");
  });

  test.each([
    "tocsin.v1.log.revocations.token",
    "tocsin.v1.feed.revocations.token",
    "tocsin.v1.beacon",
    "tocsin.v1.ack.operation.proxy",
    "tocsin.v1.sync.revocations",
    "$JS.API.STREAM.DELETE.TOCSIN_REVOCATIONS",
  ])("may not publish %s", async (subject) => {
    expect(await mayPublish(operator, subject)).toBe(false);
  });

  test.each(["tocsin.v1.>", "_INBOX_cp.>", "_INBOX_px.>"])("may not hear %s", async (subject) => {
    expect(await maySubscribe(operator, subject)).toBe(false);
  });
});

describe("a stranger", () => {
  const connects = async (url: string) => {
    await using bus = await connectNats({
      servers: [url],
      node: "stranger",
      role: "operator",
      clock: systemClock,
      log: silentLog,
      firstConnectTimeoutMs: 300,
    });
    return bus.state === "connected";
  };

  test("without a password, with a wrong one or with another's name does not get in", async () => {
    expect(await connects(server!.url)).toBe(false);
    expect(await connects(server!.urlFor("proxy", "secret-of-operator"))).toBe(false);
    expect(await connects(server!.urlFor("proxy", ""))).toBe(false);
    expect(await connects(server!.urlFor("sys", "sys"))).toBe(false);
    expect(await connects(server!.urlFor("operator", "secret-of-operator"))).toBe(true);
  });
});
