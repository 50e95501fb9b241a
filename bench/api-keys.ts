/**
 * What API keys cost: finding out whom one speaks for, holding many of them, and whether the time tells anything about a wrong one.
 *
 * `node --expose-gc bench/api-keys.ts [count]`. Times are CPU time of the process, its collector's included, because others may be at
 * work on this machine; those of the rank test are by the clock, interleaved, so that whatever disturbs them disturbs all alike.
 */
import { randomBytes, randomInt } from "node:crypto";
import { Refusal, silentLog, systemClock } from "@tocsin/shared";
import { digestOfKey, freshApiKeyId, freshKey } from "@tocsin/shared/api-keys";
import type { ApiKeyEntry } from "@tocsin/shared/contract";
import { RevocationSet } from "@tocsin/shared/revocations";
import { ApiKeys } from "../proxy/src/identity/api-keys/api-keys.ts";
import { createIdentity } from "../proxy/src/identity/create.ts";
import { createCatalogueTable } from "../proxy/src/state/catalogue-table.ts";
import { loadKeyed } from "../proxy/src/state/keyed-entries.ts";

const count = Number(process.argv[2] ?? 10_000);
const asked = 400_000;
const rounds = 7;

const entryOf = (key: string): ApiKeyEntry => ({
  v: 1,
  kind: "api-key",
  id: key.slice(7, 19),
  revision: 1,
  principal: `service-${key.slice(7, 12)}`,
  roles: ["reader"],
  scopes: ["orders:read"],
  limits: [],
  createdAt: 1_700_000_000,
  secrets: [{ hash: digestOfKey(key), issuedAt: 1_700_000_000 }],
});

function resident(): number {
  for (let turn = 0; turn < 4; turn += 1) globalThis.gc?.();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

function cpuMs(run: () => void): number {
  const start = process.cpuUsage();
  run();
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1_000;
}

const median = (values: readonly number[]) =>
  values.toSorted((one, other) => one - other)[values.length >> 1]!;

/** Nanoseconds a turn: the median of several rounds. */
function each(run: (index: number) => unknown): number {
  const round = () =>
    (cpuMs(() => {
      for (let index = 0; index < asked; index += 1) run(index);
    }) *
      1e6) /
    asked;
  round();
  return Math.round(median(Array.from({ length: rounds }, round)));
}

const rows: Record<string, string>[] = [];
const row = (what: string, figure: string) => rows.push({ what, figure });
const MB = (bytes: number) => `${(bytes / 1e6).toFixed(2)} MB`;

// Many keys.
const keys = Array.from({ length: count }, () => freshKey(freshApiKeyId()));
const listeners = { onConfig() {}, onService() {}, onGone() {} };
const filled = createCatalogueTable(listeners);
for (const [index, key] of keys.entries()) {
  const entry = entryOf(key);
  const recorded = { key: `api-key.${entry.id}`, body: JSON.stringify(entry) };
  filled.apply(filled.decode({ ...recorded, sequence: index + 1, epoch: "e" }), index + 1);
}
const dump = filled.dump();
row(`${count} keys, as a snapshot and as the last-good file`, MB(dump.byteLength));
const before = resident();
const table = createCatalogueTable(listeners);
const loadMs = cpuMs(() => loadKeyed(table, dump, "e"));
row(`${count} keys, loaded by a proxy`, `${Math.round(loadMs)} ms`);
row(`${count} keys, in the memory of a proxy`, MB(resident() - before));

// The usual request. A text as it comes out of the parser: new each time.
const wire = keys.map((key) => Buffer.from(key));
const textOf = (index: number) => wire[index % wire.length]!.toString("latin1");
const options = { clock: systemClock, revocations: new RevocationSet(), apiKeys: table.apiKeys };
const engine = new ApiKeys(options);
const identity = createIdentity({ ...options, random: () => 0.5, log: silentLog });
identity.configure({ issuers: [], apiKeys: { header: "x-api-key" } }, { production: true });
const other = [
  "Accept",
  "*/*",
  "User-Agent",
  "bench",
  "Accept-Encoding",
  "gzip",
  "Content-Type",
  "application/json",
];
const origin = { trusted: false };
const presented = (passing: string[]) => ({
  method: "GET",
  head: {
    authorization: undefined,
    host: "api.example",
    forwardedHost: undefined,
    forwardedProto: undefined,
    passing,
  },
  origin,
});
const byText = new Map(keys.map((key) => [key, key]));
const textNs = each((index) => textOf(index).length);
row("a new text, to be taken off the rest", `${textNs} ns`);
row("SHA-256 of it", `${each((index) => digestOfKey(textOf(index))) - textNs} ns`);
row("whom it speaks for", `${each((index) => engine.identify(textOf(index))) - textNs} ns`);
row(
  "a Map by the text instead (not done: keys would stay in memory)",
  `${each((index) => byText.get(textOf(index))) - textNs} ns`,
);
const fieldsNs = each((index) => presented([...other, "X-API-Key", textOf(index)]));
row(
  "a request with a key: fields looked through, key taken out, principal found",
  `${each((index) => identity.identify(presented([...other, "X-API-Key", textOf(index)]), { mode: "required" })) - fieldsNs} ns`,
);
row(
  "a request without a key, on a route that takes none",
  `${each(() => identity.identify(presented([...other]), { mode: "none" })) - each(() => presented([...other]))} ns`,
);
console.table(rows);

// The rank test (Mann and Whitney): which of two kinds of wrong keys takes longer?
const victim = keys[0]!;
const anyId = () => keys[randomInt(keys.length)]!.slice(7, 19);
/** So many characters of it, and others: in the form of a key, with a checksum that does not fit. */
const beginning = (length: number) =>
  victim.slice(0, length) +
  randomBytes(64)
    .toString("base64url")
    .slice(0, victim.length - length);
const kinds = {
  "42 of the 43 characters of the secret": () => beginning(62),
  "none of them": () => beginning(20),
  "the id of a key, well-formed": () => freshKey(anyId()),
  "an id of nobody's, well-formed": () => freshKey(freshApiKeyId()),
};
type Kind = keyof typeof kinds;
const names = Object.keys(kinds) as Kind[];
const samples = 10_000;

function refused(text: string): void {
  try {
    engine.identify(text);
  } catch (error) {
    if (error instanceof Refusal && error.code === "credential-invalid") return;
    throw error;
  }
  throw new Error("a wrong key was let in");
}

/**
 * In an order of chance, made before anything is timed, and in that very order: neither what making one leaves behind in caches nor
 * where it lies in memory is to be seen in the time.
 */
function shuffled(): { name: Kind; text: Buffer }[] {
  const order = names.flatMap((name) => Array.from({ length: samples }, () => name));
  for (let at = order.length - 1; at > 0; at -= 1) {
    const other = randomInt(at + 1);
    [order[at], order[other]] = [order[other]!, order[at]!];
  }
  return order.map((name) => ({ name, text: Buffer.from(kinds[name]()) }));
}

function measure(): Map<Kind, number[]> {
  const times = new Map<Kind, number[]>(names.map((name) => [name, []]));
  for (const { name, text } of shuffled()) {
    const key = text.toString("latin1");
    const start = process.hrtime.bigint();
    refused(key);
    times.get(name)!.push(Number(process.hrtime.bigint() - start));
  }
  return times;
}

/** How many standard deviations the rank sum of one is off what it would be by chance; ties share their rank. */
function rankTest(one: readonly number[], other: readonly number[]): number {
  const all = [
    ...one.map((time) => ({ time, isOne: true })),
    ...other.map((time) => ({ time, isOne: false })),
  ].toSorted((a, b) => a.time - b.time);
  let sum = 0;
  let ties = 0;
  for (let at = 0; at < all.length;) {
    let end = at;
    while (end < all.length && all[end]!.time === all[at]!.time) end += 1;
    const rank = (at + 1 + end) / 2;
    for (; at < end; at += 1) if (all[at]!.isOne) sum += rank;
    const tied = end - at + 1;
    ties += tied ** 3 - tied;
  }
  const [m, n] = [one.length, other.length];
  const mean = (m * (m + n + 1)) / 2;
  const variance = ((m * n) / 12) * (m + n + 1 - ties / ((m + n) * (m + n - 1)));
  return (sum - mean) / Math.sqrt(variance);
}

measure();
const times = measure();
console.table(
  names.map((name) => ({ key: name, "median ns": median(times.get(name)!), tries: samples })),
);
const [close, far, known, nobody] = names.map((name) => times.get(name)!);
for (const [what, z] of [
  ["almost the secret, against nothing of it", rankTest(close!, far!)],
  ["a key's id, against nobody's", rankTest(known!, nobody!)],
] as const)
  console.log(
    `${what}: z = ${z.toFixed(2)} (${Math.abs(z) < 3.29 ? "no difference" : "a difference"} at p = 0.001)`,
  );
