/**
 * Latency at a rate that a program can keep: 80 % of what it answers at most, and nginx at that very same rate beside it.
 *
 *     node bench/latency.ts [name…]          # tocsin-open, fastify-http-proxy and nginx when none is named
 *
 * What a program answers at most is found with wrk; then h2load sends at a fixed rate over 50 connections and writes the time of every
 * single answer. Needs wrk, nginx and h2load (Debian: nghttp2-client).
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { usageOf } from "./accounting.ts";
import type { Contender, Started } from "./contender.ts";
import { apply } from "./load.ts";
import { startUpstream } from "./nginx.ts";
import { peers } from "./peers.ts";
import { place } from "./placement.ts";
import { run } from "./processes.ts";
import { ensureTools, has } from "./tools.ts";
import { tocsinContenders } from "./tocsin/contenders.ts";
import { path } from "./verify.ts";

const connections = 50;
const share = 0.8;
const warmUpSeconds = 8;
const capacitySeconds = 4;
const measuredSeconds = 10;

const say = (line: string) => process.stderr.write(`${line}\n`);

interface Timed {
  readonly rate: number;
  readonly answered: number;
  readonly busy: number;
  /** In milliseconds. */
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
}

async function atRate(started: Started, rate: number, directory: string): Promise<Timed> {
  const log = join(directory, "h2load.log");
  rmSync(log, { force: true });
  const before = usageOf(started.pid);
  const begunAt = performance.now();
  await run(
    [
      "h2load",
      "--h1",
      `--clients=${connections}`,
      "--threads=1",
      `--rps=${rate / connections}`,
      `--duration=${measuredSeconds}`,
      "--warm-up-time=1",
      `--log-file=${log}`,
      started.url + path,
    ],
    { core: placement.load, withinMs: (measuredSeconds + 20) * 1_000 },
  );
  const elapsedMicros = (performance.now() - begunAt) * 1_000;
  const cpuMicros = usageOf(started.pid).cpuMicros - before.cpuMicros;
  const times: number[] = [];
  for (const line of readFileSync(log, "utf8").trim().split("\n")) {
    const [, status, micros] = line.split("\t");
    if (status !== "200") throw new Error(`an answer of ${status}`);
    times.push(Number(micros));
  }
  times.sort((a, b) => a - b);
  const at = (quantile: number) => times[Math.floor(times.length * quantile)]! / 1_000;
  return {
    rate: Math.round(rate),
    answered: Math.round(times.length / measuredSeconds),
    busy: cpuMicros / elapsedMicros,
    p50: at(0.5),
    p99: at(0.99),
    p999: at(0.999),
  };
}

async function capacityOf(started: Started): Promise<number> {
  const load = { url: started.url + path, connections, core: placement.load, tokenFile: undefined };
  await apply({ ...load, seconds: warmUpSeconds });
  const { requests, micros } = await apply({ ...load, seconds: capacitySeconds });
  return (requests / micros) * 1e6;
}

const placement = place();
ensureTools(say);
if (!has("h2load"))
  throw new Error("h2load is missing. Debian and Ubuntu: apt-get install nghttp2-client.");
const all: readonly Contender[] = [...peers, ...tocsinContenders(100_000)];
const wanted =
  process.argv.length > 2 ? process.argv.slice(2) : ["tocsin-open", "fastify-http-proxy", "nginx"];
const chosen = wanted.map((name) => {
  const found = all.find((contender) => contender.name === name);
  if (found === undefined)
    throw new Error(`unknown: ${name}. There are ${all.map((one) => one.name).join(", ")}.`);
  return found;
});

const directory = mkdtempSync(join(tmpdir(), "tocsin-latency-"));
try {
  await using stack = new AsyncDisposableStack();
  const upstream = stack.use(
    await startUpstream({ directory: join(directory, "upstream"), core: placement.upstream }),
  );
  const rows: object[] = [];
  let first: number | undefined;
  for (const contender of chosen) {
    const own = join(directory, contender.name);
    mkdirSync(own);
    await using started = await contender.start({
      placement,
      upstream: upstream.url,
      directory: own,
    });
    const capacity = await capacityOf(started);
    first ??= capacity;
    say(`${contender.name}: at most ${Math.round(capacity)} requests/s`);
    const own80 = capacity * share;
    // What it cannot answer says nothing about its latency.
    const rates =
      contender === chosen[0] || first * share > capacity ? [own80] : [first * share, own80];
    for (const rate of rates) {
      const timed = await atRate(started, rate, own);
      say(`${contender.name}: ${JSON.stringify(timed)}`);
      rows.push({
        program: contender.name,
        "at most/s": Math.round(capacity),
        "rate/s": timed.rate,
        "answered/s": timed.answered,
        busy: `${Math.round(timed.busy * 100)} %`,
        "p50 ms": timed.p50.toFixed(2),
        "p99 ms": timed.p99.toFixed(2),
        "p99.9 ms": timed.p999.toFixed(2),
      });
    }
  }
  console.table(rows);
} finally {
  rmSync(directory, { recursive: true, force: true });
}
