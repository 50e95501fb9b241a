/** What is true of journals on NATS beyond the contract: servers that die, forget, are set up wrongly or keep their answer to themselves. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { eventually, startNats, startRelay, type NatsServer } from "@tocsin/test/harness";
import { describe, expect, test } from "vitest";
import { connectNats, type NatsBus } from "../bus/nats.ts";
import { silentLog } from "../log.ts";
import { systemClock } from "../time.ts";
import { auditLog, journals, type Recorded } from "./journal.ts";
import { openNatsJournal, openNatsJournals, type NatsJournalOptions } from "./nats.ts";
import { epochOf, streamConfig } from "./nats-stream.ts";

const connect = (server: { port: number }): Promise<NatsBus> =>
  connectNats({
    servers: [`nats://127.0.0.1:${server.port}`],
    node: "cp-1",
    role: "control-plane",
    clock: systemClock,
    log: silentLog,
  });
const using = (bus: NatsBus, more: Partial<NatsJournalOptions> = {}): NatsJournalOptions => ({
  bus,
  clock: systemClock,
  log: silentLog,
  ...more,
});
const { catalogue, health, revocations } = journals;

/** What an operator with more rights does behind our back. */
async function api<T>(server: NatsServer, call: string, body: object | string = ""): Promise<T> {
  const bus = await connect(server);
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const answer = await bus.request(`$JS.API.${call}`, text, { timeoutMs: 3_000 });
  await bus[Symbol.asyncDispose]();
  return JSON.parse(answer.text()) as T;
}

async function bodies(entries: AsyncIterable<Recorded>): Promise<string[]> {
  const found: string[] = [];
  for await (const { body } of entries) found.push(body);
  return found;
}

test("an append while the server is killed succeeds once it is back, once", async () => {
  await using nats = await startNats();
  await using bus = await connect(nats);
  await using journal = await openNatsJournal(revocations, using(bus));
  await journal.append({ key: "token", body: "before" });
  const epoch = (await journal.head()).epoch;

  const racing = Array.from({ length: 50 }, (_, index) =>
    journal.append({ key: "token", body: `racing ${index}` }, { operation: `racing-${index}` }),
  );
  await nats.kill("SIGKILL");
  const late = journal.append({ key: "token", body: "late" });
  await eventually("disconnected", () => bus.state === "disconnected");
  await nats.restart();

  const appended = await Promise.all([...racing, late]);
  expect(new Set(appended.map(({ sequence }) => sequence)).size).toBe(51);
  expect(new Set(appended.map((each) => each.epoch))).toEqual(new Set([epoch]));
  const found = await bodies(journal.read(1, 100));
  expect(found).toHaveLength(52);
  expect(new Set(found).size).toBe(52);
}, 40_000);

test("a server that does not come back makes an append fail at the deadline", async () => {
  await using nats = await startNats();
  await using bus = await connect(nats);
  await using journal = await openNatsJournal(revocations, using(bus, { deadlineMs: 400 }));
  await nats.kill();
  await expect(journal.append({ key: "token", body: "x" })).rejects.toMatchObject({
    name: "JournalUnavailable",
  });
  await expect(journal.head()).rejects.toMatchObject({ name: "JournalUnavailable" });
  await expect(bodies(journal.read(1, 10))).rejects.toMatchObject({ name: "JournalUnavailable" });
});

test("a server that is mute makes append, head and read fail, never hang", async () => {
  await using nats = await startNats();
  await using relay = await startRelay(nats.port);
  await using bus = await connect(relay);
  await using journal = await openNatsJournal(revocations, using(bus, { deadlineMs: 500 }));
  relay.hold();
  const failed = { name: "JournalUnavailable" };
  await Promise.all([
    expect(journal.append({ key: "token", body: "x" })).rejects.toMatchObject(failed),
    expect(journal.head()).rejects.toMatchObject(failed),
    expect(bodies(journal.read(1, 10))).rejects.toMatchObject(failed),
  ]);
  relay.cut();
});

test("a confirmation that is lost is asked for again, and the entry is there once", async () => {
  await using nats = await startNats();
  await using relay = await startRelay(nats.port, { nats: true });
  await using bus = await connect(relay);
  await using journal = await openNatsJournal(catalogue, using(bus));
  for (const options of [{}, { expected: 0 }, { operation: "op-1" }]) {
    const key = `key.${Object.keys(options)[0] ?? "plain"}`;
    const lost = relay.dropNext(({ text }) => text.includes(`"seq":`));
    const { head } = await journal.head();
    const appended = await journal.append({ key, body: key }, options);
    expect((await lost).subject).toMatch(/^_INBOX_cp\./);
    expect(appended).toMatchObject({ sequence: head + 1, duplicate: true });
    expect((await journal.head()).head).toBe(head + 1);
  }
});

test("our own entry under the key is no conflict, also when the server has forgotten its id", async () => {
  await using nats = await startNats();
  const config = { ...streamConfig(catalogue, 1), duplicate_window: 100_000_000 };
  await api(nats, "STREAM.CREATE.TOCSIN_CATALOGUE", config);
  await using bus = await connect(nats);
  await using journal = await openNatsJournal(catalogue, using(bus));
  const put = (operation: string) =>
    journal.append({ key: "a", body: operation }, { operation, expected: 0 });
  const first = await put("mine");
  await eventually("the id is forgotten", async () => {
    const witness = await journal.append({ key: "w", body: "" }, { operation: "witness" });
    return !witness.duplicate && witness.sequence > first.sequence + 1;
  });
  expect(await put("mine")).toEqual({ ...first, duplicate: true });
  await expect(put("another")).rejects.toMatchObject({ name: "JournalConflict" });
});

test("a stream that is deleted while we run is created again, with a new epoch", async () => {
  await using nats = await startNats();
  await using bus = await connect(nats);
  await using journal = await openNatsJournal(health, using(bus));
  const heard: Recorded[] = [];
  await using _ = await journal.follow((entry) => heard.push(entry));
  for (const body of ["1", "2", "3"]) await journal.append({ key: "a", body });
  const before = await journal.head();

  await api(nats, "STREAM.DELETE.TOCSIN_HEALTH");
  const after = await journal.head();
  expect(after).toMatchObject({ head: 0 });
  expect(after.epoch).not.toBe(before.epoch);

  await api(nats, "STREAM.DELETE.TOCSIN_HEALTH");
  const appended = await journal.append({ key: "a", body: "4" });
  expect(appended).toEqual({ sequence: 1, ...pickEpoch(await journal.head()), duplicate: false });
  await eventually("the feed of the new one", () => heard.at(-1)?.body === "4");
  expect(heard.at(-1)).toMatchObject({ sequence: 1, epoch: appended.epoch });
});

test("a stream that somebody else recreated is noticed by the number of the next entry", async () => {
  await using nats = await startNats();
  await using bus = await connect(nats);
  await using journal = await openNatsJournal(health, using(bus));
  for (const body of ["1", "2", "3"]) await journal.append({ key: "a", body });
  await api(nats, "STREAM.DELETE.TOCSIN_HEALTH");
  await api(nats, "STREAM.CREATE.TOCSIN_HEALTH", streamConfig(health, 1));
  const appended = await journal.append({ key: "a", body: "4" });
  expect(appended).toEqual({ sequence: 1, ...pickEpoch(await journal.head()), duplicate: false });
});

test("a wiped server is a new epoch, a killed one is not", async () => {
  await using nats = await startNats();
  await using bus = await connect(nats);
  await using journal = await openNatsJournal(revocations, using(bus));
  await journal.append({ key: "token", body: "1" });
  const before = await journal.head();
  await nats.restart();
  await eventually("connected", () => bus.state === "connected");
  expect(await journal.head()).toEqual(before);
  await nats.restart({ wipe: true });
  await eventually("connected", () => bus.state === "connected");
  const after = await journal.head();
  expect(after.head).toBe(0);
  expect(after.epoch).not.toBe(before.epoch);
  expect(await journal.append({ key: "token", body: "2" })).toMatchObject({
    sequence: 1,
    epoch: after.epoch,
  });
});

test("a store that was wiped and filled again while we were away does not get our old epoch", async () => {
  await using nats = await startNats();
  await using bus = await connect(nats);
  await using journal = await openNatsJournal(revocations, using(bus));
  await journal.append({ key: "token", body: "1" });
  await nats.restart({ wipe: true });
  await using other = await connect(nats);
  await using faster = await openNatsJournal(revocations, using(other));
  for (let count = 0; count < 5; count++) await faster.append({ key: "token", body: "" });
  const heard: Recorded[] = [];
  await using _ = await faster.follow((entry) => heard.push(entry));
  const appended = await journal.append({ key: "token", body: "2" });
  expect(appended).toEqual({ sequence: 6, ...pickEpoch(await faster.head()), duplicate: false });
  await eventually("the feed", () => heard.length === 1);
  expect(heard[0]!.epoch).toBe(appended.epoch);
});

test("an entry that is forgotten while it is asked for does not keep a reader waiting", async () => {
  await using nats = await startNats();
  await using relay = await startRelay(nats.port);
  await using bus = await connect(relay);
  await using journal = await openNatsJournal({ ...revocations, maxAgeMs: 1_500 }, using(bus));
  await journal.append({ key: "token", body: "1" });
  // The consumer is made while the entry is there, the entry asked for when it is not: some servers forget up to a second late.
  relay.delay(1_000, "toServer");
  expect(await bodies(journal.read(1, 10))).toEqual([]);
});

test("what was revoked cannot be purged or deleted, by whatever rights", async () => {
  await using nats = await startNats();
  await using bus = await connect(nats);
  await using journal = await openNatsJournal(revocations, using(bus));
  await journal.append({ key: "token", body: "1" });
  for (const [call, body] of [
    ["STREAM.PURGE.TOCSIN_REVOCATIONS", ""],
    ["STREAM.MSG.DELETE.TOCSIN_REVOCATIONS", { seq: 1 }],
    [
      "STREAM.UPDATE.TOCSIN_REVOCATIONS",
      { ...streamConfig(revocations, 1), deny_purge: false, deny_delete: false },
    ],
  ] as const)
    expect(await api(nats, call, body)).toMatchObject({ error: { code: expect.any(Number) } });
  expect(await bodies(journal.read(1, 10))).toEqual(["1"]);
});

test("an entry of a log is forgotten at its age and not before", async () => {
  await using nats = await startNats();
  await using bus = await connect(nats);
  await using journal = await openNatsJournal({ ...revocations, maxAgeMs: 300 }, using(bus));
  await journal.append({ key: "token", body: "1" });
  expect(await bodies(journal.read(1, 10))).toEqual(["1"]);
  await eventually("forgotten", async () => (await bodies(journal.read(1, 10))).length === 0);
  expect((await journal.head()).head).toBe(1);
  expect(await journal.append({ key: "token", body: "2" })).toMatchObject({ sequence: 2 });
});

test("the audit is kept and read back, is told to nobody, and holds no more than it may", async () => {
  await using nats = await startNats();
  await using bus = await connect(nats);
  const heard: string[] = [];
  await using listening = await bus.subscribe(
    "tocsin.v1.feed.>",
    ({ subject }) => void heard.push(subject),
  );
  await using store = await openNatsJournals(using(bus));
  await store.audit.append({ key: "record", body: "1" }, { operation: "one" });
  await store.audit.append({ key: "record", body: "1 again" }, { operation: "one" });
  await store.journals.catalogue.append({ key: "a", body: "behind it" });
  await eventually("heard", () => heard.length > 0);
  expect(heard).toEqual(["tocsin.v1.feed.catalogue.a"]);
  expect(await bodies(store.audit.read(1, 10))).toEqual(["1"]);
  expect(await api(nats, "STREAM.PURGE.TOCSIN_AUDIT")).toMatchObject({ error: { code: 500 } });
  void listening;

  await using other = await startNats();
  await using there = await connect(other);
  await using small = await openNatsJournal({ ...auditLog, maxEntries: 3 }, using(there));
  for (const body of ["1", "2", "3", "4", "5"]) await small.append({ key: "record", body });
  expect(await bodies(small.read(1, 10))).toEqual(["3", "4", "5"]);
  await expect(openNatsJournal(auditLog, using(there))).rejects.toThrow(/max_msgs is 3, must be/);
  await using smaller = await openNatsJournal({ ...auditLog, maxEntries: 2 }, using(there));
  expect((await smaller.head()).head).toBe(5);
  // What an operator who wants to keep more does.
  const more = { ...streamConfig({ ...auditLog, maxEntries: 2_000_000 }, 1), max_age: 0 };
  expect(await api(other, "STREAM.UPDATE.TOCSIN_AUDIT", more)).not.toHaveProperty("error");
  await using raised = await openNatsJournal(auditLog, using(there));
  expect(await bodies(raised.read(1, 10))).toEqual(["3", "4", "5"]);
});

test("a keyed journal that is written all the time is read to its end, again and again", async () => {
  await using nats = await startNats();
  await using bus = await connect(nats);
  await using journal = await openNatsJournal(health, using(bus));
  const keys = Array.from({ length: 30 }, (_, index) => `k${index}`);
  await Promise.all(keys.map((key) => journal.append({ key, body: "" })));
  const stop = new AbortController();
  const writer = (async () => {
    for (let index = 0; !stop.signal.aborted; index++)
      await journal.append({ key: keys[index % keys.length]!, body: "" });
  })();
  for (let round = 0; round < 60; round++) {
    const { head } = await journal.head();
    const last: number[] = [];
    for await (const { sequence } of journal.read(1, 1_000)) last.push(sequence);
    expect(last).toEqual(last.toSorted((a, b) => a - b));
    expect(new Set(last).size).toBe(last.length);
    // Each key's last entry is among the newest; what was replaced while reading comes back with the feed.
    expect(last.every((sequence) => sequence > head - keys.length)).toBe(true);
  }
  stop.abort();
  await writer;
  const found = [];
  for await (const { key } of journal.read(1, 1_000)) found.push(key);
  expect(found.toSorted()).toEqual(keys.toSorted());
}, 60_000);

describe("a stream that is there with other settings", () => {
  const right = streamConfig(revocations, 1);
  test.each([
    ["no feed", { republish: undefined }, "republish"],
    ["another feed", { republish: { ...right.republish, dest: "elsewhere.>" } }, "republish"],
    [
      "a feed of headers alone",
      { republish: { ...right.republish, headers_only: true } },
      "republish",
    ],
    ["a part of the subjects", { subjects: ["tocsin.v1.log.revocations.token"] }, "subjects"],
    ["memory instead of disk", { storage: "memory" }, "storage"],
    ["purging allowed", { deny_purge: false }, "deny_purge"],
    ["deleting allowed", { deny_delete: false }, "deny_delete"],
    ["a shorter life", { max_age: right.max_age / 2 }, "max_age"],
    ["room for a thousand", { max_msgs: 1_000 }, "max_msgs"],
    ["one entry per key", { max_msgs_per_subject: 1 }, "max_msgs_per_subject"],
    ["a limit in bytes", { max_bytes: 1_000_000 }, "max_bytes"],
  ])("%s: is refused, and the message says what", async (_name, change, setting) => {
    await using nats = await startNats();
    const config = { ...right, ...change };
    const created = await api<{ error?: object }>(nats, `STREAM.CREATE.${right.name}`, config);
    expect(created.error).toBeUndefined();
    await using bus = await connect(nats);
    const opening = openNatsJournal(revocations, using(bus));
    await expect(opening).rejects.toMatchObject({
      name: "JournalMisconfigured",
      message: expect.stringMatching(new RegExp(`TOCSIN_REVOCATIONS .* ${setting} is`)),
    });
  });

  test("more copies, a longer life or another window for ids are fine", async () => {
    await using nats = await startNats();
    const config = { ...right, max_age: 0, duplicate_window: 60_000_000_000 };
    await api(nats, `STREAM.CREATE.${right.name}`, config);
    await using bus = await connect(nats);
    await using journal = await openNatsJournal(revocations, using(bus));
    expect((await journal.head()).head).toBe(0);
  });
});

test("a server without JetStream is named as that", async () => {
  await using nats = await startNats({ jetstream: false });
  await using bus = await connect(nats);
  await expect(openNatsJournal(catalogue, using(bus, { deadlineMs: 300 }))).rejects.toMatchObject({
    name: "JournalUnavailable",
    message: expect.stringContaining("JetStream does not answer. Is it enabled"),
  });
});

test("an account without JetStream is named as that, at once", async () => {
  await using directory = await startNats();
  const config = join(directory.storeDirectory, "server.conf");
  await writeFile(config, `jetstream {}, accounts { A { users: [{ user: u, password: p }] } }`);
  await using nats = await startNats({ config });
  await using bus = await connectNats({
    servers: [nats.urlFor("u", "p")],
    node: "cp-1",
    role: "control-plane",
    clock: systemClock,
    log: silentLog,
  });
  await expect(openNatsJournal(catalogue, using(bus))).rejects.toMatchObject({
    name: "JournalMisconfigured",
    message: expect.stringContaining("JetStream is not enabled for this account"),
  });
});

test("two nodes that open an empty store at once share one stream", async () => {
  await using nats = await startNats();
  await using one = await connect(nats);
  await using two = await connect(nats);
  const opened = await Promise.all(
    [one, two, one, two].map((bus) => openNatsJournal(catalogue, using(bus))),
  );
  const heads = await Promise.all(opened.map((journal) => journal.head()));
  expect(new Set(heads.map(({ epoch }) => epoch)).size).toBe(1);
});

test("a journal that is closed takes nothing, and ends what waits", async () => {
  await using nats = await startNats();
  await using bus = await connect(nats);
  const journal = await openNatsJournal(catalogue, using(bus));
  nats.freeze();
  const waiting = expect(journal.append({ key: "a", body: "" })).rejects.toMatchObject({
    name: "JournalUnavailable",
  });
  await journal[Symbol.asyncDispose]();
  await waiting;
  nats.thaw();
  await expect(journal.append({ key: "a", body: "" })).rejects.toMatchObject({
    name: "JournalUnavailable",
  });
  await journal[Symbol.asyncDispose]();
});

test("an entry that is too large for the bus is an error at once", async () => {
  await using nats = await startNats();
  await using bus = await connect(nats);
  await using journal = await openNatsJournal(catalogue, using(bus));
  const began = performance.now();
  await expect(journal.append({ key: "a", body: "x".repeat(2_000_000) })).rejects.toThrow(
    "max_payload",
  );
  expect(performance.now() - began).toBeLessThan(5_000);
});

test("the epoch is the moment of creation to the nanosecond", () => {
  const at = (created: string) => epochOf({ created }, undefined);
  expect(at("2026-11-23T06:21:45.175734677Z")).toBe(`${1795414905175734677n.toString(36)}.0`);
  expect(at("2026-11-23T06:21:45Z")).toBe(`${1795414905000000000n.toString(36)}.0`);
  expect(at("2026-11-23T06:21:45.1Z")).toBe(`${1795414905100000000n.toString(36)}.0`);
});

function pickEpoch({ epoch }: { epoch: string }) {
  return { epoch };
}
