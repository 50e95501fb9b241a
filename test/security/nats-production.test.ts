/**
 * The gateway on the production bus that `deploy/nats` ships: nobody speaks in another's name, behind a leaf server neither, and a
 * leaf whose link to the hub is cut comes back with nothing lost.
 */
import { register } from "@tocsin/sdk";
import type { NatsBus, NatsRole } from "@tocsin/shared/nats";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually } from "../harness/index.ts";
import { startOrigin, type Origin } from "../harness/origin.ts";
import { soon } from "../harness/soon.ts";
import { token } from "../harness/tokens.ts";
import { startProductionGateway, type ProductionGateway } from "./production-gateway.ts";

let gateway: ProductionGateway;
const open = new AsyncDisposableStack();
const origins = new Map<string, Origin>();
const states = new Map<string, string>();
const quiet = { info() {}, warn() {}, error() {} };

beforeAll(async () => {
  gateway = open.use(await startProductionGateway());
  for (const name of ["users", "content"]) {
    const origin = open.use(await startOrigin());
    origins.set(name, origin);
    open.use(
      await register({
        name,
        instance: `${name}-1`,
        server: origin.server,
        drain: false,
        log: quiet,
        environment: gateway.bus.environmentOf("service", name),
        onState: ({ state }) => states.set(name, state),
      }),
    );
  }
  const anyone = await token();
  await soon(async () => {
    expect(await statuses(anyone)).toEqual([200, 200]);
    expect(await statuses(anyone, "content")).toEqual([200, 200]);
  }, 15_000);
}, 60_000);
afterAll(() => open.disposeAsync());

const statuses = async (text: string, service = "users") =>
  (await gateway.askAll(`/api/${service}/1`, { token: text })).map(({ status }) => status);

test("what both services registered is served by both proxies, and an order is proven by both", async () => {
  const revoked = await token({ subject: "mallory" });
  expect(await statuses(revoked)).toEqual([200, 200]);
  const result = await gateway.tocsin("revoke", "token", revoked);
  expect(await statuses(revoked)).toEqual([401, 401]);
  expect(result.stdout).toMatch(/^applied +2\/2 proxies/m);
  expect(result.code).toBe(0);
});

const began = performance.now();
test("both services hold their leases over several renewals", async () => {
  const before = (await gateway.admin("GET", "/v1/services")).text;
  expect(before).toContain("users-1");
  expect(before).toContain("content-1");
  expect([...states]).toEqual([
    ["users", "registered"],
    ["content", "registered"],
  ]);
  // A lease that nobody renews is lost after 10 s.
  await eventually("time passes", () => performance.now() - began > 11_000, 15_000);
  const anyone = await token();
  expect(await statuses(anyone)).toEqual([200, 200]);
  expect(await statuses(anyone, "content")).toEqual([200, 200]);
}, 20_000);
test("a proxy behind the leaf that starts with nothing asks for everything, and has the revocations too", async () => {
  const revoked = await token({ subject: "trent" });
  expect((await gateway.tocsin("revoke", "user", "trent")).code).toBe(0);
  await gateway.replaceProxy("proxy-2");
  const anyone = await token();
  await soon(async () => expect(await statuses(anyone)).toEqual([200, 200]), 15_000);
  expect(await statuses(revoked)).toEqual([401, 401]);
}, 30_000);

test("an answer of forty chunks of 512 KiB comes through the leaf, whole and in order", async () => {
  const chunk = Buffer.alloc(512 * 1024);
  const controlPlane = await gateway.bus.connect("control-plane", "control-plane-1");
  // A journal that does not exist: the control plane's own process answers for the real ones.
  await using _ = await controlPlane.subscribe("tocsin.v1.sync.trial", (message) => {
    for (let index = 0; index < 40; index++) {
      chunk.writeUInt32BE(index);
      message.respond(Buffer.from(chunk));
    }
  });
  const proxy = await gateway.bus.connect("proxy", "proxy-2");
  await eventually("the leaf knows", async () => {
    const order: number[] = [];
    const hear = (message: { bytes(): Uint8Array }) => {
      expect(message.bytes().byteLength).toBe(chunk.byteLength);
      order.push(Buffer.from(message.bytes()).readUInt32BE());
      return order.length === 40 ? ("done" as const) : ("more" as const);
    };
    const asked = proxy.requestMany("tocsin.v1.sync.trial", "", hear, { timeoutMs: 5_000 });
    if (
      await asked.then(
        () => false,
        ({ kind }) => kind === "no-responders",
      )
    )
      return false;
    expect(order).toEqual(Array.from({ length: 40 }, (_, index) => index));
    return true;
  });
}, 20_000);

type Attempt = readonly [role: NatsRole, name: string, verb: "say" | "hear", subject: string];

const attempts: readonly Attempt[] = [
  // Another proxy's voice, from the hub and from behind the leaf; and that of a proxy that does not exist.
  ...["proxy-2", "ghost"].flatMap((other): Attempt[] => [
    ["proxy", "proxy-1", "say", `tocsin.v1.ack.Forged_1.${other}`],
    ["proxy", "proxy-1", "say", `tocsin.v1.heartbeat.proxy.${other}`],
    ["proxy", "proxy-1", "say", `tocsin.v1.report.${other}`],
    ["proxy", "proxy-1", "say", `tocsin.v1.held.${other}`],
    ["proxy", "proxy-1", "hear", `_INBOX_px.${other}.>`],
  ]),
  ["proxy", "proxy-2", "say", "tocsin.v1.ack.Forged_1.proxy-1"],
  ["proxy", "proxy-2", "say", "tocsin.v1.heartbeat.proxy.proxy-1"],
  ["proxy", "proxy-2", "say", "tocsin.v1.report.proxy-1"],
  ["proxy", "proxy-2", "say", "tocsin.v1.held.proxy-1"],
  ["proxy", "proxy-2", "hear", "_INBOX_px.proxy-1.>"],
  ["proxy", "proxy-1", "hear", "_INBOX_px.>"],
  ["proxy", "proxy-2", "hear", "_INBOX_px.>"],
  ["proxy", "proxy-1", "hear", "_INBOX_px.*.>"],
  // The control plane's voice.
  ...["proxy-1", "proxy-2"].flatMap((name): Attempt[] => [
    ["proxy", name, "say", "tocsin.v1.beacon"],
    ["proxy", name, "say", "tocsin.v1.feed.revocations.forged"],
    ["proxy", name, "say", "tocsin.v1.log.revocations.forged"],
    ["proxy", name, "say", "tocsin.v1.proxy.collect"],
    ["proxy", name, "say", "tocsin.v1.heartbeat.control-plane.control-plane-1"],
    ["proxy", name, "say", "_INBOX_px.proxy-1.forged"],
    ["proxy", name, "say", "$JS.API.STREAM.INFO.TOCSIN_REVOCATIONS"],
    ["proxy", name, "hear", "tocsin.v1.sync.revocations"],
  ]),
  // Another service, and what services have no part in; what the leaf may at the hub, its members may not all.
  ["service", "users", "say", "tocsin.v1.register.content.content-2"],
  ["service", "users", "say", "tocsin.v1.deregister.content.content-1"],
  ["service", "content", "say", "tocsin.v1.register.users.users-2"],
  ["service", "content", "say", "tocsin.v1.renew.users.users-1"],
  ["service", "content", "say", "tocsin.v1.deregister.users.users-1"],
  ["service", "content", "say", "tocsin.v1.heartbeat.proxy.proxy-2"],
  ["service", "content", "say", "tocsin.v1.sync.catalogue"],
  ["service", "content", "hear", "tocsin.v1.feed.>"],
  ["service", "content", "hear", "_INBOX_px.proxy-2.>"],
  ["service", "users", "hear", "_INBOX_svc.content.>"],
  ["operator", "alice", "say", "tocsin.v1.log.revocations.forged"],
  ["operator", "alice", "hear", "_INBOX_op.>"],
  ["control-plane", "control-plane-1", "say", "tocsin.v1.feed.revocations.forged"],
  ["control-plane", "control-plane-1", "say", "tocsin.v1.heartbeat.control-plane.control-plane-2"],
  ["control-plane", "control-plane-1", "say", "tocsin.v1.ack.Forged_1.proxy-1"],
  ["control-plane", "control-plane-1", "say", "$JS.API.STREAM.DELETE.TOCSIN_REVOCATIONS"],
  ["control-plane", "control-plane-1", "hear", "_INBOX_cp.control-plane-2.>"],
];

describe("in another's name", () => {
  const members = new Map<string, Promise<NatsBus>>();
  const member = (role: NatsRole, name: string) => {
    const bus = members.get(name) ?? gateway.bus.connect(role, name);
    members.set(name, bus);
    return bus;
  };
  /** What reaches the control planes and the proxies of it: nothing. */
  const effects: string[] = [];
  beforeAll(async () => {
    const controlPlane = await member("control-plane", "control-plane-1");
    open.use(
      await controlPlane.subscribe("tocsin.v1.>", (message) => {
        if (message.text() === forged) effects.push(message.subject);
      }),
    );
  });
  const forged = '{"forged":true}';

  test.each(attempts)("%s %s may not %s %s", async (role, name, verb, subject) => {
    const bus = await member(role, name);
    const isBehindLeaf = name === "proxy-2" || name === "content";
    const server = isBehindLeaf ? gateway.bus.leaf : gateway.bus.hub;
    const before = server.output().length;
    const attempt =
      verb === "hear"
        ? bus.subscribe(subject, () => {})
        : bus.request(subject, forged, { timeoutMs: 2_000 });
    await expect(attempt).rejects.toMatchObject({ kind: "refused" });
    const kind = verb === "hear" ? "Subscription" : "Publish";
    await eventually("the server's word about it", () =>
      server
        .output()
        .slice(before)
        .split("\n")
        .some((line) => line.includes(`${kind} Violation`) && line.includes(`"${subject}"`)),
    );
  });

  test("nothing of all that had an effect", async () => {
    for (const bus of members.values()) await (await bus).flush();
    const own = await member("proxy", "proxy-2");
    own.publish("tocsin.v1.held.proxy-2", forged);
    await eventually("the one that is allowed", () => effects.length > 0);
    expect(effects).toEqual(["tocsin.v1.held.proxy-2"]);
    const { proxies } = (await gateway.admin("GET", "/v1/proxies")).json() as {
      proxies: { proxy: string }[];
    };
    expect(proxies.map(({ proxy }) => proxy).toSorted()).toEqual(["proxy-1", "proxy-2"]);
    const anyone = await token();
    expect(await statuses(anyone)).toEqual([200, 200]);
    expect(await statuses(anyone, "content")).toEqual([200, 200]);
  });
});

describe("when the link between leaf and hub is cut", () => {
  test("what was ordered meanwhile is in force behind the leaf as soon as it is back, and nobody is turned away", async () => {
    const { link } = gateway.bus;
    const mallory = await token({ subject: "mallory-2" });
    const anyone = await token();
    expect(await statuses(mallory)).toEqual([200, 200]);
    link.refuse();
    link.cut();
    const result = await gateway.tocsin("revoke", "token", mallory, "--json");
    // The proxy behind the leaf is said to be missing, by name.
    expect(result.stdout).toMatch(/"missing":.*proxy-2/s);
    expect(result.code).toBe(3);
    expect((await gateway.ask("proxy-1", "/api/users/1", { token: mallory })).status).toBe(401);
    // Its routes go on with what it knows.
    expect(await statuses(anyone)).toEqual([200, 200]);
    link.pass();
    await soon(async () => expect(await statuses(mallory)).toEqual([401, 401]), 15_000);
    const next = await token({ subject: "mallory-3" });
    await soon(async () => {
      const order = await gateway.tocsin("revoke", "token", next);
      expect(order.stdout).toMatch(/^applied +2\/2 proxies/m);
    }, 15_000);
    await eventually("the service behind the leaf", () => states.get("content") === "registered");
    expect(await statuses(anyone, "content")).toEqual([200, 200]);
  }, 60_000);
});
