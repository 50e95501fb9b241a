import { describe, expect, test } from "vitest";
import type { Revocation, RevocationTarget } from "../contract/entries.ts";
import type { Credential } from "./credential.ts";
import { RevocationSet } from "./revocation-set.ts";

const never = 1e11;
const nobody: Credential = {
  issuer: "shop",
  subject: "nobody",
  issuedAt: 500,
  jti: undefined,
  fingerprint: undefined,
};
type Temporary = Extract<
  RevocationTarget,
  { kind: "client" | "signing-key" | "api-key" | "address" }
>;
const targets: readonly (readonly [string, Temporary, Partial<Credential>])[] = [
  ["a client", { kind: "client", clientId: "c1" }, { client: "c1" }],
  ["a signing key", { kind: "signing-key", issuer: "shop", kid: "k1" }, { keyId: "k1" }],
  ["an API key", { kind: "api-key", key: "a1" }, { apiKey: "a1" }],
  ["an address", { kind: "address", cidr: "192.0.2.0/24" }, {}],
];

describe.each(targets)("%s that is revoked until a moment", (_, target, more) => {
  const until = (expiresAt: number, at: number): Revocation => ({
    v: 1,
    id: `r${at}`,
    at,
    expiresAt,
    ...target,
  });
  const lifted = (at: number) =>
    ({ v: 1, kind: "lifting", id: `l${at}`, lifts: "r1", at, target, expiresAt: never }) as const;
  const isRevoked = (set: RevocationSet) =>
    target.kind === "address" ? set.blocks("192.0.2.7") : set.has({ ...nobody, ...more });
  /** @returns at which of these moments it is revoked */
  const during = (set: RevocationSet, ...moments: number[]) =>
    moments.filter((now) => {
      set.pass(now);
      return isRevoked(set);
    });

  test("counts again behind that moment, long before it is forgotten", () => {
    const set = new RevocationSet();
    set.pass(900);
    set.apply(until(1_000, 1), 0);
    expect(during(set, 900, 1_000, 1_001)).toEqual([900, 1_000]);
    expect(set.size).toBe(1);
  });

  test("is another answer then for those who keep theirs, and when a clock is put back", () => {
    const set = new RevocationSet();
    set.apply(until(1_000, 1), 0);
    set.pass(900);
    const { version } = set;
    set.pass(1_000);
    expect(set.version).toBe(version);
    set.pass(1_001);
    const ended = set.version;
    expect(ended).toBeGreaterThan(version);
    set.pass(1_500);
    expect(set.version).toBe(ended);
    set.pass(950);
    expect(set.version).toBeGreaterThan(ended);
    expect(isRevoked(set)).toBe(true);
  });

  test("holds until the later of two moments, whichever was ordered first", () => {
    for (const orders of [
      [until(1_000, 1), until(2_000, 2)],
      [until(2_000, 1), until(1_000, 2)],
    ]) {
      const set = new RevocationSet();
      for (const order of orders) set.apply(order, 0);
      expect(during(set, 1_500, 2_001)).toEqual([1_500]);
    }
  });

  test("ends then, though it was revoked for ever once, and that lifted", async () => {
    const set = new RevocationSet();
    set.apply(until(never, 1), 0);
    set.apply(lifted(2), 0);
    set.apply(until(1_000, 3), 0);
    const merged = new RevocationSet();
    merged.apply(until(never, 1), 0);
    await merged.merge(set.dump(), 0);
    for (const one of [set, RevocationSet.restore(set.dump()), merged])
      expect(during(one, 900, 1_001)).toEqual([900]);
  });
});

describe("a lifted token whose fingerprint others keep for longer", () => {
  const target = { kind: "token", issuer: "shop", jti: "t1" } as const;
  const revoked = (expiresAt: number) => ({ v: 1, id: "r1", at: 1, ...target, expiresAt }) as const;
  const credential = { ...nobody, jti: "t1" };
  async function met(): Promise<RevocationSet> {
    const set = new RevocationSet();
    set.apply(revoked(1_000), 0);
    set.apply({ v: 1, kind: "lifting", id: "l1", lifts: "r1", at: 2, target, expiresAt: 1_000 }, 0);
    const other = new RevocationSet(set.key);
    other.apply(revoked(3_000), 0);
    await set.merge(other.dump(), 0);
    return set;
  }

  test("stays lifted for as long", async () => {
    const set = await met();
    set.sweep(1_500);
    expect(set.has(credential)).toBe(false);
    set.sweep(3_001);
    expect(set.size).toBe(0);
  });

  test("also where it is taken over late", async () => {
    const set = await met();
    const merged = new RevocationSet();
    await merged.merge(set.dump(), 1_500);
    expect(merged.has(credential)).toBe(false);
    const recovered = new RevocationSet();
    for (const entry of set.lacking(recovered, 1_500)) recovered.apply(entry, 1_500);
    expect(recovered.has(credential)).toBe(false);
  });
});
