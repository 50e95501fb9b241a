import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FingerprintsEntry, type RevocationEntry } from "../contract/entries.ts";
import { RevocationSet } from "./revocation-set.ts";

const keyOf = (byte: number) => new Uint8Array(16).fill(byte);
const textOf = (key: Uint8Array) => Buffer.from(key).toString("base64url");

/** As a token is asked about whose fingerprint was made at some time before. */
const tokenOf = (set: RevocationSet, jti: string) => ({
  issuer: "shop",
  subject: "nobody",
  issuedAt: 0,
  jti,
  fingerprint: set.fingerprint("shop", jti),
});

const token = (jti: string, expiresAt = 1_000): RevocationEntry => ({
  v: 1,
  id: jti,
  kind: "token",
  issuer: "shop",
  jti,
  expiresAt,
});

const user = (subject: string, issuedBefore: number, expiresAt = 1_000): RevocationEntry => ({
  v: 1,
  id: subject,
  kind: "user",
  subject,
  issuedBefore,
  expiresAt,
});

const holds = (set: RevocationSet, jti: string) => set.has(tokenOf(set, jti));
const holdsUser = (set: RevocationSet, subject: string, issuedAt: number) =>
  set.has({ issuer: "shop", subject, issuedAt, jti: undefined, fingerprint: undefined });

function setOf(key: number, ...entries: RevocationEntry[]): RevocationSet {
  const set = new RevocationSet(keyOf(key));
  for (const entry of entries) set.apply(entry, 0);
  return set;
}

describe("the key of a set", () => {
  test("is adopted by a set without tokens", () => {
    const set = setOf(1, user("alice", 5));
    set.useKey(keyOf(2));
    expect(set.key).toEqual(keyOf(2));
    expect(setOf(2, token("1")).fingerprint("shop", "1")).toMatchObject({
      high: set.fingerprint("shop", "1").high,
      low: set.fingerprint("shop", "1").low,
    });
    expect(holdsUser(set, "alice", 5)).toBe(true);
  });

  test("can be another one without anybody being let in, whatever was known of a token before", () => {
    const set = setOf(1, token("old"));
    const before = tokenOf(set, "old");
    const innocent = tokenOf(set, "innocent");
    const later = tokenOf(set, "new");
    set.useKey(keyOf(2));
    set.apply(token("new"), 0);
    expect(set.size).toBe(2);
    for (const each of [before, tokenOf(set, "old"), later, tokenOf(set, "new")])
      expect(set.has(each)).toBe(true);
    expect(set.has({ ...before, fingerprint: undefined })).toBe(true);
    expect(set.has(innocent)).toBe(false);
    expect(holds(set, "innocent")).toBe(false);
    // A fingerprint from before the change goes where it belongs.
    set.addToken(innocent.fingerprint, 1_000);
    expect(holds(set, "innocent")).toBe(true);
  });

  test("can come back, with what was added under it", () => {
    const set = setOf(1, token("a"));
    set.useKey(keyOf(2));
    set.apply(token("b"), 0);
    set.useKey(keyOf(1));
    expect(set.key).toEqual(keyOf(1));
    set.apply(token("a"), 0);
    expect(set.size).toBe(2);
    expect(holds(set, "a") && holds(set, "b")).toBe(true);
  });

  test("that nothing is under any more is forgotten", () => {
    const set = setOf(1, token("old", 100));
    set.useKey(keyOf(2));
    set.apply(token("new", 200), 0);
    const { bytes } = set;
    expect(set.sweep(150)).toBe(1);
    expect(set.bytes).toBeLessThan(bytes);
    expect(holds(set, "old")).toBe(false);
    expect(holds(set, "new")).toBe(true);
  });

  test("of a wrong length is refused", () => {
    expect(() => new RevocationSet(new Uint8Array(15))).toThrow(RangeError);
    expect(() => new RevocationSet().useKey(new Uint8Array(17))).toThrow(RangeError);
  });
});

describe("an entry of the journal", () => {
  test("of every kind is put in force", () => {
    const set = new RevocationSet();
    const other = setOf(9, token("c"));
    const fingerprints = [...other.lacking(new RevocationSet(), 0)];
    for (const entry of [
      { v: 1, kind: "fingerprint-key", key: textOf(keyOf(7)) },
      { v: 1, kind: "batch", items: [token("a"), token("b"), user("alice", 5)] },
      ...fingerprints,
      user("bob", 5),
    ] as RevocationEntry[])
      set.apply(entry, 0);
    expect(set.key).toEqual(keyOf(7));
    expect(["a", "b", "c", "d"].map((jti) => holds(set, jti))).toEqual([true, true, true, false]);
    expect(holdsUser(set, "alice", 5) && holdsUser(set, "bob", 5)).toBe(true);
    expect(set.size).toBe(5);
  });

  test("that has expired has no effect", () => {
    const set = new RevocationSet();
    const other = setOf(9, token("a", 100), user("alice", 5, 100));
    set.apply({ v: 1, kind: "batch", items: [token("b", 100)] } as RevocationEntry, 101);
    for (const entry of other.lacking(set, 0)) set.apply(entry, 101);
    set.apply(user("bob", 5, 100), 101);
    expect(set.size).toBe(0);
  });

  test("with half a fingerprint is refused", () => {
    const entry = {
      v: 1,
      kind: "fingerprints",
      key: textOf(keyOf(1)),
      tokens: Buffer.alloc(13).toString("base64"),
      users: [["alice", null, 5, 1_000]],
    } as RevocationEntry;
    const set = new RevocationSet();
    expect(() => set.apply(entry, 0)).toThrow(/half/);
    expect(set.size).toBe(0);
  });
});

describe("merging a dump", () => {
  test("adds what it holds, under every key, and adopts the key when there is nothing else", async () => {
    const source = setOf(1, token("a"), user("alice", 5));
    source.useKey(keyOf(2));
    source.apply(token("b"), 0);
    const empty = new RevocationSet();
    await empty.merge(source.dump(), 0);
    expect(empty.key).toEqual(keyOf(2));
    const other = setOf(3, token("c"));
    await other.merge(source.dump(), 0);
    expect(other.key).toEqual(keyOf(3));
    for (const set of [empty, other]) {
      expect(holds(set, "a") && holds(set, "b")).toBe(true);
      expect(holdsUser(set, "alice", 5)).toBe(true);
      expect(holds(set, "d")).toBe(false);
    }
    expect(holds(other, "c")).toBe(true);
    expect(other.size).toBe(4);
    const again = RevocationSet.restore(other.dump());
    expect(Buffer.from(again.dump()).equals(other.dump())).toBe(true);
  });

  test("twice changes nothing, and leaves out what has expired", async () => {
    const source = setOf(1, token("a", 100), token("b", 200), user("alice", 5, 100));
    const set = new RevocationSet();
    await set.merge(source.dump(), 150);
    const { version, bytes } = set;
    await set.merge(source.dump(), 150);
    expect([set.size, set.version, set.bytes]).toEqual([1, version, bytes]);
    expect(holds(set, "b")).toBe(true);
  });

  test("leaves the event loop free, and the set is right in between", async () => {
    const source = new RevocationSet();
    for (let index = 0; index < 100_000; index += 1) source.apply(token(String(index)), 0);
    const dump = source.dump();
    const set = new RevocationSet();
    let turns = 0;
    const over = new AbortController();
    const others = (async () => {
      while (!over.signal.aborted) {
        await new Promise((resolve) => setImmediate(resolve));
        turns += 1;
        // Meanwhile more is revoked, under the key of the moment, and forgotten.
        set.apply(token(`more ${turns}`), 0);
        set.sweep(10);
      }
    })();
    await set.merge(dump, 0);
    over.abort();
    await others;
    expect(turns).toBeGreaterThan(20);
    expect(set.size).toBe(100_000 + turns);
    for (let index = 0; index < 100_000; index += 997) expect(holds(set, String(index))).toBe(true);
    for (let turn = 1; turn <= turns; turn += 1) expect(holds(set, `more ${turn}`)).toBe(true);
  });
});

describe("what another set lacks", () => {
  const subject = fc.string({ unit: "grapheme", minLength: 1, maxLength: 3 });
  const expiry = fc.integer({ min: 50, max: 150 });
  const entry = fc.oneof(
    fc.tuple(fc.nat(40), expiry).map(([jti, at]) => token(String(jti), at)),
    fc.tuple(subject, fc.nat(9), expiry).map(([name, before, at]) => user(name, before, at)),
    fc.nat(2).map((byte) => ({
      v: 1 as const,
      kind: "fingerprint-key" as const,
      key: textOf(keyOf(byte)),
    })),
  );
  const set = fc.array(entry, { maxLength: 30 }).map((entries) => setOf(0, ...entries));

  test("is what makes it hold as much, as long, and nothing else", () => {
    fc.assert(
      fc.property(set, set, (one, other) => {
        for (const more of one.lacking(other, 100))
          other.apply(FingerprintsEntry.parse(JSON.parse(JSON.stringify(more))), 100);
        // Then nothing is lacking, now or later.
        for (const time of [100, 120, 150]) {
          expect([...one.lacking(other, time)]).toEqual([]);
          other.sweep(time);
        }
        one.sweep(151);
        expect([...one.lacking(other, 0)]).toEqual([]);
      }),
      { numRuns: 500 },
    );
  });

  test("is written in entries that fit a message", async () => {
    const one = new RevocationSet();
    for (let index = 0; index < 60_000; index += 1) one.apply(token(String(index)), 0);
    // The longest names there are, in characters that JSON writes with six bytes, and in those of three bytes.
    for (let index = 0; index < 300; index += 1) {
      one.addUser(`${"\u0001".repeat(508)}${index}`, undefined, 1, 1_000);
      one.addUser(`${"語".repeat(508)}${index}`, "語".repeat(512), 1, 1_000);
    }
    for (let index = 0; index < 2_500; index += 1) one.addUser(`user ${index}`, "shop", 1, 1_000);
    const other = new RevocationSet();
    let entries = 0;
    for (const entry of one.lacking(other, 0)) {
      const body = JSON.stringify(entry);
      expect(Buffer.byteLength(body)).toBeLessThan(400_000);
      other.apply(FingerprintsEntry.parse(JSON.parse(body)), 0);
      entries += 1;
    }
    expect(other.size).toBe(one.size);
    expect(entries).toBeGreaterThan(5);
    const slowly = [];
    for await (const entry of one.lackingInSlices(new RevocationSet(), 0)) slowly.push(entry);
    expect(slowly).toHaveLength(entries);
  });
});
