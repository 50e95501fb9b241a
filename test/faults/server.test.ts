/** What happens to the NATS server, or to the whole network around it, happens to all of its clients. */
import { readFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { ask } from "../harness/client.ts";
import { convergence } from "../harness/convergence.ts";
import type { Gateway } from "../harness/gateway.ts";
import { soon } from "../harness/soon.ts";
import { note, onStrict, pause, startFleet, strictStalenessMs, type Watch } from "./fleet.ts";

/** From the beginning of a fault: how old the revocations may be, a beacon before that, and a look now and then. */
const strictDeniesAfterMs = strictStalenessMs + 500;

/** While nobody hears anything, the strict route denies everybody. */
function expectDenied(watch: Watch, from: number, to: number, proxy?: string): void {
  const answers = onStrict(watch.observer, {
    from: from + strictDeniesAfterMs,
    to,
    ...(proxy === undefined ? {} : { proxy }),
  });
  expect(answers.length).toBeGreaterThan(5);
  expect(new Set(answers.map(({ code }) => code))).toEqual(new Set(["stale-state"]));
}

const nodesOf = ({ names }: Gateway) => [...names.controlPlanes, ...names.proxies];
const relaysOf = (gateway: Gateway) => nodesOf(gateway).map((name) => gateway.relay(name));

describe.concurrent("the bus", () => {
  test("killed for 6 s and restarted: orders that were given meanwhile are carried out or repeatable", async () => {
    await using fleet = await startFleet();
    await using watch = await fleet.watch();
    const { nats } = fleet.gateway;
    watch.writer.every(500, () => watch.writer.revoke());
    watch.writer.every(1_500, () => watch.writer.edit());
    await pause(1_000);
    const from = performance.now();
    await nats!.kill();
    await pause(6_000);
    const to = performance.now();
    await nats!.restart();
    await watch.recovered({ fault: "killed and restarted" });
    expectDenied(watch, from, to);
  }, 90_000);

  test("frozen for 60 s: nobody waits for it but those who write", async () => {
    await using fleet = await startFleet();
    await using watch = await fleet.watch();
    const { nats } = fleet.gateway;
    watch.writer.every(3_000, () => watch.writer.revoke());
    watch.writer.every(10_000, () => watch.writer.edit());
    const from = performance.now();
    nats!.freeze();
    await pause(60_000);
    const to = performance.now();
    nats!.thaw();
    await watch.recovered({ fault: "frozen 60 s" });
    expectDenied(watch, from, to);
  }, 120_000);

  test("half-open for 20 s: every connection stays open and carries nothing", async () => {
    await using fleet = await startFleet();
    await using watch = await fleet.watch();
    watch.writer.every(1_000, () => watch.writer.revoke());
    const from = performance.now();
    for (const relay of relaysOf(fleet.gateway)) relay.hold();
    await pause(20_000);
    const to = performance.now();
    for (const relay of relaysOf(fleet.gateway)) relay.pass();
    await watch.recovered({ fault: "half-open 20 s" });
    expectDenied(watch, from, to);
  }, 90_000);

  test("every chunk 500 ms late, both ways: everything goes on, later", async () => {
    await using fleet = await startFleet();
    // What the strict route knows is as old as the way that it came.
    await using watch = await fleet.watch({ slackMs: 700 });
    for (const relay of relaysOf(fleet.gateway)) relay.delay(500);
    watch.writer.every(1_000, () => watch.writer.revoke(5_000));
    watch.writer.every(4_000, () => watch.writer.edit(5_000));
    // The change itself is a silence, and what comes after one is checked first, which takes a way there and back.
    await pause(5_000);
    const from = performance.now();
    await pause(10_000);
    const strict = onStrict(watch.observer, { from });
    const denied = strict.filter(({ status }) => status !== 200);
    expect(denied.length).toBeLessThan(strict.length / 10);
    // Orders that were given long enough ago are in force.
    const early = watch.writer.ledger.orders.slice(0, 5);
    expect(early.map(({ status }) => status)).toEqual(early.map(() => 200));
    for (const relay of relaysOf(fleet.gateway)) relay.pass();
    const { refused } = await watch.recovered({ fault: "every chunk 500 ms late" });
    expect(refused).toBe(0);
  }, 90_000);

  test("flapping: cut every 700 ms for a minute brings no storm of connections and no growing memory", async () => {
    await using fleet = await startFleet();
    await using watch = await fleet.watch();
    const { gateway } = fleet;
    watch.writer.every(1_000, () => watch.writer.revoke());
    watch.writer.every(7_000, () => watch.writer.edit());
    const relays = relaysOf(gateway);
    const before = relays.map(({ attempts }) => attempts);
    const cuts = 85;
    const memory: number[][] = [];
    for (let cut = 0; cut < cuts; cut++) {
      if (cut % 12 === 0) memory.push(await residentBytes(gateway));
      for (const relay of relays) relay.cut();
      await pause(700);
    }
    memory.push(await residentBytes(gateway));
    const attempts = relays.map((relay, index) => relay.attempts - before[index]!);
    await watch.recovered({ fault: "flapping a minute" });
    note("flapping a minute", { cuts, attempts: attempts.join(), megabytes: inMegabytes(memory) });
    // One connection for each that was cut; a few more where a cut met an attempt that was under way.
    for (const count of attempts) expect(count).toBeLessThanOrEqual(cuts * 1.5);
    // The first third is warming up.
    for (const index of nodesOf(gateway).keys()) {
      const early = memory[2]![index]!;
      expect(memory.at(-1)![index]! - early).toBeLessThan(32 * 1024 * 1024);
    }
  }, 120_000);

  test("down at the start: proxies serve what they have on disk, one without a snapshot serves nobody", async () => {
    await using fleet = await startFleet({ proxies: 3 });
    const { gateway } = fleet;
    const [first, second, third] = gateway.names.proxies as [string, string, string];
    await using watch = await fleet.watch({ proxies: [first, second] });
    const revoked = await watch.writer.revoke(5_000);
    await watch.writer.edit(5_000);
    // Written within 200 ms of the change.
    await pause(1_000);
    const excuses = [first, second].map((proxy) => watch.observer.excuse(proxy));
    await gateway.nats!.kill();
    const from = performance.now();
    await Promise.all([
      gateway.restart(first),
      gateway.restart(second),
      gateway.restart(third, { fresh: true }),
    ]);
    const probes = gateway.probes;
    await soon(async () => {
      for (const probe of probes.slice(0, 2))
        expect((await ask(probe, "/readyz")).status).toBe(200);
    }, 15_000);
    for (const end of excuses) end();
    const served = performance.now();
    await pause(5_000);
    const unready = await ask(probes[2]!, "/readyz");
    expect(unready.status).toBe(503);
    expect(unready.text).toContain("revocations: no snapshot yet");
    for (const token of [fleet.good, revoked.token])
      expect((await gateway.ask("/api/users/1", { token, proxy: 2 })).status).toBe(503);
    const to = performance.now();
    await gateway.nats!.restart();
    await Promise.all([
      watch.recovered({ fault: "down at the start" }),
      convergence(gateway, { proxies: [third] }),
    ]);
    expectDenied(watch, Math.max(from, served - strictDeniesAfterMs), to);
    expect((await gateway.ask("/api/users/1", { token: fleet.good, proxy: 2 })).status).toBe(200);
    expect((await gateway.ask("/api/users/1", { token: revoked.token, proxy: 2 })).status).toBe(
      401,
    );
  }, 90_000);
});

const inMegabytes = (looks: number[][]) =>
  looks.map((look) => look.map((bytes) => Math.round(bytes / 2 ** 20)).join("/")).join(" ");

/** Resident memory of every process. Linux tells; elsewhere it is not looked at. */
async function residentBytes(gateway: Gateway): Promise<number[]> {
  if (process.platform !== "linux") return nodesOf(gateway).map(() => 0);
  return Promise.all(
    nodesOf(gateway).map(async (name) => {
      const text = await readFile(`/proc/${gateway.node(name).process.pid}/status`, "utf8");
      return Number(/^VmRSS:\s+(\d+) kB$/m.exec(text)![1]) * 1024;
    }),
  );
}
