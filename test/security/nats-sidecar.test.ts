/**
 * The user of a sidecar, as nats.conf shows one and as `deploy/nats/users.ts` makes one: what a proxy may and the leases of one
 * service, and nothing next to it.
 */
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { silentLog, systemClock } from "@tocsin/shared";
import { connectNats, type NatsBus } from "@tocsin/shared/nats";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { sidecarPermissionsOf } from "../../deploy/nats/permissions.ts";
import { startNats } from "../harness/index.ts";
import { passwords } from "../harness/gateway.ts";
import { root, temporaryDirectory } from "../harness/program.ts";
import { natsConfigWithSidecars } from "../harness/sidecar.ts";
import { patternsOf } from "./permission-matrix.ts";

const open = new AsyncDisposableStack();
const directory = open.use(temporaryDirectory()).path;
const shown = natsConfigWithSidecars(directory, ["users"]);
let bySample: NatsBus;
let byKey: NatsBus;

beforeAll(async () => {
  const common = {
    node: "sidecar-1",
    role: "proxy",
    clock: systemClock,
    log: silentLog,
    firstConnectTimeoutMs: 5_000,
  } as const;
  const server = open.use(await startNats({ config: shown, environment: passwords }));
  const users = [server.urlFor("users-sidecar", "sidecar-password")];
  bySample = open.use(await connectNats({ ...common, servers: users }));

  const made = join(directory, "made");
  const script = join(root, "deploy/nats/users.ts");
  execFileSync(process.execPath, [script, made, "sidecar:sidecar-1:users", "proxy:proxy-1"]);
  const config = join(directory, "keys.conf");
  writeFileSync(
    config,
    `accounts { TOCSIN { jetstream: enabled\n${readFileSync(join(made, "users.conf"), "utf8")} } }\njetstream {}\n`,
  );
  const keyed = open.use(await startNats({ config }));
  const credentials = join(made, "sidecar-sidecar-1.nk");
  byKey = open.use(await connectNats({ ...common, servers: [keyed.url], credentials }));
}, 30_000);
afterAll(() => open.disposeAsync());

async function mayPublish(bus: NatsBus, subject: string): Promise<boolean> {
  try {
    await bus.request(subject, "", { timeoutMs: 500 });
    return true;
  } catch (error) {
    return (error as { kind?: string }).kind !== "refused";
  }
}

async function mayHear(bus: NatsBus, subject: string): Promise<boolean> {
  try {
    await (await bus.subscribe(subject, () => {}))[Symbol.asyncDispose]();
    return true;
  } catch (error) {
    if ((error as { kind?: string }).kind === "refused") return false;
    throw error;
  }
}

test("the example in nats.conf has the rules of the users that are made, with a wildcard for the node", () => {
  const rules = patternsOf(readFileSync(shown, "utf8")).filter((line) =>
    line.startsWith("users-sidecar "),
  );
  const { publish, subscribe } = sidecarPermissionsOf("*", "users");
  expect(rules.toSorted()).toEqual(
    [
      ...publish.map((pattern) => `users-sidecar publish ${pattern}`),
      ...subscribe.map((pattern) => `users-sidecar subscribe ${pattern.replace(".*.>", ".>")}`),
    ].toSorted(),
  );
});

describe.each([
  ["of nats.conf", () => bySample, "another-1"],
  ["made by users.ts", () => byKey, "sidecar-1"],
] as const)("a sidecar's user %s", (_, bus, node) => {
  test.each([
    "tocsin.v1.register.users.users-1",
    "tocsin.v1.renew.users.users-1",
    "tocsin.v1.deregister.users.users-1",
    "tocsin.v1.sync.revocations",
    `tocsin.v1.heartbeat.proxy.${node}`,
    `tocsin.v1.ack.operation.${node}`,
    `tocsin.v1.report.${node}`,
    `tocsin.v1.held.${node}`,
  ])("may publish %s", async (subject) => {
    expect(await mayPublish(bus(), subject)).toBe(true);
  });

  test.each([
    "tocsin.v1.register.orders.orders-1",
    "tocsin.v1.renew.orders.orders-1",
    "tocsin.v1.deregister.orders.orders-1",
    "tocsin.v1.register.users.a.b",
    "tocsin.v1.log.catalogue.instance.users.users-1",
    "tocsin.v1.feed.catalogue.config",
    "tocsin.v1.beacon",
    "tocsin.v1.proxy.collect",
    "tocsin.v1.operate.revoke",
    "tocsin.v1.heartbeat.control-plane.one",
    "_INBOX_svc.users.x",
    "_INBOX_px.proxy-1.x",
    "$JS.API.STREAM.INFO.TOCSIN_CATALOGUE",
    "$JS.API.CONSUMER.CREATE.TOCSIN_CATALOGUE",
  ])("may not publish %s", async (subject) => {
    expect(await mayPublish(bus(), subject)).toBe(false);
  });

  test.each(["tocsin.v1.feed.>", "tocsin.v1.beacon", "tocsin.v1.proxy.*", `_INBOX_px.${node}.>`])(
    "may hear %s",
    async (subject) => {
      expect(await mayHear(bus(), subject)).toBe(true);
    },
  );

  test.each(["tocsin.v1.>", "tocsin.v1.register.>", "_INBOX_svc.users.>", "_INBOX_cp.>", ">"])(
    "may not hear %s",
    async (subject) => {
      expect(await mayHear(bus(), subject)).toBe(false);
    },
  );
});

describe("a sidecar's user made by users.ts", () => {
  test.each([
    "tocsin.v1.ack.operation.proxy-1",
    "tocsin.v1.heartbeat.proxy.proxy-1",
    "tocsin.v1.report.proxy-1",
    "tocsin.v1.held.proxy-1",
  ])("may not publish %s, which is another node's", async (subject) => {
    expect(await mayPublish(byKey, subject)).toBe(false);
  });

  test.each(["sidecar:one", "sidecar:one:Two", "proxy:one:users", "sidecar:one:users:x"])(
    "is not made of %s",
    (text) => {
      const script = join(root, "deploy/nats/users.ts");
      const run = () =>
        execFileSync(process.execPath, [script, join(directory, "none"), text], { stdio: "pipe" });
      expect(run).toThrow(/sidecar:NODE:SERVICE/);
    },
  );
});
