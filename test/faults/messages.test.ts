/** Single messages: lost, repeated, out of order, not understood, or said by somebody who may not. */
import { silentLog, systemClock, type Log } from "@tocsin/shared";
import { subjects } from "@tocsin/shared/bus";
import { connectNats, type NatsBus, type NatsRole } from "@tocsin/shared/nats";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { inForce, statusOf, type JournalStatuses } from "../harness/convergence.ts";
import { passwords, type Gateway } from "../harness/gateway.ts";
import type { GivenOrder } from "../harness/ledger.ts";
import type { NatsFrame } from "../harness/nats-frames.ts";
import { temporaryDirectory, type TemporaryDirectory } from "../harness/program.ts";
import { soon } from "../harness/soon.ts";
import { issuer } from "../harness/tokens.ts";
import { breakGlassConfig, connectBreakGlass } from "./break-glass.ts";
import { pause, revokedWithinMs, startFleet, type Fleet } from "./fleet.ts";

let directory: TemporaryDirectory;
let fleet: Fleet;
let gateway: Gateway;
beforeAll(async () => {
  directory = temporaryDirectory();
  const natsConfig = breakGlassConfig(directory.path, "max_payload: 4MB");
  fleet = await startFleet({ natsConfig });
  gateway = fleet.gateway;
}, 60_000);
afterAll(async () => {
  await fleet?.[Symbol.asyncDispose]();
  directory?.[Symbol.dispose]();
});

const isRevocation = ({ subject }: NatsFrame) => subject.startsWith("tocsin.v1.feed.revocations.");
const isBeacon = ({ subject }: NatsFrame) => subject === subjects.beacon;
const proxyRelays = () => gateway.names.proxies.map((name) => gateway.relay(name));
const statuses = () => Promise.all(gateway.names.proxies.map((name) => statusOf(gateway, name)));
const counted = (all: readonly JournalStatuses[]) =>
  all.map(({ revocations }) => ({ gaps: revocations!.gaps, resyncs: revocations!.resyncs }));

/** How long after it was given an order is in force everywhere. */
const inForceMs = (order: GivenOrder) => inForce(gateway, [order], { since: order.givenAt });

describe("on their way to each proxy", () => {
  test("one message is lost, and others follow", async () => {
    await using watch = await fleet.watch();
    const before = await statuses();
    const lost = proxyRelays().map((relay) => relay.dropNext(isRevocation));
    const first = watch.writer.revoke();
    await Promise.all(lost);
    const second = watch.writer.revoke();
    const ms = await inForceMs(await first);
    expect(ms).toBeLessThan(revokedWithinMs);
    expect(await second).toMatchObject({ status: 200 });
    await watch.recovered({ fault: `one message lost: in force after ${Math.round(ms)} ms` });
    for (const [index, { revocations }] of (await statuses()).entries())
      expect(revocations!.resyncs["repair"]).toBeGreaterThan(
        before[index]!["revocations"]!.resyncs["repair"]!,
      );
  }, 30_000);

  test("the last message is lost, and so is the beacon that came right after it", async () => {
    await using watch = await fleet.watch();
    const lost = proxyRelays().flatMap((relay) => [
      relay.dropNext(isRevocation).then(() => relay.dropNext(isBeacon)),
    ]);
    const order = await watch.writer.revoke(3_000);
    await Promise.all(lost);
    const ms = await inForceMs(order);
    // One beacon, and the grace before what it says is asked for.
    expect(ms).toBeLessThan(1_500);
    expect(order.status).toBe(200);
    await watch.recovered({ fault: `last message lost: in force after ${Math.round(ms)} ms` });
  }, 30_000);

  test("messages that come twice have one effect, and are no reason to ask", async () => {
    await using watch = await fleet.watch();
    const before = counted(await statuses());
    for (let count = 0; count < 5; count++) {
      const repeated = proxyRelays().map((relay) => relay.repeatNext(isRevocation));
      expect(await watch.writer.revoke(2_000)).toMatchObject({ status: 200 });
      await Promise.all(repeated);
    }
    expect(counted(await statuses())).toEqual(before);
    await watch.recovered({ fault: "duplicated" });
  }, 30_000);

  test("messages that come in the wrong order are all in force", async () => {
    await using watch = await fleet.watch();
    const swapped = proxyRelays().map((relay) => relay.swapNext(isRevocation));
    const orders = await Promise.all([watch.writer.revoke(2_000), watch.writer.revoke(2_000)]);
    await Promise.all(swapped);
    expect(orders.map(({ status }) => status)).toEqual([200, 200]);
    expect(await inForceMs(orders[0])).toBeLessThan(revokedWithinMs);
    await watch.recovered({ fault: "reordered" });
  }, 30_000);
});

const expiresAt = Math.floor(Date.now() / 1_000) + 3_600;
const revocation = { v: 1, kind: "token", id: "poison", issuer, jti: "poison", expiresAt };
const instance = {
  v: 1,
  kind: "instance",
  service: "users",
  instance: "users-9",
  boot: "b",
  url: "http://127.0.0.1:9",
  weight: 1,
  state: "active",
};

const poisons: readonly {
  readonly name: string;
  readonly journal: "revocations" | "catalogue" | "health";
  readonly key: string;
  readonly body: string;
}[] = [
  { name: "not JSON", journal: "revocations", key: "token", body: "{" },
  { name: "empty", journal: "revocations", key: "token", body: "" },
  { name: "null", journal: "revocations", key: "token", body: "null" },
  { name: "2 MB", journal: "revocations", key: "token", body: `"${"x".repeat(2 * 1024 * 1024)}"` },
  {
    name: "2 MB of a reason that is too long",
    journal: "revocations",
    key: "token",
    body: JSON.stringify({ ...revocation, reason: "x".repeat(2 * 1024 * 1024) }),
  },
  {
    name: "an unknown field, which may be a condition",
    journal: "revocations",
    key: "token",
    body: JSON.stringify({ ...revocation, onlyFrom: "10.0.0.0/8" }),
  },
  {
    name: "__proto__",
    journal: "revocations",
    key: "token",
    body: `{"__proto__":{"revoked":false,"issuer":"*"},${JSON.stringify(revocation).slice(1)}`,
  },
  {
    name: "an unknown kind",
    journal: "revocations",
    key: "token",
    body: JSON.stringify({ ...revocation, kind: "everything" }),
  },
  {
    name: "another version",
    journal: "revocations",
    key: "token",
    body: JSON.stringify({ ...revocation, v: 2 }),
  },
  { name: "a config that is not JSON", journal: "catalogue", key: "config", body: "version: 1" },
  {
    name: "a config that does not validate",
    journal: "catalogue",
    key: "config",
    body: JSON.stringify({
      v: 1,
      kind: "config",
      revision: 1_000,
      document: { version: 1, routes: [{ id: "all", auth: "maybe" }] },
      source: "",
    }),
  },
  {
    name: "an instance under the key of the config",
    journal: "catalogue",
    key: "config",
    body: JSON.stringify(instance),
  },
  {
    name: "nothing under the key of the config",
    journal: "catalogue",
    key: "config",
    body: JSON.stringify({ v: 1, kind: "gone" }),
  },
  {
    name: "an instance under the key of another one",
    journal: "catalogue",
    key: "instance.users.users-1",
    body: JSON.stringify(instance),
  },
  {
    name: "a verdict with a name that is none",
    journal: "health",
    key: "users.a",
    body: JSON.stringify({
      v: 1,
      service: "users\r\n",
      instance: "a",
      boot: "b",
      verdict: "unhealthy",
      by: "x",
    }),
  },
];

interface ProxyView {
  readonly proxy: string;
  readonly journals: Readonly<Record<string, { poisoned?: { count: number; error: string } }>>;
}

test.each(poisons)(
  "an entry that nobody understands ($name) is refused by all, named, and changes nothing",
  async ({ name, journal, key, body }) => {
    await using watch = await fleet.watch();
    await using bus = await connectBreakGlass(gateway.nats!);
    const countOf = (status: JournalStatuses) => status[journal]!.poisoned?.count ?? 0;
    const before = (await statuses()).map(countOf);
    // As whoever has the credentials of a control plane would write it.
    const { epoch } = (await statuses())[0]![journal]!;
    const answer = await bus.request(`tocsin.v1.log.${journal}.${key}`, body, {
      timeoutMs: 5_000,
      headers: { "Tocsin-Epoch": epoch! },
    });
    expect(JSON.parse(answer.text())).toHaveProperty("seq");
    await soon(async () =>
      expect((await statuses()).map(countOf)).toEqual(before.map((count) => count + 1)),
    );
    // Named where operators look.
    await soon(async () => {
      const { proxies } = (await gateway.admin("GET", "/v1/proxies")).json() as unknown as {
        proxies: ProxyView[];
      };
      for (const [index, proxy] of proxies.entries()) {
        const { poisoned } = proxy.journals[journal]!;
        expect(poisoned).toMatchObject({ count: before[index]! + 1 });
        expect(poisoned!.error.length).toBeGreaterThan(5);
      }
    });
    expect(({} as Record<string, unknown>)["revoked"]).toBeUndefined();
    // Orders of every kind go on.
    expect(await watch.writer.revoke(3_000)).toMatchObject({ status: 200 });
    expect(await watch.writer.edit(3_000)).toMatchObject({ status: 200 });
    await watch.recovered({ fault: `poison: ${name}` });
  },
  30_000,
);

test("after all of them a proxy that starts without anything on disk serves what the others serve", async () => {
  await using watch = await fleet.watch();
  const last = gateway.names.proxies.at(-1)!;
  const end = watch.observer.excuse(last);
  await gateway.restart(last, { fresh: true });
  await soon(async () => {
    for (const { status } of await gateway.askAll("/api/strict/1", { token: fleet.good }))
      expect(status).toBe(200);
  }, 15_000);
  end();
  await watch.recovered({ fault: "a fresh proxy after poison" });
}, 60_000);

test("and so does a control plane that starts after them", async () => {
  await using watch = await fleet.watch();
  await gateway.restartControlPlane("SIGKILL");
  expect(await watch.writer.revoke(3_000)).toMatchObject({ outcome: "acknowledged" });
  expect(await watch.writer.edit(3_000)).toMatchObject({ outcome: "acknowledged" });
  await watch.recovered({ fault: "a control plane that starts after poison" });
}, 60_000);

describe("a stranger on the bus", () => {
  async function connectAs(user: string, password: string, role: NatsRole) {
    const problems: string[] = [];
    const log: Log = {
      ...silentLog,
      warn: (fields: object) => void problems.push(JSON.stringify(fields)),
    };
    const nats = gateway.nats!;
    const bus = await connectNats({
      servers: [user === "" ? nats.url : nats.urlFor(user, password)],
      role,
      node: "users",
      clock: systemClock,
      log,
      firstConnectTimeoutMs: 1_000,
    });
    return { bus, problems };
  }

  test.each([
    ["no credentials", "", ""],
    ["a wrong password", "control-plane", "wrong"],
    ["a user that there is not", "admin", "admin"],
    ["an empty password", "proxy", ""],
  ])("with %s gets no connection", async (_, user, password) => {
    const { bus, problems } = await connectAs(user, password, "control-plane");
    await using _bus = bus;
    expect(bus.state).toBe("disconnected");
    expect(problems.join()).toMatch(/authorization violation/i);
  });

  /** Says it without waiting: what matters is that it has no effect, and that the server said no. */
  async function isRefused(bus: NatsBus, problems: string[], subject: string, body: string) {
    const before = problems.length;
    bus.publish(subject, body);
    await bus.flush();
    await soon(() => expect(problems.length, subject).toBeGreaterThan(before), 2_000);
    expect(problems.at(-1)).toMatch(/permissions violation/i);
  }

  const heads = (epoch: string, head: number) => ({ epoch, head });
  const forgedBeacon = JSON.stringify({
    v: 1,
    controlPlane: "control-plane-1",
    journals: { catalogue: heads("x.0", 0), health: heads("x.0", 0), revocations: heads("x.0", 0) },
    proxies: 0,
    term: 1_000,
  });

  test.each([
    ["proxy", passwords.TOCSIN_NATS_PROXY_PASSWORD, "proxy"],
    ["users", passwords.TOCSIN_NATS_USERS_PASSWORD, "service"],
    ["operator", passwords.TOCSIN_NATS_OPERATOR_PASSWORD, "operator"],
  ] as const)(
    "who has the credentials of another role (%s) is refused and has no effect",
    async (user, password, role) => {
      await using watch = await fleet.watch();
      const before = await statuses();
      const { bus, problems } = await connectAs(user, password, role);
      await using _bus = bus;
      expect(bus.state).toBe("connected");
      for (const [subject, body] of [
        ["tocsin.v1.log.revocations.token", JSON.stringify(revocation)],
        ["tocsin.v1.log.catalogue.config", "{}"],
        ["tocsin.v1.feed.revocations.token", JSON.stringify(revocation)],
        ["tocsin.v1.beacon", forgedBeacon],
        ["tocsin.v1.proxy.collect", "{}"],
        ["tocsin.v1.heartbeat.control-plane.control-plane-1", "{}"],
        ["$JS.API.STREAM.DELETE.TOCSIN_REVOCATIONS", ""],
        ["$JS.API.STREAM.PURGE.TOCSIN_CATALOGUE", ""],
        ["_INBOX_px.proxy-1.x", "{}"],
      ] as const)
        await isRefused(bus, problems, subject, body);
      // Nobody else answers for the control plane, and nobody else hears what is answered.
      for (const subject of [subjects.sync("revocations"), "_INBOX_cp.>", ">"])
        await expect(bus.subscribe(subject, () => {})).rejects.toMatchObject({ kind: "refused" });
      await pause(1_200);
      const after = await statuses();
      expect(counted(after)).toEqual(counted(before));
      expect(
        after.map(({ catalogue, revocations }) => [catalogue!.applied, revocations!.epoch]),
      ).toEqual(
        before.map(({ catalogue, revocations }) => [catalogue!.applied, revocations!.epoch]),
      );
      await watch.recovered({ fault: `another role's credentials: ${user}` });
    },
    30_000,
  );
});
