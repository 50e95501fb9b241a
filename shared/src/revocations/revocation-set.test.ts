import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { RevocationSet } from "./revocation-set.ts";

/** A token of a subject that no user mark is about. */
const tokenOf = (set: RevocationSet, issuer: string, jti: string) => ({
  issuer,
  subject: "nobody",
  issuedAt: 0,
  jti,
  fingerprint: set.fingerprint(issuer, jti),
});

describe("revoked tokens", () => {
  test("are known by issuer and jti together", () => {
    const set = new RevocationSet();
    set.addToken(set.fingerprint("shop", "1"), 1_000);
    expect(set.has(tokenOf(set, "shop", "1"))).toBe(true);
    for (const [issuer, jti] of [
      ["shop", "2"],
      ["bank", "1"],
      ["sho", "p1"],
      ["shop1", ""],
      ["1", "shop"],
    ] as const)
      expect(set.has(tokenOf(set, issuer, jti))).toBe(false);
  });

  test("are what a Set would hold, with any texts, also after a dump under the same key", () => {
    const name = fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(
        fc.array(fc.tuple(name, name), { maxLength: 60 }),
        fc.array(fc.tuple(name, name), { maxLength: 60 }),
        (revoked, others) => {
          const set = new RevocationSet();
          const model = new Set<string>();
          for (const [issuer, jti] of revoked) {
            set.addToken(set.fingerprint(issuer, jti), 1_000);
            model.add(JSON.stringify([issuer, jti]));
          }
          expect(set.size).toBe(model.size);
          const restored = RevocationSet.restore(set.dump());
          for (const [issuer, jti] of [...revoked, ...others]) {
            const isRevoked = model.has(JSON.stringify([issuer, jti]));
            expect(set.has(tokenOf(set, issuer, jti))).toBe(isRevoked);
            expect(restored.has(tokenOf(restored, issuer, jti))).toBe(isRevoked);
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  test("of the longest names fit, and longer ones are refused instead of cut", () => {
    const set = new RevocationSet();
    const longest = "語".repeat(512);
    set.addToken(set.fingerprint(longest, `${longest.slice(1)}a`), 1_000);
    expect(set.has(tokenOf(set, longest, `${longest.slice(1)}a`))).toBe(true);
    expect(set.has(tokenOf(set, longest, `${longest.slice(1)}b`))).toBe(false);
    expect(() => set.fingerprint(longest, longest.repeat(2))).toThrow(RangeError);
  });

  test("have other fingerprints in another process", () => {
    expect(new RevocationSet().fingerprint("shop", "1")).not.toEqual(
      new RevocationSet().fingerprint("shop", "1"),
    );
  });
});

describe("revoked users", () => {
  const issued = (issuedAt: number, issuer = "shop", subject = "alice") => ({
    issuer,
    subject,
    issuedAt,
    jti: undefined,
    fingerprint: undefined,
  });

  test("lose every token up to and with the very second of the mark", () => {
    const set = new RevocationSet();
    set.addUser("alice", undefined, 100, 1_000);
    expect([99, 100, 100.9, 101].map((at) => set.has(issued(at)))).toEqual([
      true,
      true,
      true,
      false,
    ]);
    expect(set.has(issued(50, "bank"))).toBe(true);
    expect(set.has(issued(50, "shop", "bob"))).toBe(false);
  });

  test("of one issuer are not those of another, and both kinds of marks count", () => {
    const set = new RevocationSet();
    set.addUser("alice", "shop", 200, 1_000);
    set.addUser("alice", undefined, 100, 1_000);
    expect(set.has(issued(150, "shop"))).toBe(true);
    expect(set.has(issued(150, "bank"))).toBe(false);
    expect(set.has(issued(80, "bank"))).toBe(true);
  });

  test("are not let in again by an older mark", () => {
    const set = new RevocationSet();
    set.addUser("alice", undefined, 200, 1_000);
    set.addUser("alice", undefined, 100, 500);
    set.sweep(600);
    expect(set.has(issued(200))).toBe(true);
  });

  test("with names that an object would inherit are nothing special", () => {
    const set = new RevocationSet();
    expect(set.has(issued(0, "constructor", "__proto__"))).toBe(false);
    set.addUser("__proto__", "constructor", 100, 1_000);
    expect(set.has(issued(0, "constructor", "__proto__"))).toBe(true);
    expect(set.has(issued(0, "shop", "toString"))).toBe(false);
  });
});

test("the version grows with each addition, and with nothing else", () => {
  const set = new RevocationSet();
  const versions = [set.version];
  set.addToken(set.fingerprint("shop", "1"), 1_000);
  versions.push(set.version);
  set.addUser("alice", undefined, 100, 1_000);
  versions.push(set.version);
  set.addUser("alice", undefined, 200, 1_000);
  versions.push(set.version);
  expect(versions.toSorted((one, two) => one - two)).toEqual(versions);
  expect(new Set(versions).size).toBe(versions.length);
  set.addToken(set.fingerprint("shop", "1"), 2_000);
  set.sweep(5);
  expect(set.version).toBe(versions.at(-1));
});

describe("a dump", () => {
  const set = new RevocationSet();
  set.addToken(set.fingerprint("shop", "1"), 1_000);
  set.addUser("alice", undefined, 100, 1_000);
  set.addUser("bob", "shop", 100, 1_000);
  const dump = set.dump();

  test("gives back tokens and users", () => {
    const restored = RevocationSet.restore(dump);
    expect(restored.size).toBe(3);
    expect(restored.has(tokenOf(restored, "shop", "1"))).toBe(true);
    expect(
      restored.has({
        issuer: "shop",
        subject: "bob",
        issuedAt: 100,
        jti: undefined,
        fingerprint: undefined,
      }),
    ).toBe(true);
    expect(
      restored.has({
        issuer: "bank",
        subject: "bob",
        issuedAt: 100,
        jti: undefined,
        fingerprint: undefined,
      }),
    ).toBe(false);
    expect(
      restored.has({
        issuer: "bank",
        subject: "alice",
        issuedAt: 100,
        jti: undefined,
        fingerprint: undefined,
      }),
    ).toBe(true);
    // Dumps of the same content are the same: nothing was lost on the way there and back.
    expect(Buffer.from(restored.dump()).equals(dump)).toBe(true);
  });

  test("cut anywhere is refused", () => {
    for (let length = 0; length < dump.length; length += 1)
      expect(() => RevocationSet.restore(dump.subarray(0, length)), `${length} bytes`).toThrow();
  });

  test("that goes on is refused", () => {
    expect(() => RevocationSet.restore(Buffer.concat([dump, Buffer.from([0])]))).toThrow();
    expect(() => RevocationSet.restore(Buffer.concat([dump, dump]))).toThrow();
  });

  test("with any other bit is refused", async () => {
    const other = new RevocationSet();
    for (let index = 0; index < dump.length; index += 1) {
      const damaged = Buffer.from(dump);
      damaged[index]! ^= 1 << (index & 7);
      expect(() => RevocationSet.restore(damaged), `byte ${index}`).toThrow();
      await expect(other.merge(damaged, 0)).rejects.toThrow();
    }
    // Nothing of any of them was taken.
    expect(other.size).toBe(0);
  });

  test("from which a part was taken is refused, and so is one with parts in another order", () => {
    const parts = [...set.dumpInParts()];
    for (let index = 0; index < parts.length; index += 1) {
      expect(() => RevocationSet.restore(Buffer.concat(parts.toSpliced(index, 1)))).toThrow();
      if (index === 0) continue;
      const swapped = parts.with(index - 1, parts[index]!).with(index, parts[index - 1]!);
      expect(() => RevocationSet.restore(Buffer.concat(swapped))).toThrow();
    }
  });

  test("of something else is refused", () => {
    expect(() => RevocationSet.restore(Buffer.from("something else".repeat(10)))).toThrow(
      /not a dump/,
    );
  });
});
