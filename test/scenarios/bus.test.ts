import { expect, test } from "vitest";
import { soon, timed } from "../harness/soon.ts";
import { startGateway } from "../harness/gateway.ts";
import { startOrigin } from "../harness/origin.ts";
import { startRelay, type Relay } from "../harness/relay.ts";
import { issuerConfig, token } from "../harness/tokens.ts";

const configFor = (url: string) => `version: 1
environment: development
${issuerConfig}
services:
  users: { instances: [{ url: "${url}" }], health: { path: /health, interval: 500ms } }
routes:
  - { id: users, match: { path: "/api/users/*" }, service: users, auth: required }
  - { id: strict, match: { path: "/api/strict/*" }, service: users, auth: required, revocation: { strict: true, maxStaleness: 2s } }
`;

test("NATS is killed and restarted: traffic goes on, revocations hold, and orders are in force again within 2 s", async () => {
  await using origin = await startOrigin();
  await using gateway = await startGateway("cluster", { config: configFor(origin.url) });
  const statuses = async (text: string) =>
    (await gateway.askAll("/api/users/1", { token: text })).map((answer) => answer.status);
  const good = await token();
  const revoked = await token({ subject: "mallory" });
  await soon(async () => expect(await statuses(good)).toEqual([200, 200]));
  expect((await gateway.tocsin("revoke", "token", revoked)).code).toBe(0);

  await gateway.nats!.kill("SIGKILL");
  const failures: number[] = [];
  const until = performance.now() + 1_500;
  while (performance.now() < until) {
    for (const status of await statuses(good)) if (status !== 200) failures.push(status);
    expect(await statuses(revoked)).toEqual([401, 401]);
  }
  expect(failures).toEqual([]);

  await gateway.nats!.restart();
  const later = await token({ subject: "trent" });
  const { ms } = await timed(() =>
    soon(
      async () =>
        expect((await gateway.tocsin("revoke", "token", later, "--wait", "1s")).code).toBe(0),
      6_000,
      20,
    ),
  );
  // The command line itself starts in some hundred milliseconds.
  expect(ms).toBeLessThan(4_000);
  expect(await statuses(later)).toEqual([401, 401]);
  expect(await statuses(revoked)).toEqual([401, 401]);
  expect(await statuses(good)).toEqual([200, 200]);
}, 60_000);

test("the last message on the bus is lost, then silence: repaired within 1.5 s", async () => {
  await using origin = await startOrigin();
  await using stack = new AsyncDisposableStack();
  const relays: Relay[] = [];
  await using gateway = await startGateway("cluster", {
    config: configFor(origin.url),
    proxyNatsPort: async (server) => {
      const relay = stack.use(await startRelay(server.port, { nats: true }));
      relays.push(relay);
      return relay.port;
    },
  });
  const statuses = async (text: string) =>
    (await gateway.askAll("/api/users/1", { token: text })).map((answer) => answer.status);
  const good = await token();
  await soon(async () => expect(await statuses(good)).toEqual([200, 200]));
  const revoked = await token({ subject: "mallory" });
  expect(await statuses(revoked)).toEqual([200, 200]);

  // Each proxy comes through a relay of its own, and loses its copy of the one message.
  const lost = relays.map((relay) =>
    relay.dropNext((message) => message.subject.startsWith("tocsin.v1.feed.revocations.")),
  );
  const { result, ms } = await timed(async () => {
    const order = await gateway.admin("POST", "/v1/revocations?wait=0", { token: revoked });
    await soon(async () => expect(await statuses(revoked)).toEqual([401, 401]), 5_000, 10);
    return order;
  });
  await Promise.all(lost);
  expect(result.status).toBe(202);
  expect(ms).toBeLessThan(1_500);
}, 60_000);

test("NATS is away at the start: a proxy serves with what it has on disk, revocations too, and a new one serves nothing", async () => {
  await using origin = await startOrigin();
  await using gateway = await startGateway("cluster", { config: configFor(origin.url) });
  const statuses = async (text: string, path = "/api/users/1") =>
    (await gateway.askAll(path, { token: text })).map((answer) => answer.status);
  const good = await token();
  const revoked = await token({ subject: "mallory" });
  await soon(async () => expect(await statuses(good)).toEqual([200, 200]));
  expect((await gateway.tocsin("revoke", "token", revoked)).code).toBe(0);
  // What is on disk is written within two seconds.
  await new Promise((resolve) => setTimeout(resolve, 2_500));

  await gateway.nats!.kill("SIGKILL");
  await gateway.restartProxies("SIGKILL");
  await soon(async () => expect(await statuses(good)).toEqual([200, 200]), 10_000);
  expect(await statuses(revoked)).toEqual([401, 401]);
  // What is known is older than two seconds by now: the strict route denies.
  expect(await statuses(good, "/api/strict/1")).toEqual([503, 503]);
  const stale = await gateway.ask("/api/strict/1", { token: good });
  expect(stale.json()).toMatchObject({ code: "stale-state" });

  await gateway.nats!.restart();
  await soon(async () => expect(await statuses(good, "/api/strict/1")).toEqual([200, 200]), 10_000);
  expect(await statuses(revoked)).toEqual([401, 401]);
}, 60_000);
