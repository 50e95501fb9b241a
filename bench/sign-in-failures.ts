/**
 * What a flood of bad credentials costs a gateway, and what its log gets of it.
 *
 * `node bench/sign-in-failures.ts [checkout …]`: each checkout's `tocsin standalone` in turn, round by round, so that whatever else the
 * machine does meets all of them alike. Default: this one. CPU is what the operating system charged the gateway with.
 */
import { createHmac } from "node:crypto";
import { mkdtempSync, openSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { usageOf } from "./accounting.ts";
import type { Counted } from "./load.ts";
import { place } from "./placement.ts";
import { launch, run } from "./processes.ts";

const rounds = 5;
const seconds = 3;
const connections = 50;
const secret = "a secret of the benchmark that is long enough for HS256";

const here = dirname(import.meta.dirname);
const checkouts =
  process.argv.length > 2 ? process.argv.slice(2).map((path) => resolve(path)) : [here];
const { program, load } = place();
const directory = mkdtempSync(join(tmpdir(), "tocsin-bench-"));
process.once("exit", () => rmSync(directory, { recursive: true, force: true }));

const origin = createServer((_request, response) => response.end("ok"));
await new Promise<void>((done) => origin.listen(0, "127.0.0.1", done));

const now = Math.floor(Date.now() / 1_000);
const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
function token(index: number, key: string): string {
  const claims = { iss: "bench", aud: "api", sub: `user-${index}`, jti: `token-${index}` };
  const text = `${part({ alg: "HS256" })}.${part({ ...claims, iat: now, exp: now + 36_000 })}`;
  return `${text}.${createHmac("sha256", key).update(text).digest("base64url")}`;
}
function written(name: string, ...tokens: string[]): string {
  const file = join(directory, name);
  writeFileSync(file, tokens.join("\n"));
  return file;
}
function signedBy(name: string, key: string): string {
  return written(name, ...Array.from({ length: 1_000 }, (_, index) => token(index, key)));
}
const kinds: Readonly<Record<string, string | undefined>> = {
  "let in": signedBy("good", secret),
  "wrong signature": signedBy("bad", "a secret that somebody has made up for the occasion"),
  "not a token": written("malformed", "nothing-that-anybody-has-signed"),
  "no credential": undefined,
};

const config = join(directory, "tocsin.json");
writeFileSync(
  config,
  JSON.stringify({
    version: 1,
    environment: "development",
    identity: { issuers: [{ issuer: "bench", audience: "api", algorithms: ["HS256"], secret }] },
    services: {
      a: { instances: [{ url: `http://127.0.0.1:${(origin.address() as AddressInfo).port}` }] },
    },
    routes: [{ id: "r", match: { path: "/*" }, service: "a", auth: "required" }],
  }),
);

interface Sample {
  readonly micros: number;
  readonly lines: number;
  readonly bytes: number;
}
const samples = new Map<string, Sample[]>();

for (let round = 0; round < rounds; round += 1)
  for (const checkout of checkouts) await measure(checkout);

const rows = Object.keys(kinds).flatMap((kind) =>
  checkouts.map((checkout) => {
    const all = samples.get(`${checkout} ${kind}`)!;
    const median = (of: (sample: Sample) => number) =>
      all.map(of).toSorted((a, b) => a - b)[all.length >> 1]!;
    const micros = all.map((sample) => sample.micros);
    return {
      request: kind,
      checkout,
      "µs CPU": median((sample) => sample.micros).toFixed(1),
      "from … to": `${Math.min(...micros).toFixed(1)} … ${Math.max(...micros).toFixed(1)}`,
      "lines a second, access lines aside": median((sample) => sample.lines).toFixed(0),
      "bytes of log a request": median((sample) => sample.bytes).toFixed(0),
    };
  }),
);
console.table(rows);
origin.close();

async function measure(checkout: string): Promise<void> {
  const log = join(directory, "log");
  writeFileSync(log, "");
  const state = mkdtempSync(join(directory, "state-"));
  await using gateway = await launch({
    command: [process.execPath, join(checkout, "cli/bin/tocsin.js"), "standalone", "--json"],
    core: program,
    stderr: openSync(log, "a"),
    environment: {
      TOCSIN_CONFIG: config,
      TOCSIN_LISTEN: "127.0.0.1:0",
      TOCSIN_PROBE_LISTEN: "127.0.0.1:0",
      TOCSIN_ADMIN_LISTEN: "127.0.0.1:0",
      TOCSIN_STATE_DIR: state,
      TOCSIN_WORKERS: "1",
    },
  });
  const { proxy } = JSON.parse(gateway.output().split("\n")[0]!) as { proxy: string };
  const bear = { authorization: `Bearer ${token(0, secret)}` };
  while ((await fetch(proxy, { headers: bear })).status !== 200);
  for (const [kind, tokenFile] of Object.entries(kinds)) {
    // Once to warm up.
    await flood(proxy, tokenFile, 1);
    truncateSync(log);
    const before = usageOf(gateway.pid);
    const { requests, refused, micros } = await flood(proxy, tokenFile, seconds);
    const { cpuMicros } = usageOf(gateway.pid);
    if (refused !== (kind === "let in" ? 0 : requests))
      throw new Error(`${kind}: ${refused} of ${requests} were refused`);
    // Lines are written within a tenth of a second; summaries within five.
    const text = readFileSync(log, "latin1");
    const lines = text
      .split("\n")
      .filter((line) => line !== "" && !line.includes('"msg":"exchange"'));
    const key = `${checkout} ${kind}`;
    const sample = {
      micros: (cpuMicros - before.cpuMicros) / requests,
      lines: (lines.length * 1e6) / micros,
      bytes: text.length / requests,
    };
    samples.set(key, [...(samples.get(key) ?? []), sample]);
  }
}

async function flood(
  url: string,
  tokenFile: string | undefined,
  forSeconds: number,
): Promise<Counted> {
  const output = await run(
    [
      "wrk",
      "--threads=1",
      `--connections=${connections}`,
      `--duration=${forSeconds}s`,
      "--latency",
      `--script=${join(import.meta.dirname, "wrk.lua")}`,
      url,
    ],
    {
      core: load,
      withinMs: forSeconds * 1_000 + 10_000,
      ...(tokenFile === undefined ? {} : { environment: { BENCH_TOKENS: tokenFile } }),
    },
  );
  return JSON.parse(output.trim().split("\n").at(-1) ?? "") as Counted;
}
