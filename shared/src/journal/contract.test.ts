/**
 * What a journal is: the same sentences for every adapter.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually, startNats } from "@tocsin/test/harness";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Bus } from "../bus/bus.ts";
import { createEmbeddedBus } from "../bus/embedded.ts";
import { connectNats } from "../bus/nats.ts";
import { silentLog } from "../log.ts";
import { systemClock } from "../time.ts";
import { openEmbeddedStore } from "./embedded.ts";
import { JournalConflict, type Journal, type Journals, type Recorded } from "./journal.ts";
import { openNatsJournals } from "./nats.ts";

interface Node {
  readonly journals: Journals;
  readonly bus: Bus;
}

interface Store extends AsyncDisposable {
  /** A node of its own on the store; where a store has one process only, that one again. */
  node(): Promise<Node>;
  /** Ends the store and whatever uses it, and starts it again on the same disk. */
  restart(): Promise<Node>;
}

async function all(entries: AsyncIterable<Recorded>): Promise<Recorded[]> {
  const found: Recorded[] = [];
  for await (const entry of entries) found.push(entry);
  return found;
}

const sequences = (entries: readonly Recorded[]) => entries.map(({ sequence }) => sequence);

function describeJournal(name: string, start: () => Promise<Store>) {
  describe(`the ${name} journal`, () => {
    describe("that is shared by these tests", () => {
      let store: Store;
      let node: Node;
      let other: Node;
      beforeAll(async () => {
        store = await start();
        node = await store.node();
        other = await store.node();
      });
      afterAll(() => store[Symbol.asyncDispose]());

      test("an empty journal stands at 0 and reads as nothing", async () => {
        const { epoch, head } = await node.journals.catalogue.head();
        expect(head).toBe(0);
        expect(epoch).toMatch(/^[A-Za-z0-9.]{1,64}$/);
        expect(await all(node.journals.catalogue.read(1, 10))).toEqual([]);
      });

      test("entries are numbered one by one, whoever appends, and two nodes see one epoch", async () => {
        const [one, two] = [node.journals.catalogue, other.journals.catalogue];
        const { epoch, head } = await one.head();
        for (let index = 1; index <= 6; index++) {
          const appended = await (index % 2 === 0 ? one : two).append({
            key: `numbered.n${index}`,
            body: "{}",
          });
          expect(appended).toEqual({ sequence: head + index, epoch, duplicate: false });
        }
        expect(await two.head()).toEqual({ epoch, head: head + 6 });
      });

      test("the feed carries every number with key, body, epoch and operation, also of another writer", async () => {
        const journal = node.journals.health;
        const heard: Recorded[] = [];
        const following = await journal.follow((entry) => heard.push(entry));
        const { epoch, head } = await journal.head();
        await journal.append({ key: "users.a", body: `{"é":1}` }, { operation: "Order_1-x" });
        await other.journals.health.append({ key: "users.b", body: "2" });
        await journal.append({ key: "users.a", body: "3" });
        await eventually("three entries", () => heard.length === 3);
        expect(heard).toEqual([
          { key: "users.a", body: `{"é":1}`, sequence: head + 1, epoch, operation: "Order_1-x" },
          { key: "users.b", body: "2", sequence: head + 2, epoch },
          { key: "users.a", body: "3", sequence: head + 3, epoch },
        ]);
        await following[Symbol.asyncDispose]();
        await journal.append({ key: "users.c", body: "4" });
        await node.bus.flush();
        expect(heard).toHaveLength(3);
      });

      test("journals do not hear each other", async () => {
        const heard: Recorded[] = [];
        await using _ = await node.journals.catalogue.follow((entry) => heard.push(entry));
        await node.journals.revocations.append({ key: "token", body: "1" });
        await node.journals.catalogue.append({ key: "config", body: "2" });
        await eventually("one entry", () => heard.length === 1);
        expect(heard[0]).toMatchObject({ key: "config", body: "2" });
      });

      test("the same operation has one effect, and later attempts learn the first number", async () => {
        const journal = node.journals.revocations;
        const heard: Recorded[] = [];
        await using _ = await journal.follow((entry) => heard.push(entry));
        const { head } = await journal.head();
        const entry = { key: "token", body: "once" };
        const first = await journal.append(entry, { operation: "op-1" });
        await journal.append({ key: "token", body: "between" });
        const again = await other.journals.revocations.append(entry, { operation: "op-1" });
        expect(first).toMatchObject({ sequence: head + 1, duplicate: false });
        expect(again).toEqual({ ...first, duplicate: true });
        expect((await journal.head()).head).toBe(head + 2);
        await journal.append({ key: "token", body: "after" });
        await eventually("the last", () => heard.at(-1)?.body === "after");
        expect(heard.map(({ body }) => body)).toEqual(["once", "between", "after"]);
      });

      test("an operation id belongs to one journal", async () => {
        const operation = "shared-id";
        const one = await node.journals.catalogue.append({ key: "x", body: "1" }, { operation });
        const two = await node.journals.revocations.append({ key: "x", body: "1" }, { operation });
        expect([one.duplicate, two.duplicate]).toEqual([false, false]);
      });

      test("compare-and-set holds per key: nothing yet, the last number, and nobody else's", async () => {
        const journal = node.journals.catalogue;
        const put = (key: string, expected: number) =>
          journal.append({ key, body: String(expected) }, { expected });
        const first = await put("cas.a", 0);
        await put("cas.b", 0);
        await expect(put("cas.a", 0)).rejects.toBeInstanceOf(JournalConflict);
        const second = await put("cas.a", first.sequence);
        await expect(put("cas.a", first.sequence)).rejects.toBeInstanceOf(JournalConflict);
        await expect(put("cas.new", second.sequence)).rejects.toBeInstanceOf(JournalConflict);
        expect(second.sequence).toBe(first.sequence + 2);
      });

      test("a compare-and-set that is repeated with its operation succeeds, though the key has moved by itself", async () => {
        const journal = node.journals.catalogue;
        const order = { operation: "cas-op", expected: 0 };
        const first = await journal.append({ key: "cas.op", body: "1" }, order);
        expect(await journal.append({ key: "cas.op", body: "1" }, order)).toEqual({
          ...first,
          duplicate: true,
        });
      });

      test("of many who compare and set at once, one wins", async () => {
        const attempts = await Promise.allSettled(
          Array.from({ length: 20 }, (_, index) =>
            (index % 2 === 0 ? node : other).journals.catalogue.append(
              { key: "race", body: String(index) },
              { expected: 0 },
            ),
          ),
        );
        const lost = attempts.filter(({ status }) => status === "rejected");
        expect(lost).toHaveLength(19);
        for (const { reason } of lost as PromiseRejectedResult[])
          expect(reason).toBeInstanceOf(JournalConflict);
      });

      test.each([[""], ["a..b"], ["a.*"], [">"], ["A"], ["a b"], ["a\r\n"], ["é"]])(
        "%j is no key",
        async (key) => {
          await expect(node.journals.health.append({ key, body: "" })).rejects.toThrow(
            "not a name",
          );
        },
      );

      test.each([[""], ["a b"], ["a.b"], ["x".repeat(65)], ["a\r\nb"]])(
        "%j is no operation",
        async (operation) => {
          await expect(
            node.journals.health.append({ key: "a", body: "" }, { operation }),
          ).rejects.toThrow("not an operation id");
        },
      );

      test("an append whose signal has gone off records nothing and ends with the reason", async () => {
        const { head } = await node.journals.health.head();
        const signal = AbortSignal.abort(new Error("changed my mind"));
        await expect(
          node.journals.health.append({ key: "a", body: "" }, { signal }),
        ).rejects.toThrow("changed my mind");
        expect((await node.journals.health.head()).head).toBe(head);
      });

      test("the last entry of a key is found, in a log too; of a key that was never written nothing", async () => {
        for (const journal of [node.journals.catalogue, node.journals.revocations]) {
          await journal.append({ key: "last.a", body: "1" });
          const { sequence, epoch } = await journal.append(
            { key: "last.a", body: "ü2" },
            { operation: `last-${journal.definition.name}` },
          );
          await journal.append({ key: "last.b", body: "3" });
          expect(await journal.last("last.a")).toEqual({
            key: "last.a",
            body: "ü2",
            sequence,
            epoch,
            operation: `last-${journal.definition.name}`,
          });
          expect(await journal.last("last.never")).toBeUndefined();
        }
      });
    });

    describe("that each test has for itself", () => {
      const open = async () => {
        const store = await start();
        return { store, node: await store.node() };
      };

      test("a keyed journal keeps the last entry per key; its head counts all, and a reader sees no false end", async () => {
        const { store, node } = await open();
        await using _ = store;
        const journal = node.journals.catalogue;
        for (const key of ["a", "b", "a", "c", "a", "b"]) await journal.append({ key, body: key });
        expect((await journal.head()).head).toBe(6);
        const kept = await all(journal.read(1, 100));
        expect(kept.map(({ key, sequence }) => [key, sequence])).toEqual([
          ["c", 4],
          ["a", 5],
          ["b", 6],
        ]);
        expect(sequences(await all(journal.read(5, 100)))).toEqual([5, 6]);
        expect(sequences(await all(journal.read(1, 2)))).toEqual([4, 5]);
        expect(await all(journal.read(7, 100))).toEqual([]);
        expect(await all(journal.read(1, 0))).toEqual([]);
      });

      test("a log keeps every entry, and gives them back in order with all that was written", async () => {
        const { store, node } = await open();
        await using _ = store;
        const journal = node.journals.revocations;
        const { epoch } = await journal.head();
        const size = 1_234;
        await Promise.all(
          Array.from({ length: size }, (_, index) =>
            journal.append(
              { key: `k${index % 3}`, body: `é ${index}` },
              { operation: `o-${index}` },
            ),
          ),
        );
        const found = await all(journal.read(1, 10_000));
        expect(sequences(found)).toEqual(Array.from({ length: size }, (_, index) => index + 1));
        expect(new Set(found.map(({ body }) => body)).size).toBe(size);
        for (const entry of found) {
          const index = Number(entry.body.slice(2));
          expect(entry).toMatchObject({ key: `k${index % 3}`, operation: `o-${index}`, epoch });
        }
        expect(sequences(await all(journal.read(1_000, 3)))).toEqual([1_000, 1_001, 1_002]);
        expect(sequences(await all(journal.read(1, 501)))).toHaveLength(501);
        expect(sequences(await all(journal.read(1_230, 100)))).toEqual([
          1_230, 1_231, 1_232, 1_233, 1_234,
        ]);
      });

      test("reading ends at the head as it was when it began, though writing goes on", async () => {
        const { store, node } = await open();
        await using _ = store;
        const journal = node.journals.revocations;
        for (let index = 0; index < 5; index++) await journal.append({ key: "a", body: "" });
        const found: number[] = [];
        for await (const { sequence } of journal.read(1, 1_000)) {
          found.push(sequence);
          await journal.append({ key: "a", body: "" });
        }
        expect(found).toEqual([1, 2, 3, 4, 5]);
      });

      test("500 appends at once get 500 numbers without a gap, and the feed carries each in order", async () => {
        const { store, node } = await open();
        await using _ = store;
        const journal: Journal = node.journals.revocations;
        const heard: number[] = [];
        await using _following = await journal.follow(({ sequence }) => void heard.push(sequence));
        const appended = await Promise.all(
          Array.from({ length: 500 }, (_, index) => journal.append({ key: "a", body: `${index}` })),
        );
        const expected = Array.from({ length: 500 }, (_, index) => index + 1);
        expect(appended.map(({ sequence }) => sequence).toSorted((a, b) => a - b)).toEqual(
          expected,
        );
        await eventually("the feed", () => heard.length === 500);
        expect(heard).toEqual(expected);
      });

      test("after a restart a journal on disk goes on where it stood, and one in memory begins a new epoch", async () => {
        const { store, node } = await open();
        await using _ = store;
        const { catalogue, revocations, health } = node.journals;
        await catalogue.append({ key: "a", body: "1" });
        await catalogue.append({ key: "a", body: "2" }, { operation: "kept" });
        await revocations.append({ key: "token", body: "3" }, { operation: "kept" });
        await health.append({ key: "a", body: "4" });
        const before = await catalogue.head();
        const healthBefore = await health.head();

        const { journals } = await store.restart();
        expect(await journals.catalogue.head()).toEqual(before);
        expect(await all(journals.catalogue.read(1, 10))).toEqual([
          { key: "a", body: "2", sequence: 2, epoch: before.epoch, operation: "kept" },
        ]);
        expect(await all(journals.revocations.read(1, 10))).toMatchObject([
          { body: "3", sequence: 1 },
        ]);
        expect(
          await journals.revocations.append({ key: "token", body: "3" }, { operation: "kept" }),
        ).toMatchObject({ sequence: 1, duplicate: true });
        expect(
          await journals.catalogue.append({ key: "a", body: "5" }, { expected: 2 }),
        ).toMatchObject({
          sequence: 3,
          epoch: before.epoch,
        });

        const healthAfter = await journals.health.head();
        expect(healthAfter.head).toBe(0);
        expect(healthAfter.epoch).not.toBe(healthBefore.epoch);
        expect(await journals.health.append({ key: "a", body: "6" })).toMatchObject({
          sequence: 1,
          epoch: healthAfter.epoch,
        });
      });

      test("another history begins with an entry of its own under a new epoch, once, on every node, and survives a restart", async () => {
        const { store, node } = await open();
        await using _ = store;
        for (const name of ["catalogue", "revocations"] as const) {
          const journal = node.journals[name];
          await journal.append({ key: "a", body: "1" });
          const before = await journal.head();
          const heard: Recorded[] = [];
          // The first entry may still be on its way.
          await using following = await journal.follow((entry) => {
            if (entry.sequence > 1) heard.push(entry);
          });
          void following;
          const [one, two] = await Promise.all([
            journal.renew(before.epoch),
            journal.renew(before.epoch),
          ]);
          expect(one).toEqual(two);
          expect(one.head).toBe(2);
          expect(one.epoch).not.toBe(before.epoch);
          expect(one.epoch).toMatch(/^[A-Za-z0-9.]{1,64}$/);
          // What was renewed already is not renewed again by one who comes late.
          expect(await journal.renew(before.epoch)).toEqual(one);
          expect(await journal.append({ key: "a", body: "2" })).toEqual({
            sequence: 3,
            epoch: one.epoch,
            duplicate: false,
          });
          await eventually("both", () => heard.length === 2);
          expect(heard.map(({ key, sequence, epoch }) => ({ key, sequence, epoch }))).toEqual([
            { key: "epoch", sequence: 2, epoch: one.epoch },
            { key: "a", sequence: 3, epoch: one.epoch },
          ]);
          const third = await journal.renew(one.epoch);
          expect(new Set([before.epoch, one.epoch, third.epoch]).size).toBe(3);
        }
        const { epoch } = await node.journals.revocations.head();
        const { journals } = await store.restart();
        expect((await journals.revocations.head()).epoch).toBe(epoch);
        // Older entries are part of the present history.
        const read = await all(journals.revocations.read(1, 10));
        expect(new Set(read.map((entry) => entry.epoch))).toEqual(new Set([epoch]));
      });

      test("a number is never used twice, also when the last entry is gone", async () => {
        const { store, node } = await open();
        await using _ = store;
        await node.journals.catalogue.append({ key: "a", body: "1" });
        await node.journals.catalogue.append({ key: "a", body: "2" });
        const { journals } = await store.restart();
        expect((await journals.catalogue.append({ key: "a", body: "3" })).sequence).toBe(3);
      });
    });
  });
}

describeJournal("embedded", async () => {
  const directory = await mkdtemp(join(tmpdir(), "tocsin-journal-"));
  const open = async () => {
    const bus = createEmbeddedBus({ log: silentLog });
    const store = await openEmbeddedStore(directory, { bus, clock: systemClock, log: silentLog });
    return { bus, store, journals: store.journals };
  };
  let present = await open();
  const close = async () => {
    await present.store[Symbol.asyncDispose]();
    await present.bus[Symbol.asyncDispose]();
  };
  return {
    node: async () => present,
    async restart() {
      await close();
      return (present = await open());
    },
    async [Symbol.asyncDispose]() {
      await close();
      await rm(directory, { recursive: true, force: true });
    },
  };
});

describeJournal("nats", async () => {
  const server = await startNats();
  const nodes: AsyncDisposable[] = [];
  const node = async () => {
    const bus = await connectNats({
      servers: [server.url],
      node: `node-${nodes.length}`,
      role: "control-plane",
      clock: systemClock,
      log: silentLog,
    });
    const opened = await openNatsJournals({ bus, clock: systemClock, log: silentLog });
    nodes.push(opened, bus);
    return { bus, journals: opened.journals };
  };
  return {
    node,
    async restart() {
      await server.restart();
      return node();
    },
    async [Symbol.asyncDispose]() {
      for (const each of nodes) await each[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
});
