import { cpSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { silentLog, systemClock } from "@tocsin/shared";
import type { Clock } from "@tocsin/shared";
import { subjects, type Bus } from "@tocsin/shared/bus";
import { createEmbeddedBus } from "@tocsin/shared/embedded";
import { ManualClock } from "../identity/testing/manual-clock.ts";
import { startFleet } from "./fleet.ts";
import type { Fleet } from "./fleet.ts";
import { lastGoodPath } from "./last-good.ts";
import { Reports } from "./reports.ts";
import { startTestControlPlane } from "./testing/control-plane.ts";
import type { TestControlPlane } from "./testing/control-plane.ts";
import { config, gone, instance, revokedToken, verdict } from "./testing/entries.ts";

let stack: AsyncDisposableStack;
let bus: Bus;
let directory: string;

beforeEach(async () => {
  stack = new AsyncDisposableStack();
  directory = await mkdtemp(join(tmpdir(), "tocsin-fleet-"));
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  bus = stack.use(createEmbeddedBus());
});
afterEach(() => stack.disposeAsync());

const inAnHour = Math.floor(Date.now() / 1000) + 3_600;

async function controlPlane(): Promise<TestControlPlane> {
  return stack.use(await startTestControlPlane(bus));
}

async function fleet(options: { clock?: Clock; disk?: boolean | string } = {}): Promise<Fleet> {
  return stack.use(
    await startFleet({
      node: "proxy-1",
      boot: "boot-of-the-proxy",
      version: "1.2.3",
      bus,
      clock: options.clock ?? systemClock,
      random: () => 0.5,
      log: silentLog,
      stateDirectory:
        options.disk === true ? directory : options.disk === false ? undefined : options.disk,
    }),
  );
}

const isReady = (started: Fleet) =>
  expect.poll(() => started.ready()).toEqual({ ok: true, reasons: [] });
const isLive = (started: Fleet) =>
  expect
    .poll(() => Object.values(started.replicas()).map(({ state }) => state))
    .toEqual(["live", "live", "live", "live"]);
const isRevoked = ({ revocations }: Fleet, jti: string) =>
  revocations.has({
    issuer: "shop",
    subject: "s",
    issuedAt: 0,
    jti,
    fingerprint: revocations.fingerprint("shop", jti),
  });
const eligible = (started: Fleet, service: string) =>
  started
    .instances()
    .of(service)
    ?.filter((one) => one.eligible)
    .map((one) => one.instance);

describe("a proxy that starts", () => {
  test("is not ready before it has a snapshot of every journal, and says what is missing", async () => {
    const started = await fleet();
    expect(started.ready()).toEqual({
      ok: false,
      reasons: [
        "catalogue: no snapshot yet",
        "health: no snapshot yet",
        "revocations: no snapshot yet",
        "invalidations: no snapshot yet",
      ],
    });
    expect(started.staleness.revocationsMs()).toBeUndefined();
    let told = 0;
    started.onReady(() => void (told += 1));
    await controlPlane();
    await isReady(started);
    expect(told).toBe(1);
    expect(started.staleness.revocationsMs()).toBeLessThan(5_000);
    // Nothing was ever configured.
    expect(started.config()).toBeUndefined();
  });

  test("has everything that was recorded before it came", async () => {
    const control = await controlPlane();
    await control.append("catalogue", "config", config(3));
    await control.append("catalogue", "instance.users.users-1", instance("users", "users-1"));
    await control.append("health", "users.users-1", verdict("users", "users-1"));
    await control.append("revocations", "token", revokedToken("1", inAnHour));
    const started = await fleet();
    await isReady(started);
    expect(started.config()?.revision).toBe(3);
    expect(eligible(started, "users")).toEqual(["users-1"]);
    expect(isRevoked(started, "1")).toBe(true);
  });
});

describe("an order", () => {
  test("is in force before it is acknowledged", async () => {
    const control = await controlPlane();
    const started = await fleet();
    await isLive(started);
    const configs: number[] = [];
    started.onConfig(({ revision }) => void configs.push(revision));
    await control.append("revocations", "token", revokedToken("1", inAnHour), "order-1");
    await control.append("catalogue", "config", config(1), "order-2");
    await control.append("revocations", "token", revokedToken("2", inAnHour));
    await expect
      .poll(() => control.acks)
      .toMatchObject([
        { subject: "tocsin.v1.ack.order-1.proxy-1", journal: "revocations", applied: 1 },
        { subject: "tocsin.v1.ack.order-2.proxy-1", journal: "catalogue", applied: 1 },
      ]);
    expect(isRevoked(started, "1")).toBe(true);
    expect(configs).toEqual([1]);
    // Not an order: nobody waits for it.
    await expect.poll(() => isRevoked(started, "2")).toBe(true);
    expect(control.acks).toHaveLength(2);
  });

  test("that cannot be carried out is acknowledged with the reason, and what was before stays", async () => {
    const control = await controlPlane();
    const started = await fleet();
    await isLive(started);
    started.onConfig(({ revision }) => {
      if (revision === 3) throw new Error("two routes for one path");
    });
    await control.append("catalogue", "config", config(1), "order-1");
    await control.append(
      "catalogue",
      "config",
      config(2, { version: 1, colour: "red" }),
      "order-2",
    );
    await control.append("catalogue", "config", config(3), "order-3");
    await control.append("catalogue", "config", "not JSON", "order-4");
    await expect.poll(() => control.acks).toHaveLength(4);
    expect(control.acks.map(({ error }) => error)).toEqual([
      undefined,
      expect.stringContaining("colour"),
      "two routes for one path",
      expect.stringContaining("JSON"),
    ]);
    // Each says what else was refused, so that it is no proof of that.
    expect(control.acks.map(({ refused }) => refused)).toEqual([[], [2], [2, 3], [2, 3, 4]]);
    expect(started.config()?.revision).toBe(1);
    expect(started.replicas().catalogue.poisoned).toMatchObject({ count: 3, sequence: 4 });
    await control.append("catalogue", "config", config(5), "order-5");
    await expect.poll(() => started.config()?.revision).toBe(5);
  });
});

describe("instances", () => {
  test("change as soon as the replica knows, and whoever wants to is told", async () => {
    const control = await controlPlane();
    const started = await fleet();
    await isLive(started);
    const heard: (readonly string[] | undefined)[] = [];
    started.onInstances(() => void heard.push(eligible(started, "users")));
    await control.append("catalogue", "instance.users.users-1", instance("users", "users-1"));
    await control.append("health", "users.users-1", verdict("users", "users-1"));
    await expect.poll(() => heard.at(-1)).toEqual(["users-1"]);
    await control.append(
      "catalogue",
      "instance.users.users-1",
      instance("users", "users-1", { state: "draining" }),
      "drain-1",
    );
    await expect.poll(() => control.acks).toHaveLength(1);
    expect(eligible(started, "users")).toEqual([]);
    await control.append("catalogue", "instance.users.users-1", gone);
    await expect.poll(() => started.instances().of("users")).toBeUndefined();
  });

  test("that were found unhealthy are tried again when nobody has told of health for a minute", async () => {
    const clock = new ManualClock();
    const control = await controlPlane();
    await control.append("catalogue", "instance.users.users-1", instance("users", "users-1"));
    await control.append("health", "users.users-1", verdict("users", "users-1", "unhealthy"));
    const started = await fleet({ clock });
    await isReady(started);
    await control.stop();
    await bus.flush();
    let told = 0;
    started.onInstances(() => void (told += 1));
    clock.advance(59_000);
    expect(eligible(started, "users")).toEqual([]);
    clock.advance(3_000);
    expect(eligible(started, "users")).toEqual(["users-1"]);
    await expect.poll(() => told).toBe(1);
    await control.start();
    await expect
      .poll(() => {
        clock.advance(1_000);
        return eligible(started, "users");
      })
      .toEqual([]);
  });
});

describe("heartbeats", () => {
  test("come at once when the proxy has everything, and say what it has applied", async () => {
    const clock = new ManualClock();
    const control = await controlPlane();
    await control.append("revocations", "token", revokedToken("1", inAnHour));
    await fleet({ clock });
    await expect
      .poll(() => control.heartbeats.at(-1))
      .toMatchObject({
        proxy: "proxy-1",
        boot: "boot-of-the-proxy",
        version: "1.2.3",
        journals: {
          catalogue: { applied: 0, state: "live" },
          health: { applied: 0, state: "live" },
          revocations: { applied: 1, head: 1, state: "live" },
        },
      });
    const count = control.heartbeats.length;
    clock.advance(2_000);
    await expect.poll(() => control.heartbeats.length).toBe(count + 1);
  });

  test("end with a farewell, once", async () => {
    const control = await controlPlane();
    const started = await fleet();
    await isLive(started);
    await started[Symbol.asyncDispose]();
    await started[Symbol.asyncDispose]();
    await bus.flush();
    expect(control.heartbeats.filter(({ leaving }) => leaving === true)).toHaveLength(1);
    expect(control.heartbeats.at(-1)?.leaving).toBe(true);
  });

  test("that are due after the farewell are not sent", async () => {
    const control = await controlPlane();
    const started = await fleet();
    await bus.flush();
    const before = control.heartbeats.length;
    const options = {
      node: "proxy-2",
      boot: "b",
      version: "1",
      bus,
      clock: systemClock,
      log: silentLog,
    };
    await using reports = new Reports({ ...options, replicas: () => started.replicas() });
    reports.leave();
    reports.leave();
    reports.heartbeat();
    await bus.flush();
    const heard = control.heartbeats.slice(before).filter(({ proxy }) => proxy === "proxy-2");
    expect(heard.map(({ leaving }) => leaving)).toEqual([true]);
  });
});

describe("invalidations", () => {
  const user = { v: 1, kind: "user", user: "ada" };

  test("are in force when they are acknowledged, and say nothing of others", async () => {
    const control = await controlPlane();
    const started = await fleet();
    await isLive(started);
    const { invalidations } = started;
    const before = invalidations.version;
    await control.append("invalidations", "user", user, "purge-1");
    await expect.poll(() => control.acks).toHaveLength(1);
    expect(control.acks[0]).toMatchObject({ journal: "invalidations", applied: 1 });
    expect(invalidations.holds("ada", before)).toBe(false);
    expect(invalidations.holds("bob", before)).toBe(true);
    expect(started.staleness.invalidationsMs()).toBeLessThan(5_000);
  });

  test("of another history are not known one by one, so everything from before is stale", async () => {
    const control = await controlPlane();
    const started = await fleet();
    await control.append("invalidations", "user", user);
    await expect.poll(() => started.replicas().invalidations.applied).toBe(1);
    await isLive(started);
    const { invalidations } = started;
    const before = invalidations.version;
    await control[Symbol.asyncDispose]();
    await controlPlane();
    await expect.poll(() => started.replicas().invalidations.applied).toBe(0);
    expect(invalidations.holds("bob", before)).toBe(false);
  });
});

describe("a proxy that starts again", () => {
  /** Leaves a state directory behind. */
  async function before(): Promise<TestControlPlane> {
    const control = await controlPlane();
    await control.append("catalogue", "config", config(1));
    await control.append("catalogue", "instance.users.users-1", instance("users", "users-1"));
    await control.append("health", "users.users-1", verdict("users", "users-1"));
    await control.append("revocations", "token", revokedToken("1", inAnHour));
    const first = await fleet({ disk: true });
    await isLive(first);
    await first[Symbol.asyncDispose]();
    return control;
  }

  test("while the control plane is away goes on with what it had", async () => {
    await (await before()).stop();
    const clock = new ManualClock(Date.now() + 5_000);
    const started = await fleet({ disk: true, clock });
    // A moment for the bus to bring what is newer.
    expect(started.ready().ok).toBe(false);
    expect(started.ready().reasons).toHaveLength(4);
    let told = 0;
    started.onReady(() => void (told += 1));
    clock.advance(2_000);
    expect(started.ready()).toEqual({ ok: true, reasons: [] });
    expect(told).toBe(1);
    expect(started.config()?.revision).toBe(1);
    expect(eligible(started, "users")).toEqual(["users-1"]);
    expect(isRevoked(started, "1")).toBe(true);
    expect(isRevoked(started, "2")).toBe(false);
    expect(started.replicas().revocations).toMatchObject({ applied: 1, stalenessMs: undefined });
    expect(started.replicas().catalogue.applied).toBe(2);
    // Honest about its age: five seconds by the date, and two since it started.
    const age = started.staleness.revocationsMs()!;
    expect(age).toBeGreaterThanOrEqual(6_000);
    expect(age).toBeLessThan(60_000);
    clock.setWall(Date.now() - 86_400_000);
    expect(started.staleness.revocationsMs()).toBe(Infinity);
  });

  test("is not ready with an old state while a newer one can be had", async () => {
    const control = await before();
    await control.append("revocations", "token", revokedToken("2", inAnHour));
    const started = await fleet({ disk: true });
    const known = await new Promise<boolean>((resolve) => {
      started.onReady(() => resolve(isRevoked(started, "2")));
    });
    expect(known).toBe(true);
    expect(isRevoked(started, "1")).toBe(true);
  });

  test("keeps its revocations when the journal is a new, empty one", async () => {
    const control = await before();
    await control[Symbol.asyncDispose]();
    await controlPlane();
    const started = await fleet({ disk: true });
    await isLive(started);
    expect(started.replicas().revocations.applied).toBe(0);
    expect(isRevoked(started, "1")).toBe(true);
    expect(started.config()?.revision).toBe(1);
    expect(started.instances().services()).toEqual([]);
  });

  test.each(["catalogue", "health", "revocations"] as const)(
    "with a damaged %s is not ready until the bus has brought another",
    async (journal) => {
      const control = await before();
      await control.stop();
      const path = lastGoodPath(directory, journal);
      const bytes = await readFile(path);
      bytes[bytes.length - 2]! ^= 0x20;
      await writeFile(path, bytes);
      const clock = new ManualClock(Date.now());
      const started = await fleet({ disk: true, clock });
      clock.advance(10_000);
      expect(started.ready()).toEqual({ ok: false, reasons: [`${journal}: no snapshot yet`] });
      await control.start();
      await expect
        .poll(() => {
          clock.advance(500);
          return started.ready().ok;
        })
        .toBe(true);
      expect(isRevoked(started, "1")).toBe(true);
      expect(started.config()?.revision).toBe(1);
    },
  );

  test("after it was killed has every order that it acknowledged, at whatever moment", async () => {
    const control = await controlPlane();
    const first = await fleet({ disk: true });
    await isLive(first);
    await expect.poll(() => readdir(directory)).toContain("revocations.last-good");
    const killed: string[] = [];
    await using _listening = await bus.subscribe(subjects.acks, () => {
      // What a killed process leaves behind is what it has written so far.
      const copy = `${directory}-killed-${killed.length}`;
      cpSync(directory, copy, { recursive: true });
      stack.defer(() => rm(copy, { recursive: true, force: true }));
      killed.push(copy);
    });
    for (let order = 1; order <= 20; order += 1) {
      const operation = `order-${order}`;
      await (order % 5 === 0
        ? control.append("catalogue", "config", config(order), operation)
        : control.append("revocations", "token", revokedToken(`${order}`, inAnHour), operation));
      await expect.poll(() => killed.length, { interval: 1 }).toBe(order);
    }
    await control.stop();
    for (const [index, copy] of killed.entries()) {
      const clock = new ManualClock(Date.now());
      const started = await fleet({ disk: copy, clock });
      clock.advance(2_000);
      expect(started.ready().ok, copy).toBe(true);
      const orders = index + 1;
      expect(started.config()?.revision ?? 0).toBe(orders - (orders % 5));
      for (let order = 1; order <= orders; order += 1)
        if (order % 5 !== 0) expect(isRevoked(started, `${order}`)).toBe(true);
      expect(isRevoked(started, `${orders + 1}`)).toBe(false);
      await started[Symbol.asyncDispose]();
    }
  });

  test("goes on while its disk is full, says so, and keeps everything again when it is not", async () => {
    const control = await controlPlane();
    await symlink("/dev/full", `${lastGoodPath(directory, "revocations")}.tmp`);
    const clock = new ManualClock(Date.now());
    const started = await fleet({ disk: true, clock });
    await isReady(started);
    await control.append("revocations", "token", revokedToken("1", inAnHour), "order-1");
    await expect
      .poll(() => {
        clock.advance(20);
        return started.notKept();
      })
      .toMatchObject({ revocations: expect.stringContaining("ENOSPC"), catalogue: undefined });
    expect(isRevoked(started, "1")).toBe(true);
    await expect.poll(() => control.acks).toHaveLength(1);
    await control.append("revocations", "token", revokedToken("2", inAnHour), "order-2");
    await expect.poll(() => control.acks).toHaveLength(2);
    // What was in the way is gone, because a failed writer takes away what it has left.
    await expect
      .poll(() => {
        clock.advance(1_000);
        return started.notKept().revocations;
      })
      .toBeUndefined();
    await control.stop();
    const copy = await mkdtemp(join(tmpdir(), "tocsin-killed-"));
    stack.defer(() => rm(copy, { recursive: true, force: true }));
    cpSync(directory, copy, { recursive: true });
    const again = await fleet({ disk: copy });
    expect(isRevoked(again, "1") && isRevoked(again, "2")).toBe(true);
  });
});
