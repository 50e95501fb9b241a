/**
 * What many revocations cost: memory, adding, asking, forgetting, handing on as a whole, and taking in entry by entry.
 *
 * `node --expose-gc bench/revocations.ts [count]`. The figures are printed as a table; the bounds stand in the right column. Times are
 * CPU time of the process, its collector's included, because others may be at work on this machine; pauses are by the clock, and so
 * the longest one may be somebody else's.
 */
import { FingerprintSet, segmentCount } from "../shared/src/revocations/fingerprint-set.ts";
import { RevocationSet } from "@tocsin/shared/revocations";
import { createRevocationTable } from "../proxy/src/state/revocation-table.ts";

const count = Number(process.argv[2] ?? 1_000_000);
const expiresAt = Math.floor(Date.now() / 1000) + 3_600;
const issuer = "https://issuer.example/realms/main";
/** Single entries that are taken in, and questions that are asked. */
const sample = 500_000;
const rounds = 5;

// Written out, because a text that is still in pieces is hashed more slowly than one from a token.
const jtiOf = (index: number) =>
  Buffer.from(`3f2b8c1e-0000-4000-8000-${String(index).padStart(12, "0")}`).toString("latin1");

function cpuMs(start: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1000;
}

function timed<T>(run: () => T): { readonly result: T; readonly ms: number } {
  const start = process.cpuUsage();
  const result = run();
  return { result, ms: cpuMs(start) };
}

function median(values: readonly number[]): number {
  return values.toSorted((one, other) => one - other)[values.length >> 1]!;
}

function resident(): number {
  // Buffers that nobody holds are given back some time after they are collected.
  for (let turn = 0; turn < 4; turn += 1) globalThis.gc?.();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

/** Runs work that gives way, and tells the longest time in which nobody else had a turn. */
async function watched<T>(
  run: () => Promise<T>,
): Promise<{ readonly result: T; readonly ms: number; readonly longestMs: number }> {
  const start = process.cpuUsage();
  let last = performance.now();
  let longestMs = 0;
  let over = false;
  const look = () => {
    const now = performance.now();
    longestMs = Math.max(longestMs, now - last);
    last = now;
    if (!over) setImmediate(look);
  };
  setImmediate(look);
  const result = await run();
  over = true;
  return { result, ms: cpuMs(start), longestMs: Math.max(longestMs, performance.now() - last) };
}

const rows: Record<string, string>[] = [];
const row = (what: string, figure: string, must = "") => rows.push({ what, figure, must });
const MB = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;
const each = (bytes: number) => (count === 0 ? "" : ` (${(bytes / count).toFixed(1)} B each)`);

const before = resident();
const set = new RevocationSet();
const pauses: number[] = [];
const adding = timed(() => {
  for (let index = 0; index < count; index += 1) {
    const jti = jtiOf(index);
    const start = performance.now();
    set.addToken(set.fingerprint(issuer, jti), expiresAt);
    const ms = performance.now() - start;
    if (ms > 0.5) pauses.push(ms);
  }
});
const held = resident() - before;
row("memory", `${MB(set.bytes)} of slots, ${MB(held)} in all${each(held)}`, "40 B each");
if (count > 0) {
  row("add, text and clock included", `${((adding.ms / count) * 1000).toFixed(2)} µs each`);
  row(
    "slowest single adds, by the clock",
    `${pauses
      .toSorted((one, other) => other - one)
      .slice(0, 3)
      .map((ms) => ms.toFixed(1))
      .join(", ")} ms`,
    "10 ms",
  );
}

const dumping = await watched(() => set.dumpInSlices());
const dump = dumping.result;
row(
  "dump, in slices",
  `${dumping.ms.toFixed(0)} ms, ${MB(dump.length)}${each(dump.length)}, longest pause ${dumping.longestMs.toFixed(1)} ms`,
  "10 ms",
);
row("dump, at once", `${timed(() => set.dump()).ms.toFixed(0)} ms`);
const restoring = timed(() => RevocationSet.restore(dump));
if (restoring.result.size !== count) throw new Error("not all came back");
row("restore, at once", `${restoring.ms.toFixed(0)} ms`, "2000 ms for 1 M");

const merging: { readonly ms: number; readonly longestMs: number }[] = [];
let merged = new RevocationSet();
for (let round = 0; round < 3; round += 1) {
  merged = new RevocationSet();
  merging.push(await watched(() => merged.merge(dump, 0)));
}
if (merged.size !== count) throw new Error("not all were merged");
row(
  "merge into an empty set",
  `${median(merging.map(({ ms }) => ms)).toFixed(0)} ms, longest pauses ${merging.map(({ longestMs }) => longestMs.toFixed(1)).join(", ")} ms`,
  "2000 ms for 1 M, 10 ms",
);
const again = await watched(() => merged.merge(dump, 0));
row(
  "merge into the same set",
  `${again.ms.toFixed(0)} ms, longest pause ${again.longestMs.toFixed(1)} ms, ${merged.bytes === set.bytes ? "no" : MB(merged.bytes - set.bytes)} more memory`,
  "10 ms",
);
const lacking = timed(() => [...set.lacking(merged, 0)].length);
if (lacking.result !== 0) throw new Error("something is lacking");
row("finding that nothing is lacking, at once", `${lacking.ms.toFixed(0)} ms`);

// Chosen at random, so that no question finds what the one before has brought into the processor's caches.
let state = 1;
const random = () => {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return state >>> 0;
};
const questions = Array.from({ length: sample }, () => jtiOf(count === 0 ? 0 : random() % count));
for (const [name, from, expected] of [
  ["not revoked", "other", 0],
  ["revoked", issuer, count === 0 ? 0 : sample],
] as const) {
  // As in the gateway: the fingerprint is there since the token was verified.
  const credentials = questions.map((jti) => ({
    issuer: from,
    subject: "s",
    issuedAt: expiresAt,
    jti,
    fingerprint: set.fingerprint(from, jti),
  }));
  const ask = () => {
    let found = 0;
    for (const credential of credentials) if (set.has(credential)) found += 1;
    if (found !== expected) throw new Error(`${found} found`);
  };
  ask();
  const ms = median(Array.from({ length: rounds }, () => timed(ask).ms));
  row(`lookup, ${name}, in random order`, `${((ms / sample) * 1000).toFixed(3)} µs`, "0.5 µs");
}
const hashing = timed(() => {
  for (const jti of questions) set.fingerprint(issuer, jti);
});
row("fingerprint, once per verified token", `${((hashing.ms / sample) * 1000).toFixed(2)} µs`);

/** Forgetting while the set lives: each turn of the proxy looks at one of 256 parts. */
function forgetting(name: string, expiryOf: (index: number) => number, now: number): void {
  const tokens = new FingerprintSet();
  for (let index = 0; index < count; index += 1) tokens.add(random(), random(), expiryOf(index));
  const full = tokens.bytes;
  const turns = Array.from({ length: segmentCount }, () => timed(() => tokens.sweep(now, 1)).ms);
  const all = turns.reduce((sum, ms) => sum + ms);
  row(
    name,
    `${all.toFixed(0)} ms in ${turns.length} turns, slowest ${Math.max(...turns).toFixed(1)} ms, ${tokens.size.toLocaleString("en")} left, ${MB(full - tokens.bytes)} freed`,
    "10 ms a turn",
  );
}
if (count > 0) {
  forgetting("forget: nothing has expired", () => 1_000, 500);
  forgetting("forget: one of a hundred", (index) => (index % 100 === 0 ? 100 : 1_000), 500);
  forgetting("forget: half", (index) => (index % 2 === 0 ? 100 : 1_000), 500);
  forgetting("forget: all", () => 100, 500);
}

/** Takes in entries that others write, into a set that is as large as this one. */
function takingIn(bodies: readonly string[], per: number): void {
  const table = createRevocationTable({ revocations: merged, forgetBefore: () => 0 });
  const rates = Array.from({ length: rounds }, (_, round) => {
    const from = Math.floor((bodies.length / rounds) * round);
    const part = bodies.slice(from, from + Math.floor(bodies.length / rounds));
    const { ms } = timed(() => {
      let sequence = 0;
      for (const body of part) {
        sequence += 1;
        table.apply(table.decode({ key: "token", body, sequence, epoch: "e" }), sequence);
      }
    });
    return (part.length * per * 1000) / ms;
  });
  row(
    `decode and apply, ${per === 1 ? "one by one" : `${per} an entry`}`,
    `${Math.round(median(rates) / 1000).toLocaleString("en")},000 tokens/s`,
    "300,000/s",
  );
}
const revocation = (index: number) => ({
  v: 1,
  id: `r-${index}`,
  kind: "token",
  issuer,
  jti: jtiOf(count + index),
  expiresAt,
});
const singles = Array.from({ length: 500_000 }, (_, index) => JSON.stringify(revocation(index)));
takingIn(singles, 1);
const batches = Array.from({ length: 500 }, (_, batch) =>
  JSON.stringify({
    v: 1,
    kind: "batch",
    items: Array.from({ length: 1_000 }, (__, index) =>
      revocation(500_000 + batch * 1_000 + index),
    ),
  }),
);
takingIn(batches, 1_000);

console.log(`${count.toLocaleString("en")} revocations, node ${process.version}`);
console.table(rows);
