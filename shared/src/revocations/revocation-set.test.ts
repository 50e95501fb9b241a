import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FingerprintSet } from "./fingerprint-set.ts";
import { RevocationSet } from "./revocation-set.ts";

/** A token of a subject that no user mark is about. */
const tokenOf = (set: RevocationSet, issuer: string, jti: string) => ({
  issuer,
  subject: "nobody",
  issuedAt: 0,
  fingerprint: set.fingerprint(issuer, jti),
});

describe("the set of fingerprints", () => {
  // Few different values, so that they meet: in a segment, in a slot, in one half.
  const word = fc.oneof(fc.nat(3), fc.constantFrom(0x8000_0000, 0xffff_ffff, 0x0100_0000));
  const command = fc.oneof(
    {
      weight: 12,
      arbitrary: fc.record({
        kind: fc.constant("add"),
        high: word,
        low: word,
        expiry: fc.integer({ min: 1, max: 50 }),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant("sweep"),
        now: fc.integer({ min: 1, max: 60 }),
        segments: fc.constantFrom(1, 100, 256),
      }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("reload") }) },
  ) as fc.Arbitrary<
    | { kind: "add"; high: number; low: number; expiry: number }
    | { kind: "sweep"; now: number; segments: number }
    | { kind: "reload" }
  >;

  const probes = fc.array(fc.tuple(word, word), { maxLength: 30 });

  test("holds what a Map would hold, through growing, sweeping and dumping", () => {
    fc.assert(
      fc.property(fc.array(command, { maxLength: 120 }), probes, (commands, others) => {
        let set = new FingerprintSet();
        const model = new Map<string, number>();
        let swept = 0;
        for (const step of commands) {
          switch (step.kind) {
            case "add": {
              const name = `${step.high} ${step.low}`;
              const isNew = set.add(step.high, step.low, step.expiry);
              // What has expired may or may not have been swept yet.
              if ((model.get(name) ?? Infinity) >= swept) expect(isNew).toBe(!model.has(name));
              model.set(name, Math.max(model.get(name) ?? 0, step.expiry));
              break;
            }
            case "sweep":
              set.sweep(step.now, step.segments);
              swept = Math.max(swept, step.now);
              break;
            case "reload": {
              const dump = set.dump();
              set = new FingerprintSet();
              set.load(dump);
              break;
            }
          }
          for (const [name, expiry] of model) {
            const [high = 0, low = 0] = name.split(" ").map(Number);
            if (expiry >= swept) expect(set.has(high, low)).toBe(true);
          }
        }
        for (const [high, low] of others)
          if (!model.has(`${high} ${low}`)) expect(set.has(high, low)).toBe(false);
        set.sweep(swept);
        const left = [...model].filter(([, expiry]) => expiry >= swept);
        expect(set.size).toBe(left.length);
        expect(set.dump().length).toBe(left.length * 3);
      }),
      { numRuns: 1_000 },
    );
  });

  test("finds each of many, and none of the others, before and after half of them have expired", () => {
    const set = new FingerprintSet();
    const word = (index: number, salt: number) => Math.imul(index ^ salt, 0x9e3779b1) >>> 0;
    for (let index = 0; index < 100_000; index += 1)
      set.add(word(index, 1), word(index, 2), index % 2 === 0 ? 100 : 200);
    expect(set.size).toBe(100_000);
    const full = set.bytes;
    expect(set.sweep(150)).toBe(50_000);
    expect(set.size).toBe(50_000);
    expect(set.bytes).toBeLessThan(full);
    for (let index = 0; index < 100_000; index += 1)
      expect(set.has(word(index, 1), word(index, 2))).toBe(index % 2 === 1);
    for (let index = 100_000; index < 200_000; index += 1)
      expect(set.has(word(index, 1), word(index, 2))).toBe(false);
  });
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
      restored.has({ issuer: "shop", subject: "bob", issuedAt: 100, fingerprint: undefined }),
    ).toBe(true);
    expect(
      restored.has({ issuer: "bank", subject: "bob", issuedAt: 100, fingerprint: undefined }),
    ).toBe(false);
    expect(
      restored.has({ issuer: "bank", subject: "alice", issuedAt: 100, fingerprint: undefined }),
    ).toBe(true);
    // Dumps of the same content are the same: nothing was lost on the way there and back.
    expect(Buffer.from(restored.dump()).equals(dump)).toBe(true);
  });

  test.each([0, 7, 8, 20, 31, 40, dump.length - 1])("cut after %i bytes is refused", (length) => {
    expect(() => RevocationSet.restore(dump.subarray(0, length))).toThrow();
  });

  test("of something else is refused", () => {
    expect(() => RevocationSet.restore(Buffer.from("something else".repeat(10)))).toThrow(
      /not a dump/,
    );
  });
});
