/** One proxy of two is cut off from the bus: what its operator sees of it, at the proxy itself and from afar. */
import { expect, test } from "vitest";
import { ask } from "../harness/client.ts";
import { startGateway } from "../harness/gateway.ts";
import { startOrigin } from "../harness/origin.ts";
import { startRelay, type Relay } from "../harness/relay.ts";
import { soon } from "../harness/soon.ts";
import { issuerConfig, token } from "../harness/tokens.ts";

const journals = ["catalogue", "health", "revocations", "invalidations"];

const configFor = (url: string) => `version: 1
environment: development
${issuerConfig}
services:
  users: { instances: [{ url: "${url}" }], health: { path: /health, interval: 500ms } }
routes:
  - { id: users, match: { path: "/api/users/*" }, service: users, auth: required }
  - { id: strict, match: { path: "/api/strict/*" }, service: users, auth: required, revocation: { strict: true, maxStaleness: 2s } }
`;

test("a proxy that is cut off says so in its metrics and its status, is missing in orders, and comes back", async () => {
  await using origin = await startOrigin();
  await using stack = new AsyncDisposableStack();
  const relays: Relay[] = [];
  await using gateway = await startGateway("cluster", {
    config: configFor(origin.url),
    proxyNatsPort: async (server) => {
      const relay = stack.use(await startRelay(server.port));
      relays.push(relay);
      return relay.port;
    },
  });
  const good = await token();
  const revoked = await token({ subject: "mallory" });
  const statuses = async (text: string, path: string) =>
    (await gateway.askAll(path, { token: text })).map(({ status }) => status);
  await soon(async () => expect(await statuses(good, "/api/strict/1")).toEqual([200, 200]));

  const probe = gateway.probes[1]!;
  const metrics = async () => (await ask(probe, "/metrics")).text;
  const staleness = async () =>
    Number(
      /^tocsin_replica_staleness_seconds\{journal="revocations"\} (.*)$/m.exec(await metrics())![1],
    );
  const before = await metrics();
  for (const journal of journals) {
    expect(before).toContain(`tocsin_replica_state{journal="${journal}",state="live"} 1`);
    for (const name of ["applied", "head", "staleness_seconds", "gaps_total"])
      expect(before).toContain(`tocsin_replica_${name}{journal="${journal}"} `);
    expect(before).toContain(`tocsin_replica_resyncs_total{journal="${journal}",reason="start"} `);
  }
  expect(await staleness()).toBeLessThan(2);
  const list = async () => (await gateway.tocsin("proxies", "list")).stdout;
  await soon(async () =>
    expect(await list()).toMatch(
      /^proxy-2 +\S+ +live +[\d.]+ \S+ +[\d.]+ m?s ago +\d+ live +\d+ live +\d+ live +\d+ live$/m,
    ),
  );

  relays[1]!.hold();
  const order = await gateway.tocsin("revoke", "token", revoked, "--wait", "300ms");
  expect(order.code).toBe(3);
  expect(order.stdout).toMatch(/^applied +1\/2 proxies .* slowest proxy-1$/m);
  expect(order.stderr).toMatch(/^MISSING +BEHIND +LAST SEEN +WHY$/m);
  expect(order.stderr).toMatch(/^proxy-2 +1 entry +[\d.]+ m?s ago$/m);
  expect(await statuses(revoked, "/api/users/1")).toEqual([401, 200]);

  // Its own word about itself, with nobody to tell it.
  await soon(async () => expect(await staleness()).toBeGreaterThan(4), 15_000);
  const cut = await metrics();
  expect(cut).toMatch(
    /tocsin_replica_state\{journal="revocations",state="(suspect|stale|syncing)"\} 1/,
  );
  expect(cut).not.toContain('tocsin_replica_state{journal="revocations",state="live"} 1');
  const status = (await ask(probe, "/status")).json() as {
    journals: Record<string, { state: string; stalenessMs: number }>;
  };
  expect(status.journals["revocations"]!.stalenessMs).toBeGreaterThan(4_000);
  expect(status.journals["revocations"]!.state).not.toBe("live");
  const ready = await ask(probe, "/readyz?verbose");
  expect(ready.status).toBe(200);
  expect(ready.text).toMatch(/^\[\+\] revocations ok, \d+ applied, \w+, \d+\.\d s old$/m);
  expect(await statuses(good, "/api/strict/1")).toEqual([200, 503]);
  expect(await statuses(good, "/api/users/1")).toEqual([200, 200]);
  await soon(async () => expect(await list()).toMatch(/^proxy-2 +\S+ +away /m), 15_000);
  // Whoever is away is not expected.
  const later = await gateway.tocsin("revoke", "user", "somebody", "--wait", "5s");
  expect(later).toMatchObject({ code: 0 });

  relays[1]!.pass();
  await soon(
    async () => expect(await statuses(revoked, "/api/users/1")).toEqual([401, 401]),
    10_000,
  );
  await soon(async () => expect(await list()).toMatch(/^proxy-2 +\S+ +live /m), 10_000);
  await soon(async () => expect(await statuses(good, "/api/strict/1")).toEqual([200, 200]), 5_000);
  expect(await staleness()).toBeLessThan(3);
}, 90_000);
