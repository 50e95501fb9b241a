import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FingerprintSet, segmentCount } from "./fingerprint-set.ts";

const segmentsOf = (set: FingerprintSet) =>
  Array.from({ length: segmentCount }, (_, segment) => set.entriesIn(segment));

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
    {
      weight: 1,
      arbitrary: fc.record({ kind: fc.constant("reload"), now: fc.integer({ min: 0, max: 60 }) }),
    },
  ) as fc.Arbitrary<
    | { kind: "add"; high: number; low: number; expiry: number }
    | { kind: "sweep"; now: number; segments: number }
    | { kind: "reload"; now: number }
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
              const before = set;
              set = new FingerprintSet();
              for (const entries of segmentsOf(before)) set.addAll(entries, step.now);
              swept = Math.max(swept, step.now);
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
        expect(segmentsOf(set).reduce((sum, { length }) => sum + length, 0)).toBe(left.length * 3);
        for (const [name, expiry] of left) {
          const [high = 0, low = 0] = name.split(" ").map(Number);
          expect(set.expiryOf(high, low)).toBe(expiry);
        }
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

  test("takes many at once as it takes one by one, whether they are there already or not", () => {
    const entry = fc.tuple(word, word, fc.integer({ min: 1, max: 50 }));
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 60 }), fc.array(entry), (first, second) => {
        const one = new FingerprintSet();
        const many = new FingerprintSet();
        for (const [high, low, expiry] of [...first, ...second])
          if (expiry >= 10) one.add(high, low, expiry);
        for (const part of [first, second]) many.addAll(Uint32Array.from(part.flat()), 10);
        expect(many.size).toBe(one.size);
        for (const [high, low] of [...first, ...second])
          expect(many.expiryOf(high, low)).toBe(one.expiryOf(high, low));
      }),
      { numRuns: 500 },
    );
  });

  test("needs no more room for what is there already", () => {
    const set = new FingerprintSet();
    for (let index = 0; index < 50_000; index += 1)
      set.add(Math.imul(index, 0x9e3779b1) >>> 0, index, 100);
    const { bytes } = set;
    for (const entries of segmentsOf(set)) expect(set.addAll(entries, 0)).toBe(0);
    expect(set.bytes).toBe(bytes);
  });

  test("gives its entries away so that any part of them is spread over all of a table, and crowds nowhere", () => {
    const set = new FingerprintSet();
    // All in one segment: as many as each of ten million has, in 65,536 slots.
    for (let index = 0; index < 39_000; index += 1) {
      const scattered = Math.imul(index ^ 0x5bd1e995, 0x9e3779b1);
      set.add(index, Math.imul(scattered ^ (scattered >>> 15), 0x85ebca6b) >>> 0, 100);
    }
    const entries = set.entriesIn(0);
    expect(entries).toHaveLength(39_000 * 3);
    const partLength = 8_000;
    for (let from = 0; from + partLength <= 39_000; from += partLength) {
      const eighths = Array.from({ length: 8 }, () => 0);
      for (let index = from; index < from + partLength; index += 1)
        eighths[(entries[index * 3 + 1]! & 0xffff) >>> 13]! += 1;
      for (const count of eighths) {
        expect(count).toBeGreaterThan(partLength / 16);
        expect(count).toBeLessThan(partLength / 4);
      }
    }
  });
});
