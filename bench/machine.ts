/** Where and with what it was measured: a figure without it means nothing. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { cpus, release, totalmem, type } from "node:os";
import { dirname, join } from "node:path";

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly kernel: string;
}

export function machine(): Machine {
  const cores = cpus();
  return {
    cpu: cores[0]?.model ?? "unknown",
    cores: cores.length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: `${type()} ${release()}`,
  };
}

/** Names and versions of all that took part. */
export function versions(): Record<string, string> {
  return {
    node: process.version,
    nginx: firstNumber(said("nginx", "-v")),
    wrk: firstNumber(said("wrk", "-v")),
    undici: packageVersion("undici"),
    fastify: packageVersion("fastify"),
    "@fastify/http-proxy": packageVersion("@fastify/http-proxy"),
    "undici of @fastify/http-proxy": packageVersion(
      "undici",
      "@fastify/http-proxy",
      "@fastify/reply-from",
    ),
    commit: commit(),
  };
}

function said(program: string, ...args: string[]): string {
  const { stdout, stderr } = spawnSync(program, args, { encoding: "utf8" });
  return `${stdout}${stderr}`;
}

function firstNumber(text: string): string {
  return /\d+(\.\d+)+/.exec(text)?.[0] ?? "unknown";
}

/** @param through packages on the way: the one that the last of them finds */
function packageVersion(name: string, ...through: readonly string[]): string {
  let from = import.meta.filename;
  for (const step of through) from = createRequire(from).resolve(step);
  for (let folder = dirname(from); folder !== dirname(folder); folder = dirname(folder)) {
    try {
      const text = readFileSync(join(folder, "node_modules", name, "package.json"), "utf8");
      return (JSON.parse(text) as { readonly version: string }).version;
    } catch {}
  }
  return "unknown";
}

/** What is checked out, and whether it was changed since. */
function commit(): string {
  const directory = import.meta.dirname;
  const head = spawnSync("git", ["rev-parse", "--short=12", "HEAD"], {
    cwd: directory,
    encoding: "utf8",
  });
  if (head.status !== 0) return "unknown";
  const changes = spawnSync("git", ["status", "--porcelain", "--untracked-files=no"], {
    cwd: directory,
    encoding: "utf8",
  });
  return head.stdout.trim() + (changes.stdout.trim() === "" ? "" : " and changes");
}
