import { mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { silentLog } from "@tocsin/shared";
import type { Log } from "@tocsin/shared";
import { lastGoodPath, readLastGood, writeLastGood } from "./last-good.ts";
import type { Snapshot } from "./last-good.ts";

let directory: string;
let lines: string[];
let log: Log;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "tocsin-last-good-"));
  lines = [];
  const keep = (_: object, message: string) => void lines.push(message);
  log = { ...silentLog, warn: keep, error: keep };
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

async function save({ payload, ...standing }: Snapshot = good): Promise<void> {
  const parts = [payload.subarray(0, 3), payload.subarray(3)];
  await writeLastGood(directory, { ...standing, journal: "catalogue", parts, savedAt: 0 });
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

test("what cannot be written leaves what was before, and nothing in the way", async () => {
  await save();
  await symlink("/dev/full", `${path()}.tmp`);
  await expect(save({ ...good, applied: 43 })).rejects.toMatchObject({ code: "ENOSPC" });
  expect((await read())?.applied).toBe(42);
  expect(await readdir(directory)).toEqual(["catalogue.last-good"]);
  await save({ ...good, applied: 43 });
  expect((await read())?.applied).toBe(43);
});

test("a large table is written in parts, taken while there is time", async () => {
  let turns = 0;
  const counting = setInterval(() => (turns += 1), 0);
  function* parts() {
    for (let part = 0; part < 200; part += 1) yield Buffer.alloc(100_000, part);
  }
  const { payload: _, ...standing } = good;
  const bytes = await writeLastGood(directory, {
    ...standing,
    journal: "catalogue",
    parts: parts(),
    savedAt: 0,
  });
  clearInterval(counting);
  expect(bytes).toBe((await stat(path())).size);
  expect(Buffer.from((await read())!.payload).equals(Buffer.concat([...parts()]))).toBe(true);
  expect(turns).toBeGreaterThan(3);
});
