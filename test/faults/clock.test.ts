/** Proxies whose clocks are wrong by ten minutes, from the start and by a jump: what they know is dated by no clock but their own. */
import { startProxy } from "@tocsin/proxy";
import { silentLog, systemClock, systemRandom, type Clock } from "@tocsin/shared";
import { connectNats } from "@tocsin/shared/nats";
import { expect, test } from "vitest";
import { ask } from "../harness/client.ts";
import { statusOf } from "../harness/convergence.ts";
import { passwords, type Gateway } from "../harness/gateway.ts";
import { temporaryDirectory } from "../harness/program.ts";
import { token } from "../harness/tokens.ts";
import { onStrict, pause, startFleet } from "./fleet.ts";

const tenMinutesMs = 600_000;

/** This machine's clock with another date. */
function skewed(offsetMs: number): Clock & { jump(byMs: number): void } {
  let offset = offsetMs;
  return {
    ...systemClock,
    wall: () => systemClock.wall() + offset,
    jump(byMs) {
      offset += byMs;
    },
  };
}

/** A proxy in this process, among those that have their own. */
async function addProxy(
  gateway: Gateway,
  stack: AsyncDisposableStack,
  node: string,
  clock: Clock,
): Promise<Gateway> {
  const directory = stack.use(temporaryDirectory());
  const bus = stack.use(
    await connectNats({
      servers: [gateway.nats!.urlFor("proxy", passwords.TOCSIN_NATS_PROXY_PASSWORD)],
      role: "proxy",
      node,
      clock,
      log: silentLog,
    }),
  );
  const address = { host: "127.0.0.1", port: 0 };
  const proxy = stack.use(
    await startProxy({
      node,
      version: "test",
      bus,
      clock,
      random: systemRandom,
      log: silentLog,
      listen: address,
      probeListen: address,
      stateDirectory: directory.path,
      drainTimeoutMs: 1_000,
    }),
  );
  await proxy.ready;
  const urls = [...gateway.urls, proxy.url];
  return {
    ...gateway,
    urls,
    probes: [...gateway.probes, proxy.probeUrl],
    names: { ...gateway.names, proxies: [...gateway.names.proxies, node] },
    ask: (path, { proxy: index = 0, ...rest } = {}) => ask(urls[index]!, path, rest),
    askAll: (path, rest = {}) => Promise.all(urls.map((url) => ask(url, path, rest))),
  };
}

test("clocks that are ten minutes fast or slow, and jump, change nothing that is known of revocations", async () => {
  const fast = skewed(tenMinutesMs);
  const slow = skewed(-tenMinutesMs);
  const jumping = skewed(0);
  // Of an issuer whose clock is right: neither of the future to one, nor expired to the other.
  const issuedAt = Math.floor(Date.now() / 1_000) - 900;
  await using fleet = await startFleet({
    proxies: 1,
    claims: { issuedAt, lifetimeSeconds: 7_200 },
    async extend(gateway, stack) {
      const one = await addProxy(gateway, stack, "fast", fast);
      const two = await addProxy(one, stack, "slow", slow);
      return addProxy(two, stack, "jumping", jumping);
    },
  });
  const { gateway } = fleet;
  await using watch = await fleet.watch();
  const from = performance.now();
  watch.writer.every(400, () => watch.writer.revoke());
  await pause(3_000);
  jumping.jump(tenMinutesMs);
  await pause(3_000);
  jumping.jump(-2 * tenMinutesMs);
  await pause(3_000);
  for (const name of gateway.names.proxies) {
    const { revocations } = await statusOf(gateway, name);
    expect(revocations).toMatchObject({ state: "live" });
    expect(revocations!.stalenessMs).toBeLessThan(2_000);
  }
  for (const { status } of watch.writer.ledger.of("acknowledged", "revocation"))
    expect(status).toBe(200);
  const strict = onStrict(watch.observer, { from });
  expect(new Set(strict.map(({ status }) => status))).toEqual(new Set([200]));
  await watch.recovered({ fault: "clocks wrong by ten minutes" });

  // A user's tokens are taken back by the date of the order, which is the control plane's.
  const bob = await token({ subject: "bob", issuedAt, lifetimeSeconds: 7_200 });
  const answer = await gateway.admin("POST", "/v1/revocations?wait=2s", {
    kind: "user",
    subject: "bob",
  });
  expect(answer.status).toBe(200);
  for (const url of gateway.urls.keys())
    expect((await gateway.ask("/api/users/1", { token: bob, proxy: url })).status).toBe(401);

  // What a date is for: a token has a beginning and an end, and these proxies are wrong about today.
  const statuses = async (text: string) =>
    (await gateway.askAll("/api/users/1", { token: text })).map(({ status }) => status);
  const names = ["proxy-1", "fast", "slow", "jumping"];
  expect(gateway.names.proxies).toEqual(names);
  expect(await statuses(await token())).toEqual([200, 200, 401, 401]);
  const nearlyOver = await token({ issuedAt, lifetimeSeconds: 900 + 300 });
  expect(await statuses(nearlyOver)).toEqual([200, 401, 200, 200]);
}, 60_000);
