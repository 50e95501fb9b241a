/** The user of a service that signs people in, as nats.conf shows one and as `deploy/nats/users.ts` makes one. */
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { silentLog, systemClock } from "@tocsin/shared";
import { connectNats, type NatsBus } from "@tocsin/shared/nats";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { signInPermissionsOf } from "../../deploy/nats/permissions.ts";
import { passwords } from "../harness/gateway.ts";
import { startNats } from "../harness/index.ts";
import { root, temporaryDirectory } from "../harness/program.ts";
import { patternsOf } from "./permission-matrix.ts";

const open = new AsyncDisposableStack();
const directory = open.use(temporaryDirectory()).path;
const shipped = readFileSync(join(root, "nats.conf"), "utf8");
const granted = shipped.replace('# "tocsin.v1.session.*.users"', '"tocsin.v1.session.*.users"');
let bySample: NatsBus;
let byKey: NatsBus;

beforeAll(async () => {
  const common = {
    node: "users",
    role: "service",
    clock: systemClock,
    log: silentLog,
    firstConnectTimeoutMs: 5_000,
  } as const;
  const sample = join(directory, "nats.conf");
  writeFileSync(sample, granted);
  const server = open.use(await startNats({ config: sample, environment: passwords }));
  const url = server.urlFor("users", passwords.TOCSIN_NATS_USERS_PASSWORD);
  bySample = open.use(await connectNats({ ...common, servers: [url] }));

  const made = join(directory, "made");
  const script = join(root, "deploy/nats/users.ts");
  execFileSync(process.execPath, [script, made, "service:users:sessions", "service:content"]);
  const config = join(directory, "keys.conf");
  writeFileSync(
    config,
    `accounts { TOCSIN { jetstream: enabled\n${readFileSync(join(made, "users.conf"), "utf8")} } }\njetstream {}\n`,
  );
  const keyed = open.use(await startNats({ config }));
  const credentials = join(made, "service-users.nk");
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

test("as it is shipped, no service may make sessions", () => {
  expect(granted).not.toBe(shipped);
  expect(patternsOf(shipped).filter((line) => line.includes("session"))).toEqual([]);
});

test("the line in nats.conf is the rule of the users that are made", () => {
  const rules = patternsOf(granted).filter((line) => line.startsWith("users publish "));
  expect(rules.toSorted()).toEqual(
    signInPermissionsOf("users")
      .publish.map((pattern) => `users publish ${pattern}`)
      .toSorted(),
  );
});

describe.each([
  ["of nats.conf", () => bySample],
  ["made by users.ts", () => byKey],
] as const)("a user %s", (_, bus) => {
  test.each(["create", "list", "end"])("may ask to %s", async (verb) => {
    expect(await mayPublish(bus(), `tocsin.v1.session.${verb}.users`)).toBe(true);
  });

  test.each([
    "tocsin.v1.session.create.content",
    "tocsin.v1.session.create.users.more",
    "tocsin.v1.session.create",
    "tocsin.v1.session.users",
    "tocsin.v1.log.revocations.session",
    "tocsin.v1.feed.revocations.session",
    "tocsin.v1.operate.revoke",
    "tocsin.v1.register.content.one",
  ])("may not say %s", async (subject) => {
    expect(await mayPublish(bus(), subject)).toBe(false);
  });

  test("may not hear what others ask for", async () => {
    for (const subject of ["tocsin.v1.session.>", "tocsin.v1.session.*.*", "_INBOX_svc.content.>"])
      await expect(bus().subscribe(subject, () => {})).rejects.toMatchObject({ kind: "refused" });
  });
});
