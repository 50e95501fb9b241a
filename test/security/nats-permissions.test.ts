/**
 * The shipped nats.conf, allow by allow and deny by deny, against a real server.
 */
import { readFileSync } from "node:fs";
import { connect as connectSocket } from "node:net";
import { fileURLToPath } from "node:url";
import { subjects, type Bus } from "@tocsin/shared/bus";
import { openNatsJournals, connectNats, type NatsBus, type NatsRole } from "@tocsin/shared/nats";
import { silentLog, systemClock } from "@tocsin/shared";
import { eventually, startNats, type NatsServer } from "../harness/index.ts";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { permissionsOf, roles } from "../../deploy/nats/permissions.ts";
import { matrix, patternsOf } from "./permission-matrix.ts";

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
const buses = new Map<string, NatsBus>();
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
  for (const { user } of matrix) {
    const role =
      user === "control-plane" || user === "proxy" || user === "operator" ? user : "service";
    buses.set(user, await connect(user, role));
  }
  controlPlane = buses.get("control-plane")!;
  proxy = buses.get("proxy")!;
  operator = buses.get("operator")!;
  service = buses.get("users")!;
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

test("every line of nats.conf has its rows in the matrix, and the matrix no line that is not there", () => {
  const rows = matrix.flatMap(({ user, publish, subscribe }) => [
    ...Object.keys(publish).map((pattern) => `${user} publish ${pattern}`),
    ...Object.keys(subscribe).map((pattern) => `${user} subscribe ${pattern}`),
  ]);
  expect(patternsOf(readFileSync(config, "utf8")).toSorted()).toEqual(rows.toSorted());
  for (const { publish, subscribe } of matrix)
    for (const { may, mayNot } of [...Object.values(publish), ...Object.values(subscribe)]) {
      expect(may.length).toBeGreaterThan(0);
      expect(mayNot.length).toBeGreaterThan(0);
    }
});

test("the users of a production bus have the rules of nats.conf, with their name for each wildcard", () => {
  for (const { user, publish, subscribe } of matrix) {
    const role = roles.find((each) => each === user);
    const found = permissionsOf(role ?? "service", role === undefined ? user : "*");
    expect(found.publish.toSorted()).toEqual(Object.keys(publish).toSorted());
    expect(found.subscribe.map((each) => each.replace(".*.>", ".>")).toSorted()).toEqual(
      Object.keys(subscribe).toSorted(),
    );
  }
});

describe.each(matrix)("$user", ({ user, publish, subscribe }) => {
  const rows = (of: typeof publish, which: "may" | "mayNot") =>
    Object.values(of).flatMap((each) => each[which]);

  test.concurrent.each(rows(publish, "may"))("may publish %s", async (subject) => {
    expect(await mayPublish(buses.get(user)!, subject)).toBe(true);
  });
  test.concurrent.each(rows(publish, "mayNot"))("may not publish %s", async (subject) => {
    expect(await mayPublish(buses.get(user)!, subject)).toBe(false);
  });
  test.each(rows(subscribe, "may"))("may hear %s", async (subject) => {
    expect(await maySubscribe(buses.get(user)!, subject)).toBe(true);
  });
  test.each(rows(subscribe, "mayNot"))("may not hear %s", async (subject) => {
    expect(await maySubscribe(buses.get(user)!, subject)).toBe(false);
  });
});

test("the feed is the server's: nobody who can connect may publish a word of it, and none arrives", async () => {
  const heard: string[] = [];
  await using _ = await controlPlane.subscribe("tocsin.v1.feed.>", ({ subject }) =>
    heard.push(subject),
  );
  for (const bus of buses.values()) {
    for (const journal of ["catalogue", "health", "revocations", "invalidations"]) {
      expect(await mayPublish(bus, `tocsin.v1.feed.${journal}.forged`)).toBe(false);
      bus.publish(`tocsin.v1.feed.${journal}.forged`, "{}");
    }
    await bus.flush();
  }
  await controlPlane.flush();
  expect(heard.filter((subject) => subject.endsWith(".forged"))).toEqual([]);
});

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
});

describe("an operator", () => {
  test("may give orders to the control plane", async () => {
    await using _ = await controlPlane.subscribe("tocsin.v1.operate.*", (message) =>
      message.respond("done"),
    );
    const answer = await operator.request("tocsin.v1.operate.revoke", "", { timeoutMs: 3_000 });
    expect(answer.text()).toBe("done");
  });
});

describe("what one user for all proxies leaves open, and a user for each closes", () => {
  test("a proxy hears what is answered to another, and speaks in its name", async () => {
    const heard: string[] = [];
    await using _1 = await proxy.subscribe("_INBOX_px.>", ({ subject }) => heard.push(subject));
    controlPlane.publish("_INBOX_px.proxy-2.answer", "{}");
    await using _2 = await controlPlane.subscribe(subjects.acks, ({ subject }) =>
      heard.push(subject),
    );
    proxy.publish(subjects.ack("Order_2", "proxy-2"), "{}");
    await eventually("both", () => heard.length === 2);
  });
});

/** Writes lines to the server as they are, and resolves with what it said until it hung up. */
function say(lines: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let said = "";
    const socket = connectSocket(server!.port, "127.0.0.1", () => socket.write(lines));
    socket.setEncoding("utf8").on("data", (text: string) => (said += text));
    socket.once("close", () => resolve(said)).once("error", reject);
  });
}

describe("a stranger", () => {
  test.each([
    ["without a word about who it is", "SUB > 1\r\nPUB tocsin.v1.beacon 2\r\n{}\r\nPING\r\n"],
    ["as nobody", 'CONNECT {"verbose":true}\r\nSUB > 1\r\nPING\r\n'],
    ["with a token", 'CONNECT {"auth_token":"secret-of-proxy"}\r\nPING\r\n'],
    ["with a user and no password", 'CONNECT {"user":"proxy"}\r\nPING\r\n'],
    ["with an nkey", `CONNECT {"nkey":"U${"A".repeat(55)}","sig":"AA"}\r\nPING\r\n`],
    ["with a JWT", 'CONNECT {"jwt":"a.b.c","sig":"AA"}\r\nPING\r\n'],
  ])("%s is shown the door and hears nothing", async (_, lines) => {
    const said = await say(lines);
    expect(said).toContain("-ERR 'Authorization");
    expect(said).not.toMatch(/PONG|\+OK|MSG /);
  });

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
    expect(await connects(server!.urlFor("operator", "secret-of-proxy"))).toBe(false);
    expect(await connects(server!.urlFor("", "secret-of-operator"))).toBe(false);
    expect(await connects(server!.urlFor("sys", "sys"))).toBe(false);
    expect(await connects(server!.urlFor("$G", ""))).toBe(false);
    expect(await connects(server!.urlFor("operator", "secret-of-operator"))).toBe(true);
  });
});
