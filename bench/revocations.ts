/**
 * What a million revocations cost: memory, adding, asking, loading from the last-good file and from journal entries.
 *
 * Run it with `node --expose-gc bench/revocations.ts [count]`. The figures are printed as a table; the bounds stand in the right column.
 */
import { RevocationSet } from "@tocsin/shared/revocations";
import { createRevocationTable } from "../proxy/src/state/revocation-table.ts";

const count = Number(process.argv[2] ?? 1_000_000);
const expiresAt = Math.floor(Date.now() / 1000) + 3_600;
const issuer = "https://issuer.example/realms/main";
// Written out, because the memory of texts that are still in pieces would count as the set's.
const jtis = Array.from({ length: count }, (_, index) =>
  Buffer.from(`3f2b8c1e-0000-4000-8000-${String(index).padStart(12, "0")}`).toString("latin1"),
);

/** CPU time of the process, its collector's included: others may be at work on this machine. */
function timed<T>(run: () => T): { readonly result: T; readonly ms: number } {
  const start = process.cpuUsage();
  const result = run();
  const { user, system } = process.cpuUsage(start);
  return { result, ms: (user + system) / 1000 };
}

function resident(): number {
  // Buffers that nobody holds are given back some time after they are collected.
  for (let turn = 0; turn < 4; turn += 1) globalThis.gc?.();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

const rows: Record<string, string | number>[] = [];
const row = (what: string, figure: string, must = "") => rows.push({ what, figure, must });
const MB = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;

const before = resident();
const set = new RevocationSet();
let slowest = 0;
const adding = timed(() => {
  for (const jti of jtis) {
    const start = performance.now();
    set.addToken(set.fingerprint(issuer, jti), expiresAt);
    slowest = Math.max(slowest, performance.now() - start);
  }
});
row("memory", `${MB(set.bytes)} of slots, ${MB(resident() - before)} in all`, "40 MB");
row(
  "add, one by one",
  `${((adding.ms / count) * 1000).toFixed(2)} µs each, ${adding.ms.toFixed(0)} ms in all`,
);
row("slowest single add, by the clock", `${slowest.toFixed(2)} ms`);

// As in the gateway: the fingerprint is there since the token was verified.
const known = jtis.map((jti) => ({
  issuer,
  subject: "s",
  issuedAt: expiresAt,
  jti,
  fingerprint: set.fingerprint(issuer, jti),
}));
const unknown = jtis.map((jti) => ({
  issuer,
  subject: "s",
  issuedAt: expiresAt,
  jti,
  fingerprint: set.fingerprint("other", jti),
}));
const shuffle = <T>(list: T[]) => {
  let state = 1;
  for (let index = list.length - 1; index > 0; index -= 1) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    const other = state % (index + 1);
    [list[index], list[other]] = [list[other]!, list[index]!];
  }
  return list;
};
for (const [name, list] of [
  ["not revoked", shuffle(unknown)],
  ["revoked", shuffle(known)],
] as const) {
  const best = Math.min(
    ...[1, 2, 3].map(() => {
      let found = 0;
      const { ms } = timed(() => {
        for (const credential of list) if (set.has(credential)) found += 1;
      });
      if (found !== (name === "revoked" ? count : 0)) throw new Error(`${found} found`);
      return ms;
    }),
  );
  row(`lookup, ${name}, random order`, `${((best / count) * 1000).toFixed(3)} µs`, "0.5 µs");
}
const hashing = timed(() => {
  for (const jti of jtis) set.fingerprint(issuer, jti);
});
row("fingerprint, once per verified token", `${((hashing.ms / count) * 1000).toFixed(2)} µs`);

const dumping = timed(() => set.dump());
row("dump", `${dumping.ms.toFixed(0)} ms, ${MB(dumping.result.length)}`);
const restoring = timed(() => RevocationSet.restore(dumping.result));
row("load from the dump", `${restoring.ms.toFixed(0)} ms`, "2000 ms");
if (restoring.result.size !== count) throw new Error("not all came back");

const bodies = jtis.map((jti, index) =>
  JSON.stringify({ v: 1, id: `r-${index}`, kind: "token", issuer, jti, expiresAt }),
);
const target = new RevocationSet();
const table = createRevocationTable({ revocations: target, forgetBefore: () => 0 });
const loading = timed(() =>
  table.load(
    bodies.map((body, index) => ({
      change: table.decode({ key: "token", body, sequence: index + 1, epoch: "e" }),
      key: "token",
      sequence: index + 1,
    })),
  ),
);
row("decode and load as journal entries", `${loading.ms.toFixed(0)} ms`, "2000 ms");
if (target.size !== count) throw new Error("not all were loaded");

const turns = Array.from({ length: 256 }, () => timed(() => set.sweep(expiresAt + 1, 1)).ms);
row(
  "forget all, in 256 turns",
  `${turns.reduce((sum, ms) => sum + ms).toFixed(0)} ms, slowest turn ${Math.max(...turns).toFixed(2)} ms`,
);
if (set.size !== 0) throw new Error("something was left");

console.log(`${count} revocations, node ${process.version}, times in CPU time`);
console.table(rows);
