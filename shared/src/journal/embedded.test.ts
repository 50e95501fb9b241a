/** What is true of journals on SQLite beyond the contract: the file, the lock, the age, the end. */
import {
  mkdtemp,
  open as openFile,
  readdir,
  rm,
  stat,
  truncate,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { eventually, startProcess } from "@tocsin/test/harness";
import { expect, test } from "vitest";
import { createEmbeddedBus } from "../bus/embedded.ts";
import { systemClock, type Clock } from "../time.ts";
import { openEmbeddedStore } from "./embedded.ts";
import { auditLog, journalNames, journals, type Recorded } from "./journal.ts";

async function temporary() {
  const path = await mkdtemp(join(tmpdir(), "tocsin-embedded-"));
  return {
    path,
    file: join(path, "journal.sqlite"),
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }),
  };
}
const open = (directory: string, clock: Clock = systemClock) =>
  openEmbeddedStore(directory, { bus: createEmbeddedBus(), clock });

async function bodies(entries: AsyncIterable<Recorded>): Promise<string[]> {
  const found: string[] = [];
  for await (const { body } of entries) found.push(body);
  return found;
}

test("a state directory serves one process at a time, and is free when that is gone", async () => {
  await using directory = await temporary();
  {
    await using _ = await open(directory.path);
    await expect(open(directory.path)).rejects.toMatchObject({
      name: "StateDirectoryError",
      message: `${directory.file} is in use by another process; one state directory serves one process`,
    });
  }
  const script = `
    import { openEmbeddedStore } from ${JSON.stringify(import.meta.resolve("./embedded.ts"))};
    import { createEmbeddedBus } from ${JSON.stringify(import.meta.resolve("../bus/embedded.ts"))};
    import { systemClock } from ${JSON.stringify(import.meta.resolve("../time.ts"))};
    const { journals } = await openEmbeddedStore(${JSON.stringify(directory.path)}, { bus: createEmbeddedBus(), clock: systemClock });
    await journals.revocations.append({ key: "token", body: "answered" });
    console.log("recorded");
    setInterval(() => {}, 1_000);
  `;
  const other = await startProcess({
    command: process.execPath,
    args: ["--input-type=module", "--eval", script],
    ready: (output) => output.includes("recorded"),
  });
  await expect(open(directory.path)).rejects.toMatchObject({ name: "StateDirectoryError" });
  await other.kill("SIGKILL");
  await using store = await open(directory.path);
  expect(await bodies(store.journals.revocations.read(1, 10))).toEqual(["answered"]);
});

test("the file is for this user only, companions too", async () => {
  await using directory = await temporary();
  await using store = await open(join(directory.path, "inner"));
  await store.journals.catalogue.append({ key: "config", body: "secret" });
  const inner = join(directory.path, "inner");
  expect((await stat(inner)).mode & 0o777).toBe(0o700);
  for (const name of await readdir(inner))
    expect([name, (await stat(join(inner, name))).mode & 0o777]).toEqual([name, 0o600]);
});

test("a file that is no database is refused by name, and left as it was", async () => {
  await using directory = await temporary();
  await writeFile(directory.file, "these are my notes, not a database\n".repeat(100));
  await expect(open(directory.path)).rejects.toThrow(
    new RegExp(`${directory.file} is damaged or not a journal .*move it away`),
  );
  expect((await stat(directory.file)).size).toBe(3_500);
});

test("somebody else's database is refused", async () => {
  await using directory = await temporary();
  const foreign = new DatabaseSync(directory.file);
  foreign.exec("CREATE TABLE recipes (name TEXT)");
  foreign.close();
  await expect(open(directory.path)).rejects.toThrow("not one of Tocsin's");
});

test("a damaged page is found when the file is opened", async () => {
  await using directory = await temporary();
  {
    await using store = await open(directory.path);
    for (let index = 0; index < 200; index++)
      await store.journals.revocations.append({ key: "token", body: "x".repeat(500) });
  }
  const { size } = await stat(directory.file);
  await truncate(directory.file, size - 8_192);
  await expect(open(directory.path)).rejects.toThrow(/is damaged or not a journal/);
});

test("a page that is overwritten is found when the file is opened, not in the middle of a resync", async () => {
  await using directory = await temporary();
  {
    await using store = await open(directory.path);
    for (let index = 0; index < 200; index++)
      await store.journals.revocations.append({ key: "token", body: "x".repeat(500) });
  }
  await using file = await openFile(directory.file, "r+");
  await file.write(Buffer.alloc(4_096, 0xa5), 0, 4_096, 12 * 4_096);
  await expect(open(directory.path)).rejects.toThrow(/is damaged or not a journal/);
});

test("a file of a later format is refused and says so", async () => {
  await using directory = await temporary();
  await (await open(directory.path))[Symbol.asyncDispose]();
  const later = new DatabaseSync(directory.file);
  later.exec("PRAGMA user_version = 2");
  later.close();
  await expect(open(directory.path)).rejects.toThrow(
    "was written by another version of Tocsin (format 2; this one reads 1)",
  );
});

test("a directory that cannot be made is an error that names the file", async () => {
  await using directory = await temporary();
  await writeFile(join(directory.path, "taken"), "");
  await expect(open(join(directory.path, "taken"))).rejects.toMatchObject({
    name: "StateDirectoryError",
    message: expect.stringContaining(join(directory.path, "taken")),
  });
});

test("a deleted directory is a new epoch", async () => {
  const epochs = new Set<string>();
  for (let count = 0; count < 2; count++) {
    await using directory = await temporary();
    await using store = await open(directory.path);
    for (const journal of Object.values(store.journals)) epochs.add((await journal.head()).epoch);
  }
  expect(epochs.size).toBe(2 * journalNames.length);
});

test("an entry of a log is forgotten at its age and not before; numbers go on; keyed entries stay", async () => {
  await using directory = await temporary();
  let now = 1_000_000_000_000;
  const ticks: (() => void)[] = [];
  const clock: Clock = {
    ...systemClock,
    wall: () => now,
    every(_interval, run) {
      ticks.push(run);
      return () => {};
    },
  };
  await using store = await open(directory.path, clock);
  const { revocations, catalogue } = store.journals;
  await catalogue.append({ key: "a", body: "kept" });
  await revocations.append({ key: "token", body: "1" }, { operation: "one" });
  now += 1_000;
  await revocations.append({ key: "token", body: "2" });
  now += journals.revocations.maxAgeMs - 1_000;
  for (const tick of ticks) tick();
  expect(await bodies(revocations.read(1, 10))).toEqual(["1", "2"]);
  now += 1;
  for (const tick of ticks) tick();
  expect(await bodies(revocations.read(1, 10))).toEqual(["2"]);
  now += 1_000;
  for (const tick of ticks) tick();
  expect(await bodies(revocations.read(1, 10))).toEqual([]);
  expect((await revocations.head()).head).toBe(2);
  expect(await revocations.append({ key: "token", body: "3" })).toMatchObject({ sequence: 3 });
  expect(await bodies(catalogue.read(1, 10))).toEqual(["kept"]);
});

test("the audit is kept and read back, is told to nobody, and holds no more than it may", async () => {
  await using directory = await temporary();
  const ticks: (() => void)[] = [];
  const clock: Clock = {
    ...systemClock,
    every(_interval, run) {
      ticks.push(run);
      return () => {};
    },
  };
  const bus = createEmbeddedBus();
  const heard: string[] = [];
  await using listening = await bus.subscribe(
    "tocsin.v1.feed.>",
    ({ subject }) => void heard.push(subject),
  );
  void listening;
  const small = { ...auditLog, maxEntries: 3 };
  {
    await using store = await openEmbeddedStore(directory.path, { bus, clock, audit: small });
    for (const body of ["1", "2", "3", "4", "5"]) await store.audit.append({ key: "record", body });
    await store.audit.append({ key: "record", body: "6" }, { operation: "six" });
    await store.audit.append({ key: "record", body: "6 again" }, { operation: "six" });
    for (const tick of ticks) tick();
    expect(await bodies(store.audit.read(1, 10))).toEqual(["4", "5", "6"]);
    await store.journals.catalogue.append({ key: "a", body: "behind it" });
    await eventually("heard", () => heard.length > 0);
  }
  expect(heard).toEqual(["tocsin.v1.feed.catalogue.a"]);
  await using again = await open(directory.path, clock);
  expect(await bodies(again.audit.read(1, 10))).toEqual(["4", "5", "6"]);
  expect((await again.audit.head()).head).toBe(6);
});

test("what was accepted before the end is durable, what comes after is refused", async () => {
  await using directory = await temporary();
  const store = await open(directory.path);
  const { revocations } = store.journals;
  const accepted = revocations.append({ key: "token", body: "last" });
  await store[Symbol.asyncDispose]();
  await store[Symbol.asyncDispose]();
  expect(await accepted).toMatchObject({ sequence: 1 });
  const over = { name: "JournalUnavailable" };
  await expect(revocations.append({ key: "token", body: "x" })).rejects.toMatchObject(over);
  await expect(revocations.head()).rejects.toMatchObject(over);
  await expect(bodies(revocations.read(1, 1))).rejects.toMatchObject(over);
  await using again = await open(directory.path);
  expect(await bodies(again.journals.revocations.read(1, 10))).toEqual(["last"]);
});

test("nothing is heard of an entry before it is durable", async () => {
  await using directory = await temporary();
  await using bus = createEmbeddedBus();
  await using store = await openEmbeddedStore(directory.path, { bus, clock: systemClock });
  const journal = store.journals.revocations;
  const reading: Promise<string[]>[] = [];
  await using _ = await journal.follow(() => reading.push(bodies(journal.read(1, 9))));
  await journal.append({ key: "token", body: "1" });
  await eventually("heard", () => reading.length === 1);
  expect(await Promise.all(reading)).toEqual([["1"]]);
});

test("in memory nothing is written anywhere", async () => {
  await using store = await open(":memory:");
  expect(await store.journals.revocations.append({ key: "a", body: "" })).toMatchObject({
    sequence: 1,
  });
});

test("entries that are long are read all the same, in order and no more than were asked for", async () => {
  await using directory = await temporary();
  await using store = await open(directory.path);
  const { revocations } = store.journals;
  const written = Array.from({ length: 40 }, (_, index) => `${index} ${"x".repeat(100_000)}`);
  for (const body of written) await revocations.append({ key: "token", body });
  expect(await bodies(revocations.read(1, 1_000))).toEqual(written);
  expect(await bodies(revocations.read(3, 25))).toEqual(written.slice(2, 27));
  expect(await bodies(revocations.read(1, 1))).toEqual(written.slice(0, 1));
});
