/** The load: wrk, one thread, connections that stay open, each sending its next request when the answer to the last one is there. */
import { join } from "node:path";
import { run } from "./processes.ts";

export interface Load {
  readonly url: string;
  readonly connections: number;
  readonly seconds: number;
  readonly core: number | undefined;
  /** A file with one bearer token a line, sent in turn. */
  readonly tokenFile: string | undefined;
}

/** What wrk counted. */
export interface Counted {
  /** Answers that were complete. */
  readonly requests: number;
  readonly micros: number;
  readonly bytes: number;
  /** Answers of 400 and above. */
  readonly refused: number;
  /** Failed to connect, broke off, or took longer than two seconds. */
  readonly broken: number;
  readonly p50Micros: number;
  readonly p99Micros: number;
}

const script = join(import.meta.dirname, "wrk.lua");

/** @throws Error when a single request failed: a program that refuses is fast, and measured for nothing */
export async function apply(load: Load): Promise<Counted> {
  const output = await run(
    [
      "wrk",
      "--threads=1",
      `--connections=${load.connections}`,
      `--duration=${load.seconds}s`,
      "--latency",
      `--script=${script}`,
      load.url,
    ],
    {
      core: load.core,
      withinMs: load.seconds * 1_000 + 10_000,
      ...(load.tokenFile === undefined ? {} : { environment: { BENCH_TOKENS: load.tokenFile } }),
    },
  );
  const counted = JSON.parse(output.trim().split("\n").at(-1) ?? "") as Counted;
  if (counted.requests === 0 || counted.refused > 0 || counted.broken > 0) {
    throw new Error(
      `${load.url}: ${counted.requests} answers, ${counted.refused} of them refusals, ${counted.broken} connections or requests broken`,
    );
  }
  return counted;
}
