import { cpSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { silentLog } from "@tocsin/shared";
import type { Log } from "@tocsin/shared";
import type { Recorded } from "@tocsin/shared/journal";
import { ManualClock } from "../identity/testing/manual-clock.ts";
import { KeptState } from "./kept-state.ts";
import { lastGoodPath, type Standing } from "./last-good.ts";
import { restore, type Restored } from "./restore.ts";
import { tailPath } from "./tail.ts";

let directory: string;
let lines: string[];
let log: Log;
let clock: ManualClock;
let stack: AsyncDisposableStack;

beforeEach(async () => {
  stack = new AsyncDisposableStack();
  directory = await mkdtemp(join(tmpdir(), "tocsin-kept-"));
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  lines = [];
  const write = (_: object, message: string) => void lines.push(message);
  log = { ...silentLog, warn: write, error: write };
  clock = new ManualClock();
});
afterEach(() => stack.disposeAsync());

const turn = () => new Promise((resolve) => setImmediate(resolve));

/** A table that is the list of what it was given, and a union. */
class Proxy implements AsyncDisposable {
  held: string[] = [];
  standing: Standing | undefined;
  readonly kept: KeptState;
  /** Called while a whole state is being written. */
  meanwhile = () => {};

  constructor(at: string, restored: Restored, held: string[]) {
    this.held = held;
    this.standing = restored.standing;
    this.kept = new KeptState({
      ...restored,
      directory: at,
      journal: "revocations",
      clock,
      log,
      restored: restored.standing,
      standing: () => this.standing,
      parts: () => this.#parts(Buffer.from(JSON.stringify(this.held))),
    });
  }

  *#parts(all: Uint8Array): Generator<Uint8Array> {
    this.meanwhile();
    yield all;
  }

  apply(body: string, sequence = (this.standing?.applied ?? 0) + 1): void {
    const before = this.standing!;
    this.held.push(body);
    this.kept.applied(sequence, { key: "token", body }, before);
    this.standing = { ...before, applied: sequence };
  }

  load(epoch: string, applied: number, ...bodies: string[]): void {
    this.standing = { epoch, applied };
    this.held.push(...bodies);
    this.kept.loaded();
  }

  /** Resolves when all until now is kept, or need not be; with what is reported then. */
  async settled(): Promise<Standing> {
    let over = false;
    this.kept.whenKept(() => (over = true));
    clock.advance(20);
    // The disk takes real time, and is not to be given up meanwhile.
    const passes = () => {
      clock.advance(1);
      return over;
    };
    await expect.poll(passes, { interval: 1 }).toBe(true);
    return this.kept.position()!;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kept[Symbol.asyncDispose]();
  }
}

async function read(at: string): Promise<{ found: Restored; held: string[] }> {
  let held: string[] = [];
  const found = await restore<Recorded>({
    directory: at,
    journal: "revocations",
    log,
    union: true,
    load({ payload }) {
      held = JSON.parse(Buffer.from(payload).toString()) as string[];
      return {
        decode: (entry) => entry,
        apply: ({ body }) => void held.push(body),
        load: () => {},
      };
    },
  });
  return { found, held };
}

async function start(at = directory): Promise<Proxy> {
  const { found, held } = await read(at);
  return stack.use(new Proxy(at, found, held));
}

/** What a process that is killed now leaves behind. */
async function restarted(): Promise<{ held: string[]; standing: Standing | undefined }> {
  const copy = `${directory}-killed`;
  cpSync(directory, copy, { recursive: true });
  const { found, held } = await read(copy);
  await rm(copy, { recursive: true });
  return { held, standing: found.standing };
}

const files = async () =>
  (await readdir(directory)).map((name) => name.replace("revocations.", "")).toSorted();
const tail = (number: number) => tailPath(directory, "revocations", number);

describe("what was kept", () => {
  test("is there after a restart: as a whole, and entry by entry", async () => {
    const proxy = await start();
    proxy.load("e.1", 5, "a", "b");
    expect(await proxy.settled()).toMatchObject({ epoch: "e.1", applied: 5 });
    for (const body of ["c", "line\nfeed \u0000 é", "e"]) proxy.apply(body);
    expect(await proxy.settled()).toMatchObject({ applied: 8 });
    expect(await restarted()).toMatchObject({
      held: ["a", "b", "c", "line\nfeed \u0000 é", "e"],
      standing: { epoch: "e.1", applied: 8 },
    });
    expect((await stat(tail(1))).mode & 0o777).toBe(0o600);
    expect(lines).toEqual([]);
  });

  test("passes over numbers that no entry has", async () => {
    const proxy = await start();
    proxy.load("e.1", 5);
    await proxy.settled();
    // 6 was refused, and meant to be kept by nobody.
    proxy.standing = { epoch: "e.1", applied: 6 };
    proxy.apply("seven");
    await proxy.settled();
    proxy.standing = { epoch: "e.1", applied: 9 };
    const again = await start();
    expect(again.standing).toMatchObject({ applied: 7 });
    again.standing = { epoch: "e.1", applied: 12 };
    again.apply("thirteen");
    await again.settled();
    expect(await restarted()).toMatchObject({
      held: ["seven", "thirteen"],
      standing: { applied: 13 },
    });
  });

  test("is one file again after some time, and what comes meanwhile is not lost", async () => {
    const proxy = await start();
    proxy.load("e.1", 0);
    await proxy.settled();
    // Entries of 100 kB: after some forty it has become whole again, after eighty once more.
    for (let entry = 0; entry < 100; entry += 1) {
      proxy.apply(`${entry} ${"x".repeat(100_000)}`);
      await proxy.settled();
    }
    const { held } = await restarted();
    expect(held.map((body) => Number.parseInt(body, 10))).toEqual([...Array(100).keys()]);
    expect(await files()).not.toContain("tail-1");
    expect((await stat(lastGoodPath(directory, "revocations"))).size).toBeGreaterThan(4_000_000);
  });

  test("is written as a whole at the end, once, and the directory is made for this user alone", async () => {
    const deep = join(directory, "state", "proxy");
    const proxy = await start(deep);
    proxy.load("e.1", 1, "a");
    await proxy[Symbol.asyncDispose]();
    await proxy[Symbol.asyncDispose]();
    proxy.apply("too late");
    proxy.load("e.2", 9, "too late");
    clock.advance(60_000);
    expect((await stat(deep)).mode & 0o777).toBe(0o700);
    expect(await readdir(deep)).toEqual(["revocations.last-good"]);
    const again = await start(deep);
    expect(again.held).toEqual(["a"]);
  });

  test("is as old as it is", async () => {
    const proxy = await start();
    proxy.load("e.1", 1, "a");
    await proxy.settled();
    proxy.kept.current(1_000);
    proxy.kept.current(3_000);
    proxy.apply("b");
    await proxy.settled();
    expect((await restarted()).standing).toMatchObject({ applied: 2, currentAt: 3_000 });
  });
});

describe("what is said of it", () => {
  test("waits until it is on disk: a table until it is there as a whole", async () => {
    const proxy = await start();
    const said: string[] = [];
    proxy.load("e.1", 5, "a");
    proxy.kept.whenKept(() => void said.push("table"));
    proxy.apply("b");
    proxy.kept.whenKept(() => void said.push("entry"));
    await turn();
    expect(said).toEqual([]);
    expect(proxy.kept.position()).toEqual({ epoch: "e.1", applied: 0 });
    await proxy.settled();
    expect(said).toEqual(["table", "entry"]);
    expect((await restarted()).standing).toMatchObject({ applied: 6 });
    // Where nothing is due, nobody waits.
    proxy.kept.whenKept(() => void said.push("at once"));
    expect(said).toHaveLength(3);
  });

  test("does not wait for another entry when one came while the whole was being written", async () => {
    const proxy = await start();
    let said = false;
    proxy.meanwhile = () => {
      proxy.apply("b");
      proxy.kept.whenKept(() => (said = true));
      proxy.meanwhile = () => {};
    };
    proxy.load("e.1", 5, "a");
    clock.advance(20);
    await expect.poll(() => said).toBe(true);
    expect(proxy.kept.trouble).toBeUndefined();
    expect(proxy.kept.position()).toMatchObject({ applied: 6 });
    expect(await restarted()).toMatchObject({ held: ["a", "b"], standing: { applied: 6 } });
  });

  test("never runs ahead of it, whenever the process is killed", async () => {
    const proxy = await start();
    proxy.load("e.1", 0);
    await proxy.settled();
    const places: (readonly [string, Standing])[] = [];
    let reports = 0;
    for (let round = 0; round < 60; round += 1) {
      if (round % 20 === 19) {
        proxy.load(`e.${round}`, 100 * round, `load ${round}`);
        places.push([`load ${round}`, proxy.standing!]);
      }
      for (let more = 0; more <= round % 3; more += 1) {
        proxy.apply(`${round}.${more}`);
        places.push([`${round}.${more}`, proxy.standing!]);
      }
      for (let turns = 0; turns < round % 4; turns += 1) await turn();
      clock.advance(round % 30);
      const { epoch, applied } = proxy.kept.position()!;
      reports += applied > 0 ? 1 : 0;
      const { standing, held } = await restarted();
      if (applied > 0) expect(standing?.epoch).toBe(epoch);
      if (standing?.epoch === epoch) expect(standing.applied).toBeGreaterThanOrEqual(applied);
      for (const [body, at] of places)
        if (at.epoch === epoch && at.applied <= applied) expect(held).toContain(body);
    }
    expect(reports).toBeGreaterThan(10);
  });
});

describe("a tail", () => {
  async function written(): Promise<void> {
    const proxy = await start();
    proxy.load("e.1", 0);
    await proxy.settled();
    for (const body of ["a", "b", "c"]) {
      proxy.apply(body);
      await proxy.settled();
    }
  }

  test("that was cut off anywhere gives all that is whole", async () => {
    await written();
    const [name = ""] = (await readdir(directory)).filter((each) => each.includes("tail"));
    const bytes = await readFile(join(directory, name));
    const ends = [...bytes.entries()].filter(([, byte]) => byte === 0x0a).map(([at]) => at + 1);
    for (let length = 0; length <= bytes.length; length += 1) {
      await writeFile(join(directory, name), bytes.subarray(0, length));
      // The first line says what the others build on.
      const whole = Math.max(0, ends.filter((end) => end <= length).length - 1);
      expect((await restarted()).held).toEqual(["a", "b", "c"].slice(0, whole));
    }
    expect(lines).toEqual([]);
  });

  test("with any byte damaged gives what comes before, and says so", async () => {
    await written();
    const [name = ""] = (await readdir(directory)).filter((each) => each.includes("tail"));
    const bytes = await readFile(join(directory, name));
    for (let at = 0; at < bytes.length - 1; at += 3) {
      const damaged = Buffer.from(bytes);
      damaged[at]! ^= 1;
      await writeFile(join(directory, name), damaged);
      lines = [];
      const { held, standing } = await restarted();
      expect(["a", "b", "c"].slice(0, held.length)).toEqual(held);
      expect(standing?.applied).toBe(held.length);
      expect(held.length).toBeLessThan(3);
      expect(lines).toEqual(["last good state: the tail is refused from here on"]);
    }
  });

  test("that is damaged is out of the way before anything else is acknowledged", async () => {
    await written();
    const bytes = await readFile(tail(1));
    // In the second entry.
    bytes[bytes.indexOf('"b"') + 1]! ^= 1;
    await writeFile(tail(1), bytes);
    const proxy = await start();
    expect(proxy.held).toEqual(["a"]);
    proxy.apply("after");
    await proxy.settled();
    expect(await restarted()).toMatchObject({ held: ["a", "after"], standing: { applied: 2 } });
  });

  test("without the state that it builds on is refused too", async () => {
    await written();
    const path = lastGoodPath(directory, "revocations");
    const bytes = await readFile(path);
    bytes[70]! ^= 1;
    await writeFile(path, bytes);
    expect(await restarted()).toEqual({ held: [], standing: undefined });
    expect(lines).toEqual(["last good state refused"]);
    // What is written from now on is not mixed up with it.
    const proxy = await start();
    proxy.load("e.1", 7, "x");
    await proxy.settled();
    proxy.apply("y");
    await proxy.settled();
    expect(await restarted()).toMatchObject({ held: ["x", "y"], standing: { applied: 8 } });
  });

  test("on a state that never came to the disk counts for a union, but not as a place to stand", async () => {
    const proxy = await start();
    proxy.load("e.1", 3, "a");
    await proxy.settled();
    // A snapshot of the same history, further on, that the process did not live to write down.
    proxy.load("e.1", 50, "not on disk");
    proxy.apply("on disk");
    while ((await readFile(tail(1)).catch(() => "")).length === 0) await turn();
    expect(await restarted()).toMatchObject({
      held: ["a", "on disk"],
      standing: { epoch: "e.1", applied: 3 },
    });
  });
});

describe("a disk that", () => {
  test("is full holds up nobody; when it is not full any more, everything is kept again", async () => {
    const proxy = await start();
    proxy.load("e.1", 0);
    await proxy.settled();
    for (const number of [1, 2, 3, 4]) await symlink("/dev/full", tail(number));
    const blocked = `${lastGoodPath(directory, "revocations")}.tmp`;
    await mkdir(blocked);
    await writeFile(join(blocked, "x"), "");
    proxy.apply("a");
    await proxy.settled();
    expect(proxy.kept.trouble).toMatch(/ENOSPC|EISDIR/);
    expect(proxy.kept.position()).toMatchObject({ applied: 1 });
    expect(lines).toContain("last good state not written");
    for (const body of ["b", "c"]) {
      proxy.apply(body);
      let said = false;
      proxy.kept.whenKept(() => (said = true));
      expect(said).toBe(true);
      clock.advance(1_500);
      for (let turns = 0; turns < 20; turns += 1) await turn();
    }
    await rm(blocked, { recursive: true });
    for (const number of [1, 2, 3, 4]) await rm(tail(number), { force: true });
    await expect
      .poll(() => {
        clock.advance(1_000);
        return proxy.kept.trouble;
      })
      .toBeUndefined();
    proxy.apply("d");
    await proxy.settled();
    expect(await restarted()).toMatchObject({
      held: ["a", "b", "c", "d"],
      standing: { applied: 4 },
    });
    // Said once, not once for each attempt.
    expect(lines.length).toBeLessThanOrEqual(3);
  });

  test("takes its time is waited for only so long", async () => {
    const proxy = await start();
    proxy.load("e.1", 0);
    let said = false;
    proxy.kept.whenKept(() => (said = true));
    clock.advance(9_999);
    expect(said).toBe(false);
    clock.advance(2);
    expect(said).toBe(true);
    expect(proxy.kept.trouble).toMatch(/longer than/);
    await proxy.settled();
    await expect.poll(() => proxy.kept.trouble).toBeUndefined();
  });
});
