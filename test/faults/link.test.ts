/**
 * One proxy among others has something wrong with its link to the bus, or with itself. Each of these proxies has a fault of its own, in
 * one fleet and at the same time; `proxy-1` has none.
 */
import { silentLog, systemClock } from "@tocsin/shared";
import { subjects } from "@tocsin/shared/bus";
import type { RevocationEntry } from "@tocsin/shared/contract";
import { connectNats } from "@tocsin/shared/nats";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { statusOf } from "../harness/convergence.ts";
import { passwords } from "../harness/gateway.ts";
import type { Relay } from "../harness/relay.ts";
import type { NatsServer } from "../harness/nats-server.ts";
import { soon } from "../harness/soon.ts";
import { issuer } from "../harness/tokens.ts";
import { onStrict, pause, startFleet, strictStalenessMs, type Fleet, type Watch } from "./fleet.ts";

let fleet: Fleet;
beforeAll(async () => {
  fleet = await startFleet({ proxies: 7 });
}, 60_000);
afterAll(() => fleet?.[Symbol.asyncDispose]());

const witness = "proxy-1";

interface Partition {
  readonly proxy: string;
  readonly fault: string;
  readonly lastsMs: number;
  readonly begin: (relay: Relay) => void;
  readonly end: (relay: Relay) => void;
}

/** What a dropped stretch of bytes leaves behind may be half a message: such a connection is of no use any more. */
const reopen = (relay: Relay) => {
  relay.pass();
  relay.cut();
};

const partitions: readonly Partition[] = [
  {
    proxy: "proxy-2",
    fault: "hears nothing for 30 s, and is heard",
    lastsMs: 30_000,
    begin: (relay) => relay.drop("toClient"),
    end: reopen,
  },
  {
    proxy: "proxy-3",
    fault: "is not heard for 30 s, and hears everything",
    lastsMs: 30_000,
    begin: (relay) => relay.drop("toServer"),
    end: reopen,
  },
  {
    proxy: "proxy-4",
    fault: "half-open for 30 s, both ways",
    lastsMs: 30_000,
    begin: (relay) => relay.hold(),
    end: (relay) => relay.pass(),
  },
  {
    proxy: "proxy-5",
    fault: "hears what was said 30 s later, all at once",
    lastsMs: 30_000,
    begin: (relay) => relay.hold("toClient"),
    end: (relay) => relay.pass(),
  },
];

function deniedBetween(watch: Watch, from: number, to: number): void {
  const answers = onStrict(watch.observer, { from, to });
  expect(answers.length).toBeGreaterThan(5);
  expect(new Set(answers.map(({ code }) => code))).toEqual(new Set(["stale-state"]));
}

describe.concurrent("one proxy of a fleet", () => {
  test.each(partitions)(
    "$proxy $fault, while 20 orders are given",
    async ({ proxy, fault, lastsMs, begin, end }) => {
      // One after the other, so that none is measured while another one is.
      await pause(2_000 * partitions.findIndex((partition) => partition.proxy === proxy));
      await using watch = await fleet.watch({ proxies: [proxy] });
      const relay = fleet.gateway.relay(proxy);
      const from = performance.now();
      begin(relay);
      for (let order = 0; order < 20; order++) {
        void watch.writer.revoke(100);
        await pause(lastsMs / 20);
      }
      const to = performance.now();
      end(relay);
      const recovered = await watch.recovered({ fault, witness });
      // Its own silence holds back nobody's order.
      expect(recovered.acknowledged).toBeGreaterThanOrEqual(22);
      expect(recovered.refused).toBe(0);
      // Who is not heard is told so by pings that nobody answers, twice: 6 s, and the patience of one more connection.
      deniedBetween(watch, from + strictStalenessMs + 7_000, to);
    },
    120_000,
  );

  test("is stopped for 30 s while 5,000 entries pass: what it is asked meanwhile is answered by what it should know", async () => {
    const proxy = "proxy-6";
    await pause(2_000 * partitions.length);
    // Fewer requests than elsewhere: all that wait in front of it are answered before the one that is measured.
    await using watch = await fleet.watch({ proxies: [proxy], perSecond: 10 });
    const { gateway } = fleet;
    // Nobody waits so long, but who does gets an answer by what it should know then.
    const end = watch.observer.excuse(proxy);
    const from = performance.now();
    gateway.node(proxy).freeze();
    watch.writer.every(1_500, () => watch.writer.revoke(100));
    await flood(gateway.nats!, 5_000);
    await pause(30_000 - (performance.now() - from));
    gateway.node(proxy).thaw();
    end();
    const { acknowledged } = await watch.recovered({ fault: "stopped for 30 s", witness });
    expect(acknowledged).toBeGreaterThan(15);
    expect((await statusOf(gateway, proxy))["revocations"]!.applied).toBeGreaterThan(5_000);
  }, 120_000);

  test("is cut off from the bus and killed: started again it serves what it had, and no token that it knew to be revoked", async () => {
    const proxy = "proxy-7";
    await using watch = await fleet.watch({ proxies: [proxy] });
    const { gateway } = fleet;
    const relay = gateway.relay(proxy);
    await pause(1_000);
    relay.refuse();
    relay.cut();
    const from = performance.now();
    for (let order = 0; order < 5; order++) await watch.writer.revoke(100);
    const end = watch.observer.excuse(proxy);
    await gateway.restart(proxy);
    await soon(async () => {
      const { status } = await gateway.ask("/api/users/1", { token: fleet.good, proxy: 6 });
      expect(status).toBe(200);
    }, 15_000);
    end();
    await pause(5_000);
    expect((await statusOf(gateway, proxy))["revocations"]!.state).not.toBe("live");
    const to = performance.now();
    relay.pass();
    await watch.recovered({ fault: "cut off and killed", witness });
    deniedBetween(watch, Math.max(from + strictStalenessMs, to - 4_000), to);
  }, 120_000);
});

/** Writes so many revocations to the journal, as the control plane would: nobody waits for them. */
async function flood(nats: NatsServer, entries: number): Promise<void> {
  await using bus = await connectNats({
    servers: [nats.urlFor("control-plane", passwords.TOCSIN_NATS_CONTROL_PLANE_PASSWORD)],
    role: "control-plane",
    node: "flood",
    clock: systemClock,
    log: silentLog,
  });
  const expiresAt = Math.floor(Date.now() / 1_000) + 3_600;
  for (let index = 0; index < entries; index++) {
    const entry: RevocationEntry = {
      v: 1,
      kind: "token",
      id: `flood-${index}`,
      issuer,
      jti: `flood-${index}`,
      expiresAt,
    };
    bus.publish(subjects.log("revocations", "token"), JSON.stringify(entry));
    // The server takes them as they come; it is asked whether it has, every so often.
    if (index % 500 === 499) await bus.flush();
  }
}
