/**
 * Runs the command as a shell does: a process, through `bin/tocsin.js`.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const bin = join(root, "cli/bin/tocsin.js");

export interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly ms: number;
}

export interface RunOptions {
  readonly environment?: Readonly<Record<string, string>>;
  readonly input?: string;
  /** Default: the Node that runs the tests. */
  readonly node?: string;
  readonly cwd?: string;
}

/** Starts the command. Nothing of this process's own `TOCSIN_*` variables reaches it. */
export function startTocsin(args: readonly string[], options: RunOptions = {}) {
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(TOCSIN_|NO_COLOR|FORCE_COLOR)/.test(name),
  );
  return spawn(options.node ?? process.execPath, [bin, ...args], {
    cwd: options.cwd ?? root,
    env: { ...Object.fromEntries(inherited), ...options.environment },
    stdio: ["pipe", "pipe", "pipe"],
  });
}

/** Runs the command to its end. */
export async function tocsin(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const since = performance.now();
  const child = startTocsin(args, options);
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  child.stdin.on("error", () => {}).end(options.input ?? "");
  const [code] = (await once(child, "close")) as [number | null];
  return { code, stdout, stderr, ms: performance.now() - since };
}
