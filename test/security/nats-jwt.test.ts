/** Users by signed JWT: one scoped signing key per role, and the server fills each user's own name into the role's rules. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { silentLog, systemClock } from "@tocsin/shared";
import { connectNats, openNatsJournals, type NatsBus, type NatsRole } from "@tocsin/shared/nats";
import { afterAll, beforeAll, expect, test } from "vitest";
import { permissionsOf, roles, type Role } from "../../deploy/nats/permissions.ts";
import { eventually, startNats, type NatsServer } from "../harness/index.ts";
import { temporaryDirectory } from "../harness/program.ts";
import { issue, type Issued } from "./operator-jwt.ts";

const open = new AsyncDisposableStack();
let server: NatsServer;
let issued: Issued;
let directory: string;

beforeAll(async () => {
  directory = open.use(temporaryDirectory()).path;
  issued = issue(
    Object.fromEntries(roles.map((role) => [role, permissionsOf(role, "{{name()}}")])),
  );
  const config = join(directory, "nats.conf");
  writeFileSync(config, issued.config);
  server = open.use(await startNats({ config }));
  mkdirSync(join(directory, "creds"));
});
afterAll(() => open.disposeAsync());

async function connect(role: Role & NatsRole, name: string, node = name): Promise<NatsBus> {
  const credentials = join(directory, "creds", `${role}.creds`);
  writeFileSync(credentials, issued.credentials(role, name), { mode: 0o600 });
  return open.use(
    await connectNats({
      servers: [server.url],
      credentials,
      role,
      node,
      clock: systemClock,
      log: silentLog,
      firstConnectTimeoutMs: 3_000,
    }),
  );
}

const mayPublish = (bus: NatsBus, subject: string) =>
  bus.request(subject, "", { timeoutMs: 500 }).then(
    () => true,
    ({ kind }: { kind?: string }) => kind !== "refused",
  );

test("a control plane keeps its journals, a proxy asks and proves in its own name, a service registers itself", async () => {
  const controlPlane = await connect("control-plane", "control-plane-1");
  const heard: string[] = [];
  open.use(
    await openNatsJournals({
      bus: controlPlane,
      clock: systemClock,
      log: silentLog,
      deadlineMs: 5_000,
    }),
  );
  await using _ = await controlPlane.subscribe("tocsin.v1.>", (message) => {
    heard.push(message.subject);
    if (/sync|register/.test(message.subject)) message.respond("answer");
  });
  const proxy = await connect("proxy", "proxy-eu-1");
  const service = await connect("service", "users");
  proxy.publish("tocsin.v1.ack.Order_1.proxy-eu-1", "");
  const answer = await proxy.request("tocsin.v1.sync.health", "", { timeoutMs: 3_000 });
  expect(answer.text()).toBe("answer");
  const lease = await service.request("tocsin.v1.register.users.users-1", "", { timeoutMs: 3_000 });
  expect(lease.text()).toBe("answer");
  await eventually("the proof", () => heard.includes("tocsin.v1.ack.Order_1.proxy-eu-1"));
});

test.each([
  "tocsin.v1.ack.Order_1.proxy-eu-2",
  "tocsin.v1.heartbeat.proxy.proxy-eu-2",
  "tocsin.v1.report.proxy-eu-2",
  "tocsin.v1.held.proxy-eu-2",
  "tocsin.v1.ack.Order_1.{{name()}}",
  "tocsin.v1.beacon",
  "$JS.API.STREAM.INFO.TOCSIN_REVOCATIONS",
])("a proxy may not say %s", async (subject) => {
  expect(await mayPublish(await connect("proxy", "proxy-eu-1"), subject)).toBe(false);
});

test("a proxy may not hear another's answers, and one that calls itself what its user is not hears none", async () => {
  const proxy = await connect("proxy", "proxy-eu-1");
  for (const subject of ["_INBOX_px.proxy-eu-2.>", "_INBOX_px.>", "_INBOX_px.*.>"])
    await expect(proxy.subscribe(subject, () => {})).rejects.toMatchObject({ kind: "refused" });
  const misnamed = await connect("proxy", "proxy-eu-1", "proxy-eu-2");
  await expect(
    misnamed.request("tocsin.v1.sync.health", "", { timeoutMs: 2_000 }),
  ).rejects.toMatchObject({ kind: "refused" });
});

test("a service may not speak for another, and a user of another role's key may not either", async () => {
  const service = await connect("service", "users");
  expect(await mayPublish(service, "tocsin.v1.register.users.users-1")).toBe(true);
  expect(await mayPublish(service, "tocsin.v1.register.content.content-1")).toBe(false);
  const operator = await connect("operator", "users");
  expect(await mayPublish(operator, "tocsin.v1.register.users.users-1")).toBe(false);
});
