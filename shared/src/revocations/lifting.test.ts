import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Revocation, RevocationEntry, RevocationTarget } from "../contract/entries.ts";
import type { Credential } from "./credential.ts";
import { Marks } from "./marks.ts";
import { registerOf } from "./names.ts";
import { RevocationSet } from "./revocation-set.ts";

const key = new Uint8Array(16).fill(7);
const later = 9_000;

const base = (at: number) => ({ v: 1, id: `r${at}`, expiresAt: later, at }) as const;
const targets: readonly RevocationTarget[] = [
  { kind: "token", issuer: "shop", jti: "t1" },
  { kind: "session", sid: "s1" },
  { kind: "user", subject: "alice" },
  { kind: "user", subject: "alice", issuer: "shop" },
  { kind: "client", clientId: "c1" },
  { kind: "signing-key", issuer: "shop", kid: "k1" },
  { kind: "issuer", issuer: "shop" },
  { kind: "api-key", key: "a1" },
  { kind: "address", cidr: "192.0.2.7/32" },
];
/** Far enough for all tokens here. */
const issuedBefore = 1_000;

function revocation(target: RevocationTarget, at: number): Revocation {
  switch (target.kind) {
    case "user":
    case "issuer":
      return { ...base(at), ...target, issuedBefore };
    default:
      return { ...base(at), ...target };
  }
}

const lifting = (target: RevocationTarget, at: number): RevocationEntry => ({
  ...base(at),
  kind: "lifting",
  lifts: "r1",
  target,
});

const nobody: Credential = {
  issuer: "other",
  subject: "nobody",
  issuedAt: 500,
  jti: undefined,
  fingerprint: undefined,
};
/** What nothing but that would take back. */
function credentialOf(target: RevocationTarget): Credential {
  switch (target.kind) {
    case "token":
      return { ...nobody, issuer: target.issuer, jti: target.jti };
    case "session":
      return { ...nobody, session: target.sid };
    case "user":
      return { ...nobody, subject: target.subject, issuer: target.issuer ?? nobody.issuer };
    case "client":
      return { ...nobody, client: target.clientId };
    case "signing-key":
      return { ...nobody, issuer: target.issuer, keyId: target.kid };
    case "issuer":
      return { ...nobody, issuer: target.issuer };
    case "api-key":
      return { ...nobody, issuer: "", apiKey: target.key };
    case "address":
      return nobody;
    default:
      return target satisfies never;
  }
}
const isRevoked = (set: RevocationSet, target: RevocationTarget) =>
  target.kind === "address" ? set.blocks("192.0.2.7") : set.has(credentialOf(target));

describe.each(targets.map((target) => [JSON.stringify(target), target] as const))(
  "%s",
  (_, target) => {
    test("is revoked, lifted, and revoked again", () => {
      const set = new RevocationSet(key);
      let told = 0;
      set.onAdded(() => (told += 1));
      expect(isRevoked(set, target)).toBe(false);
      set.apply(revocation(target, 10), 0);
      expect([isRevoked(set, target), told]).toEqual([true, 1]);
      set.apply(lifting(target, 20), 0);
      expect(isRevoked(set, target)).toBe(false);
      const before = told;
      set.apply(revocation(target, 30), 0);
      expect(isRevoked(set, target)).toBe(true);
      expect(told).toBe(before + 1);
      // Somebody repeats what was said long ago.
      set.apply(lifting(target, 20), 0);
      set.apply(revocation(target, 10), 0);
      expect(isRevoked(set, target)).toBe(true);
    });

    test("is told as revoked to everybody who asks: nothing else is", () => {
      const set = new RevocationSet(key);
      set.apply(revocation(target, 10), 0);
      const { name, namespace } = registerOf(target);
      for (const other of targets) {
        const same = registerOf(other);
        // A user everywhere is meant at each issuer too; all else is by itself.
        const meant =
          (same.name === name && same.namespace === namespace) ||
          (target.kind === "user" && target.issuer === undefined && other.kind === "user") ||
          (target.kind === "issuer" && "issuer" in other && other.issuer === target.issuer);
        expect([other, isRevoked(set, other)]).toEqual([other, meant]);
      }
    });

    test("does not come back by somebody who had not heard of the lifting", async () => {
      const behind = new RevocationSet(key);
      const ahead = new RevocationSet(key);
      for (const set of [behind, ahead]) set.apply(revocation(target, 10), 0);
      ahead.apply(lifting(target, 20), 0);
      const dump = behind.dump();
      await ahead.merge(dump, 0);
      expect(isRevoked(ahead, target)).toBe(false);
      for (const entry of behind.lacking(ahead, 0)) ahead.apply(entry, 0);
      expect(isRevoked(ahead, target)).toBe(false);
      await behind.merge(ahead.dump(), 0);
      expect(isRevoked(behind, target)).toBe(false);
      expect([...ahead.lacking(behind, 0)]).toEqual([]);
    });

    test("stays lifted, and revoked again, in what is written down", async () => {
      const set = new RevocationSet(key);
      set.apply(revocation(target, 10), 0);
      set.apply(lifting(target, 20), 0);
      expect(isRevoked(RevocationSet.restore(set.dump()), target)).toBe(false);
      const recovered = new RevocationSet();
      for (const entry of set.lacking(new RevocationSet(), 0)) recovered.apply(entry, 0);
      expect(isRevoked(recovered, target)).toBe(false);
      set.apply(revocation(target, 30), 0);
      await recovered.merge(set.dump(), 0);
      expect(isRevoked(recovered, target)).toBe(true);
      expect(isRevoked(RevocationSet.restore(set.dump()), target)).toBe(true);
    });

    test("is forgotten, with its lifting, when it has ended anyway", () => {
      const set = new RevocationSet(key);
      set.apply(revocation(target, 10), 0);
      set.apply(lifting(target, 20), 0);
      set.sweep(later + 1);
      expect(set.size).toBe(0);
      set.apply(revocation(target, 30), later + 1);
      expect(isRevoked(set, target)).toBe(false);
    });
  },
);

test("a lifted token under another key is revoked again by its texts", () => {
  const set = new RevocationSet(key);
  const [target] = targets;
  set.apply(revocation(target!, 10), 0);
  set.apply(lifting(target!, 20), 0);
  set.useKey(new Uint8Array(16).fill(8));
  expect(isRevoked(set, target!)).toBe(false);
  set.apply(revocation(target!, 30), 0);
  expect(isRevoked(set, target!)).toBe(true);
});

describe("whatever the way on which they hear of it, all agree", () => {
  /** Orders as they stand in the journal: later ones have a later moment. */
  const journal = fc
    .array(
      fc.record({
        target: fc.constantFrom(...targets),
        lifts: fc.boolean(),
        before: fc.constantFrom(400, 1_000),
      }),
      { maxLength: 24 },
    )
    .map((orders) =>
      orders.map(({ target, lifts, before }, index): RevocationEntry => {
        if (lifts) return lifting(target, index + 1);
        const entry = revocation(target, index + 1);
        return "issuedBefore" in entry ? { ...entry, issuedBefore: before } : entry;
      }),
    );
  const verdicts = (set: RevocationSet) => targets.map((target) => isRevoked(set, target));

  test("as the journal says", () => {
    fc.assert(
      fc.property(journal, (entries) => {
        const set = new RevocationSet(key);
        for (const entry of entries) set.apply(entry, 0);
        const expected = targets.map((target) => {
          const { name, namespace } = registerOf(target);
          const mine = (one: RevocationTarget) =>
            registerOf(one).name === name && registerOf(one).namespace === namespace;
          const about = entries.filter((entry) => {
            if (entry.kind === "lifting") return mine(entry.target);
            return mine(entry as Revocation) || covers(entry as Revocation, target);
          });
          // Each name by itself: what stands behind its last lifting.
          return about.some((entry) => {
            if (entry.kind === "lifting") return false;
            if ("issuedBefore" in entry && entry.issuedBefore < 500) return false;
            const own = registerOf(entry as Revocation);
            return !entries
              .slice(entries.indexOf(entry))
              .some(
                (other) =>
                  other.kind === "lifting" &&
                  registerOf(other.target).name === own.name &&
                  registerOf(other.target).namespace === own.namespace,
              );
          });
        });
        expect(verdicts(set)).toEqual(expected);
      }),
      { numRuns: 500 },
    );
  });

  test("by parts of the journal, dumps, recoveries and restarts in between", async () => {
    const steps = fc.array(
      fc.tuple(fc.constantFrom("read", "merge", "recover", "restart"), fc.nat(2), fc.nat(2)),
      { maxLength: 30 },
    );
    await fc.assert(
      fc.asyncProperty(journal, steps, async (entries, plan) => {
        const nodes = [0, 1, 2].map(() => ({ set: new RevocationSet(key), read: 0 }));
        for (const [step, at, from] of plan) {
          const node = nodes[at]!;
          const other = nodes[from]!;
          if (step === "read" && node.read < entries.length)
            node.set.apply(entries[node.read++]!, 0);
          if (step === "restart") node.set = RevocationSet.restore(node.set.dump());
          // A snapshot: what it lacks of the journal is read afterwards.
          if (step === "merge" && other.read >= node.read) {
            await node.set.merge(other.set.dump(), 0);
            node.read = other.read;
          }
          if (step === "recover")
            for (const entry of other.set.lacking(node.set, 0)) node.set.apply(entry, 0);
        }
        for (const node of nodes)
          while (node.read < entries.length) node.set.apply(entries[node.read++]!, 0);
        const all = new RevocationSet(key);
        for (const entry of entries) all.apply(entry, 0);
        for (const { set } of nodes) expect(verdicts(set)).toEqual(verdicts(all));
      }),
      { numRuns: 300 },
    );
  });

  test("names, in any order and however often", () => {
    // Moment 0 is "never": there is no order of that moment.
    const at = fc.integer({ min: 1, max: 20 });
    const event = fc.record({ lifts: fc.boolean(), at, before: fc.nat(5) });
    fc.assert(
      fc.property(
        fc.array(event, { maxLength: 12 }).chain((events) =>
          fc.tuple(
            fc.constant(events),
            fc.shuffledSubarray([...events, ...events], {
              minLength: events.length * 2,
              maxLength: events.length * 2,
            }),
            fc.nat(24),
          ),
        ),
        ([events, shuffled, cut]) => {
          const tell = (marks: Marks, some: typeof events) => {
            for (const { lifts, at, before } of some)
              if (lifts) marks.lift("a", "n", at, 100);
              else marks.add("a", "n", before, 100, at);
          };
          const one = new Marks();
          tell(one, events);
          const left = new Marks();
          const right = new Marks();
          tell(left, shuffled.slice(0, cut));
          tell(right, shuffled.slice(cut));
          for (const mark of right.dump()) left.take(mark);
          expect([...left.dump()]).toEqual([...one.dump()]);
          for (const mark of one.dump()) expect(left.includes(mark)).toBe(true);
          const liftedAt = Math.max(0, ...events.filter(({ lifts }) => lifts).map(({ at }) => at));
          const standing = events.filter(({ lifts, at }) => !lifts && at >= liftedAt);
          const furthest = Math.max(-1, ...standing.map(({ before }) => before));
          for (let second = 0; second <= 5; second += 1)
            expect(left.has("a", "n", second)).toBe(second <= furthest);
        },
      ),
      { numRuns: 2_000 },
    );
  });
});

/** A user everywhere is meant at each issuer too, and an issuer with all its users, tokens and keys. */
function covers(entry: Revocation, target: RevocationTarget): boolean {
  if (entry.kind === "user" && entry.issuer === undefined) return target.kind === "user";
  return entry.kind === "issuer" && "issuer" in target && target.issuer === entry.issuer;
}
