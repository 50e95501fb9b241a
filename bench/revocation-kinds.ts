/**
 * What it costs to ask about a credential, with each kind of revocation beside the others, with liftings, and about an address.
 *
 * `node --expose-gc bench/revocation-kinds.ts [tokens] [blocks]`, one million and 100,000 by default. The best of seven rounds, CPU time
 * of the process; memory after a full collection.
 */
import { RevocationSet, type Credential } from "@tocsin/shared/revocations";
import type { Revocation } from "@tocsin/shared/contract";

const tokens = Number(process.argv[2] ?? 1_000_000);
const blocks = Number(process.argv[3] ?? 100_000);
const asked = 200_000;
const rounds = 7;
const issuer = "https://issuer.example/realms/main";
const never = 1e11;
const soon = Math.floor(Date.now() / 1000) + 3_600;

const rows: Record<string, string>[] = [];
const row = (what: string, figure: string) => rows.push({ what, figure });
const MB = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;

function cpuMs(run: () => void): number {
  const start = process.cpuUsage();
  run();
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1_000;
}

function best(run: () => void): number {
  run();
  return Math.min(...Array.from({ length: rounds }, () => cpuMs(run)));
}

function resident(): number {
  // Buffers that nobody holds are given back some time after they are collected.
  for (let turn = 0; turn < 4; turn += 1) globalThis.gc?.();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

// Chosen at random, so that no question finds what the one before has brought into the processor's caches.
let state = 1;
const random = () => {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return state >>> 0;
};

/** Everything that can be asked about a credential; none of it is revoked. */
function credentialsOf(set: RevocationSet): Credential[] {
  return Array.from({ length: asked }, (_, index) => {
    const jti = `good-${String(random() % 1_000_000).padStart(12, "0")}`;
    return {
      issuer,
      subject: `user-${index % 10_000}`,
      issuedAt: soon,
      jti,
      fingerprint: set.fingerprint(issuer, jti),
      session: `session-${index % 10_000}`,
      client: "web",
      keyId: "2026-11",
    };
  });
}

function asking(name: string, set: RevocationSet): void {
  const credentials = credentialsOf(set);
  const ms = best(() => {
    for (const credential of credentials)
      if (set.has(credential)) throw new Error("one was found that is not revoked");
  });
  row(`lookup, ${name}`, `${((ms / asked) * 1_000).toFixed(2)} µs`);
}

function fill(set: RevocationSet, count: number): void {
  for (let index = 0; index < count; index += 1) {
    const jti = Buffer.from(`3f2b8c1e-0000-4000-8000-${String(index).padStart(12, "0")}`);
    set.addToken(set.fingerprint(issuer, jti.toString("latin1")), soon);
  }
}

const everyKind: readonly Omit<Revocation, "v" | "id" | "at">[] = Array.from(
  { length: 1_000 },
  (_, index) => [
    { kind: "user", subject: `other-${index}`, issuedBefore: soon, expiresAt: never } as const,
    { kind: "session", sid: `other-${index}`, expiresAt: never } as const,
    { kind: "client", clientId: `other-${index}`, expiresAt: never } as const,
    { kind: "signing-key", issuer, kid: `other-${index}`, expiresAt: never } as const,
    {
      kind: "issuer",
      issuer: `https://other-${index}/`,
      issuedBefore: soon,
      expiresAt: never,
    } as const,
    { kind: "api-key", key: `other-${index}`, expiresAt: never } as const,
  ],
).flat();

for (const count of [0, tokens]) {
  const before = resident();
  const set = new RevocationSet();
  fill(set, count);
  const some = count === 0 ? "nothing revoked" : `${count.toLocaleString("en")} tokens`;
  if (count > 0) {
    const held = resident() - before;
    row(`memory of ${some}`, `${MB(held)}, ${(held / count).toFixed(1)} B each`);
  }
  asking(some, set);
  const without = count === 0 ? resident() : 0;
  let at = 0;
  for (const entry of everyKind)
    set.apply({ v: 1, id: `r-${at}`, at: (at += 1), ...entry } as Revocation, 0);
  if (count === 0) row("memory of 1,000 of each other kind", MB(resident() - without));
  asking(`${some} and 1,000 of each other kind`, set);
  const lifting = cpuMs(() => {
    for (let index = 0; index < 1_000; index += 1)
      set.apply(
        {
          v: 1,
          kind: "lifting",
          id: `l-${index}`,
          lifts: `r-${index}`,
          at: (at += 1),
          target: { kind: "token", issuer, jti: `lifted-${index}` },
          expiresAt: soon,
        },
        0,
      );
  });
  row(`lifting, with ${some}`, `${((lifting / 1_000) * 1_000).toFixed(1)} µs each`);
  asking(`${some}, of each kind, and 1,000 liftings`, set);
  const singles = Array.from({ length: 100_000 }, (_, index) =>
    set.fingerprint(issuer, `new-${index}`),
  );
  const adding = cpuMs(() => {
    for (const token of singles) set.addToken(token, soon);
  });
  row(
    `revoking a token, beside 1,000 liftings, with ${some}`,
    `${((adding / 100_000) * 1_000).toFixed(2)} µs`,
  );
}

for (const [name, block, good] of [
  [
    "IPv4 addresses",
    (at: number) => `10.${at >> 16}.${(at >> 8) & 255}.${at & 255}/32`,
    (at: number) => `11.${at >> 16}.${(at >> 8) & 255}.${at & 255}`,
  ],
  [
    "IPv6 networks",
    (at: number) => `2001:db8:${(at >> 16).toString(16)}:${(at & 65_535).toString(16)}::/64`,
    (at: number) => `2001:db9:${(at >> 16).toString(16)}:${(at & 65_535).toString(16)}::1`,
  ],
  [
    "IPv4 blocks of 24 lengths",
    (at: number) => {
      const length = 9 + (at % 24);
      const value = ((10 << 24) | (at << 6)) >>> 0;
      const network = ((value >>> (32 - length)) << (32 - length)) >>> 0;
      return `${network >>> 24}.${(network >> 16) & 255}.${(network >> 8) & 255}.${network & 255}/${length}`;
    },
    (at: number) => `200.${at >> 16}.${(at >> 8) & 255}.${at & 255}`,
  ],
] as const) {
  const addresses = Array.from({ length: asked }, () => good(random() % 100_000));
  const empty = new RevocationSet();
  if (name === "IPv4 addresses") {
    const ms = best(() => {
      for (const address of addresses) if (empty.blocks(address)) throw new Error("blocked");
    });
    row("address, nothing blocked", `${((ms / asked) * 1_000).toFixed(3)} µs`);
  }
  const before = resident();
  const set = new RevocationSet();
  const adding = cpuMs(() => {
    for (let at = 0; at < blocks; at += 1)
      set.apply({ v: 1, kind: "address", id: "b", at, cidr: block(at), expiresAt: never }, 0);
  });
  const held = resident() - before;
  const many = set.addresses.toLocaleString("en");
  row(`block ${many} ${name}`, `${adding.toFixed(0)} ms, ${MB(held)}`);
  const ms = best(() => {
    for (const address of addresses) if (set.blocks(address)) throw new Error("blocked");
  });
  row(`address, among ${many} ${name}`, `${((ms / asked) * 1_000).toFixed(2)} µs`);
}

console.table(rows);
