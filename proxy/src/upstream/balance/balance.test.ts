import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { UpstreamInstance } from "../instances.ts";
import { anyone } from "./balance.ts";
import { ConsistentHash } from "./consistent-hash.ts";
import { hashKey } from "./hash-key.ts";
import { LeastRequests } from "./least-requests.ts";

const instance = (name: string, weight = 1): UpstreamInstance => ({
  key: `a.${name}.boot`,
  service: "a",
  instance: name,
  url: "http://127.0.0.1:1",
  weight,
  active: true,
  eligible: true,
});
const fleet = (count: number) => Array.from({ length: count }, (_, index) => instance(`i${index}`));

/** Reproducible chance. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

describe("least requests", () => {
  test("of two the less busy one, in proportion to its weight", () => {
    const busy: Record<string, number> = { small: 2, big: 5 };
    const balance = new LeastRequests(seeded(1), ({ instance: name }) => busy[name]!);
    const list = [instance("small", 1), instance("big", 4)];
    for (let count = 0; count < 50; count += 1)
      expect(balance.pick(list, anyone)?.instance).toBe("big");
    busy["big"] = 9;
    for (let count = 0; count < 50; count += 1)
      expect(balance.pick(list, anyone)?.instance).toBe("small");
  });

  test("who answers slowly gets clearly fewer than chance would give it", () => {
    const inFlight = new Map<string, number>();
    const balance = new LeastRequests(seeded(5), ({ key }) => inFlight.get(key) ?? 0);
    const list = fleet(4);
    const counts = new Map<string, number>();
    const answers: { at: number; key: string }[] = [];
    for (let now = 0; now < 4_000; now += 1) {
      while (answers.length > 0 && answers[0]!.at <= now) {
        const { key } = answers.shift()!;
        inFlight.set(key, inFlight.get(key)! - 1);
      }
      const { key, instance: name } = balance.pick(list, anyone)!;
      inFlight.set(key, (inFlight.get(key) ?? 0) + 1);
      counts.set(name, (counts.get(name) ?? 0) + 1);
      answers.push({ at: now + (name === "i0" ? 60 : 3), key });
      answers.sort((a, b) => a.at - b.at);
    }
    expect(counts.get("i0")!).toBeLessThan(400);
    for (const name of ["i1", "i2", "i3"]) expect(counts.get(name)!).toBeGreaterThan(1_000);
  });

  test("nobody who had it already or is kept out, and the last one left without a draw", () => {
    const balance = new LeastRequests(seeded(2), () => 0);
    const [one, two, three] = fleet(3) as [UpstreamInstance, UpstreamInstance, UpstreamInstance];
    const list = [one, two, three];
    const choice = { ...anyone, tried: [one.key], lets: (it: UpstreamInstance) => it !== two };
    for (let count = 0; count < 20; count += 1) expect(balance.pick(list, choice)).toBe(three);
    expect(balance.pick(list, { ...choice, tried: [one.key, three.key] })).toBeUndefined();
    expect(balance.pick([], anyone)).toBeUndefined();
  });

  test("whatever the weights and the chance, both draws are different and everybody can be drawn", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 2, maxLength: 6 }),
        fc.integer(),
        (weights, seed) => {
          const list = weights.map((weight, index) => instance(`i${index}`, weight));
          // All the same busy: the first draw is the choice; one busy for ever is never chosen.
          const balance = new LeastRequests(seeded(seed), ({ instance: name }) =>
            name === "i0" ? Infinity : 0,
          );
          const seen = new Set<string>();
          for (let count = 0; count < 3_000; count += 1)
            seen.add(balance.pick(list, anyone)!.instance);
          expect(seen.has("i0")).toBe(false);
          expect(seen.size).toBe(weights.length - 1);
        },
      ),
      { numRuns: 20 },
    );
  });
});

describe("consistent hash", () => {
  const keys = Array.from({ length: 10_000 }, (_, index) => `user-${index}`);
  const owners = (list: readonly UpstreamInstance[]) => {
    const balance = new ConsistentHash();
    return keys.map((key) => balance.pick(list, { ...anyone, key })!.instance);
  };

  /** Within 4 sigma. */
  const expectShare = (count: number, share: number) =>
    expect(Math.abs(count - keys.length * share)).toBeLessThan(
      4 * Math.sqrt(keys.length * share * (1 - share)),
    );

  test("two proxies agree, in whatever order they know the instances and whichever life those are in", () => {
    const list = fleet(7);
    const other = list.toReversed().map((one) => ({ ...one, key: `${one.key}-2` }));
    expect(owners(other)).toEqual(owners(list));
  });

  test("who goes moves its own keys alone, and to all of the others", () => {
    const list = fleet(10);
    const before = owners(list);
    const after = owners(list.slice(1));
    const heirs = new Set<string>();
    for (const [index, owner] of before.entries()) {
      if (owner === "i0") heirs.add(after[index]!);
      else expect(after[index]).toBe(owner);
    }
    expect(heirs.size).toBe(9);
  });

  test("whoever goes and whatever the weights, no key moves between those who stay", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 1_000 }), { minLength: 2, maxLength: 40 }),
        fc.nat(),
        (weights, nth) => {
          const list = weights.map((weight, index) => instance(`i${index}`, weight));
          const left = list.toSpliced(nth % list.length, 1);
          const [all, some] = [new ConsistentHash(), new ConsistentHash()];
          for (const key of keys.slice(0, 300)) {
            const owner = all.pick(list, { ...anyone, key })!;
            const heir = some.pick(left, { ...anyone, key })!;
            if (left.includes(owner)) expect(heir).toBe(owner);
            // Passed over for one request is the same as gone.
            expect(all.pick(list, { ...anyone, key, lets: (it) => left.includes(it) })).toBe(heir);
          }
        },
      ),
      { numRuns: 50 },
    );
  });

  test("who comes takes its share and no more, from all of the others", () => {
    const before = owners(fleet(9));
    const after = owners(fleet(10));
    const moved = after.filter((owner, index) => owner !== before[index]);
    expect(new Set(moved)).toEqual(new Set(["i9"]));
    expectShare(moved.length, 0.1);
    expect(new Set(before.filter((owner, index) => owner !== after[index])).size).toBe(9);
  });

  test("shares follow the weights", () => {
    const weights = [1, 3, 10, 86];
    const list = weights.map((weight, index) => instance(`i${index}`, weight));
    const found = owners(list);
    for (const [index, weight] of weights.entries())
      expectShare(found.filter((owner) => owner === `i${index}`).length, weight / 100);
  });

  test("who gets more weight takes keys, and nobody else does", () => {
    const before = owners(fleet(5));
    const after = owners(fleet(5).with(2, instance("i2", 3)));
    for (const [index, owner] of after.entries())
      if (owner !== before[index]) expect(owner).toBe("i2");
    expectShare(after.filter((owner) => owner === "i2").length, 3 / 7);
  });

  test("one that may not have it is passed over, and the others keep their keys", () => {
    const list = fleet(5);
    const balance = new ConsistentHash();
    for (const key of keys.slice(0, 500)) {
      const usual = balance.pick(list, { ...anyone, key })!;
      const instead = balance.pick(list, { ...anyone, key, tried: [usual.key] })!;
      expect(instead).not.toBe(usual);
      const others = balance.pick(list, { ...anyone, key, lets: (it) => it !== instead })!;
      expect(others).toBe(usual);
    }
    expect(balance.pick(list, { ...anyone, key: "x", lets: () => false })).toBeUndefined();
    expect(balance.pick([], { ...anyone, key: "x" })).toBeUndefined();
  });
});

describe("what a hash goes by", () => {
  const request = (more: object = {}) => ({
    clientAddress: "192.0.2.7",
    head: { passing: ["Accept", "*/*", "X-Tenant", "blue", "x-tenant", "red", "X-Empty", ""] },
    principal: undefined,
    ...more,
  });
  const cookies = (...values: string[]) =>
    request({ head: { passing: values.flatMap((value) => ["Cookie", value]) } });

  test.each([
    ["address", request(), "192.0.2.7"],
    ["user", request(), "192.0.2.7"],
    ["user", request({ principal: { method: "none" } }), "192.0.2.7"],
    ["user", request({ principal: { method: "jwt", subject: "ann", issuer: "i" } }), "i\nann"],
    ["header:x-TENANT", request(), "blue"],
    ["header:x-empty", request(), "192.0.2.7"],
    ["header:x-none", request(), "192.0.2.7"],
    ["cookie:sid", cookies("a=1; sid=42; sid=43"), "42"],
    ["cookie:sid", cookies("a=1", "b=2;sid = 7 "), "7"],
    ["cookie:sid", cookies("SID=1; xsid=2"), "192.0.2.7"],
    ["cookie:sid", cookies("sid="), "192.0.2.7"],
  ])("%s", (on, asked, key) => {
    expect(hashKey(on)(asked)).toBe(key);
  });
});
