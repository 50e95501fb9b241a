import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { silentLog } from "@tocsin/shared";
import type { Log } from "@tocsin/shared";
import { ManualClock } from "../identity/testing/manual-clock.ts";
import { LastGood, lastGoodPath, readLastGood } from "./last-good.ts";
import type { Snapshot } from "./last-good.ts";

let directory: string;
let lines: string[];
let log: Log;
let clock: ManualClock;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "tocsin-last-good-"));
  lines = [];
  const keep = (_: object, message: string) => void lines.push(message);
  log = { ...silentLog, warn: keep, error: keep };
  clock = new ManualClock();
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const good: Snapshot = {
  epoch: "e.1",
  applied: 42,
  currentAt: 1_799_999_999_000,
  payload: Buffer.from("line one\nline two\n\u0000é"),
};
const path = () => lastGoodPath(directory, "catalogue");
const read = () => readLastGood(directory, "catalogue", log);

function keep(snapshot: () => Snapshot | undefined, at = directory): LastGood {
  return new LastGood({
    directory: at,
    journal: "catalogue",
    clock,
    log,
    delayMs: () => 200,
    snapshot,
  });
}

async function save(snapshot: Snapshot = good): Promise<void> {
  await keep(() => snapshot)[Symbol.asyncDispose]();
}

test("what was written comes back, byte by byte", async () => {
  await save();
  const back = await read();
  expect(back).toMatchObject({ epoch: "e.1", applied: 42, currentAt: 1_799_999_999_000 });
  expect(Buffer.from(back!.payload).equals(good.payload)).toBe(true);
  expect(lines).toEqual([]);
});

test("an empty payload is a payload", async () => {
  await save({ epoch: "e.1", applied: 0, payload: new Uint8Array() });
  expect(await read()).toEqual({
    epoch: "e.1",
    applied: 0,
    currentAt: undefined,
    payload: Buffer.alloc(0),
  });
});

test("no file is no reason to complain", async () => {
  expect(await read()).toBeUndefined();
  expect(lines).toEqual([]);
});

test("only this user may read it, even when an older file was open to all", async () => {
  await writeFile(`${path()}.tmp`, "left behind", { mode: 0o644 });
  await save();
  expect((await stat(path())).mode & 0o777).toBe(0o600);
  expect(await readdir(directory)).toEqual(["catalogue.last-good"]);
});

test("the state directory is made when it is not there, for this user alone", async () => {
  const deep = join(directory, "state", "proxy");
  await keep(() => good, deep)[Symbol.asyncDispose]();
  expect((await stat(deep)).mode & 0o777).toBe(0o700);
});

describe("a file is refused", () => {
  test("when any byte of it is another one", async () => {
    await save();
    const bytes = await readFile(path());
    for (let index = 0; index < bytes.length; index += 1) {
      const damaged = Buffer.from(bytes);
      damaged[index]! ^= 1;
      await writeFile(path(), damaged);
      expect(await read(), `byte ${index}`).toBeUndefined();
    }
    expect(lines).toEqual(bytes.toJSON().data.map(() => "last good state refused"));
  });

  test("when it is cut short anywhere, or goes on", async () => {
    await save();
    const bytes = await readFile(path());
    for (let length = 0; length < bytes.length; length += 1) {
      await writeFile(path(), bytes.subarray(0, length));
      expect(await read(), `${length} bytes`).toBeUndefined();
    }
    await writeFile(path(), Buffer.concat([bytes, Buffer.from("x")]));
    expect(await read()).toBeUndefined();
  });

  test("when it is that of another journal", async () => {
    await save();
    await writeFile(lastGoodPath(directory, "health"), await readFile(path()));
    expect(await readLastGood(directory, "health", log)).toBeUndefined();
    expect(lines).toEqual(["last good state refused"]);
  });
});

describe("writing", () => {
  test("happens once for many changes, some time after the first", async () => {
    let snapshots = 0;
    await using file = keep(() => {
      snapshots += 1;
      return { ...good, applied: snapshots };
    });
    for (let change = 0; change < 10; change += 1) {
      file.changed();
      clock.advance(19);
    }
    expect(snapshots).toBe(0);
    clock.advance(10);
    expect(snapshots).toBe(1);
    await expect.poll(async () => (await read())?.applied).toBe(1);
    clock.advance(10_000);
    expect(snapshots).toBe(1);
    file.changed();
    clock.advance(200);
    await expect.poll(async () => (await read())?.applied).toBe(2);
  });

  test("waits until there is something good", async () => {
    await using file = keep(() => undefined);
    file.changed();
    clock.advance(200);
    await file[Symbol.asyncDispose]();
    expect(await readdir(directory)).toEqual([]);
  });

  test("holds what changed last when it ends, and ending twice is one end", async () => {
    let applied = 1;
    const file = keep(() => ({ ...good, applied }));
    file.changed();
    applied = 2;
    await file[Symbol.asyncDispose]();
    applied = 3;
    await file[Symbol.asyncDispose]();
    file.changed();
    clock.advance(1_000);
    expect((await read())?.applied).toBe(2);
  });

  test("that fails is logged and tried again", async () => {
    const blocked = join(directory, "blocked");
    await writeFile(blocked, "a file where the directory should be");
    await using file = keep(() => good, blocked);
    file.changed();
    clock.advance(200);
    await expect.poll(() => lines).toEqual(["last good state not written"]);
    await rm(blocked);
    clock.advance(200);
    await expect.poll(() => readLastGood(blocked, "catalogue", log)).toMatchObject({ applied: 42 });
  });
});
