/** The real program as child processes, started by the command that users type. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { dieWithParent } from "./processes.ts";

export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
export const tocsin = join(root, "cli", "bin", "tocsin.js");

export interface Program extends AsyncDisposable {
  readonly process: ChildProcess;
  /** What it printed as bound: `proxy`, `probe`, `admin`. */
  readonly bound: Readonly<Record<string, string>>;
  readonly environment: Readonly<Record<string, string>>;
  /** What it has written to standard error so far: the last 400,000 characters. */
  log(): string;
  /** Everything it has written to standard output. */
  output(): string;
  /** Freezes it: connections stay open, nothing is answered, no timer runs. */
  freeze(): void;
  thaw(): void;
  /** Sends a signal and waits for the end, of a frozen one too. Resolves with the exit code, or the signal that ended it. */
  end(signal: NodeJS.Signals): Promise<number | NodeJS.Signals>;
  /** The same command with the same environment and ports again; after {@link end}. */
  again(): Promise<Program>;
}

export interface ProgramOptions {
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

/** Starts `tocsin …` and waits until it has printed what it bound. */
export async function startProgram(options: ProgramOptions): Promise<Program> {
  const environment = {
    PATH: process.env["PATH"] ?? "",
    HOME: process.env["HOME"] ?? "",
    ...options.environment,
  };
  const [command, ...before] = [...dieWithParent, process.execPath];
  const child = spawn(command, [...before, tocsin, ...options.args, "--json"], {
    env: environment,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let talk = "";
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    talk = (talk + text).slice(-400_000);
  });
  const exited = once(child, "exit") as Promise<[number | null, NodeJS.Signals | null]>;
  const bound = await Promise.race([
    firstLine(child),
    exited.then(([code, signal]) => {
      throw new Error(
        `tocsin ${options.args.join(" ")} ended with ${code ?? signal} before it was ready:\n${talk}`,
      );
    }),
  ]);
  const end = async (signal: NodeJS.Signals) => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill(signal);
      child.kill("SIGCONT");
    }
    const [code, killed] = await exited;
    return code ?? killed ?? 0;
  };
  return {
    process: child,
    bound,
    environment: options.environment,
    log: () => talk,
    output: () => output,
    freeze: () => void child.kill("SIGSTOP"),
    thaw: () => void child.kill("SIGCONT"),
    end,
    again: () =>
      startProgram({
        args: options.args,
        environment: { ...options.environment, ...samePorts(bound) },
      }),
    async [Symbol.asyncDispose]() {
      await end("SIGKILL");
    },
  };
}

async function firstLine(child: ChildProcess): Promise<Record<string, string>> {
  const lines = createInterface({ input: child.stdout! });
  const [line] = (await once(lines, "line")) as [string];
  lines.on("line", () => {});
  return JSON.parse(line) as Record<string, string>;
}

/** The settings that make a process bind again what it had bound. */
function samePorts(bound: Readonly<Record<string, string>>): Record<string, string> {
  const settings: Record<string, string> = {};
  for (const [key, name] of [
    ["proxy", "TOCSIN_LISTEN"],
    ["probe", "TOCSIN_PROBE_LISTEN"],
    ["admin", "TOCSIN_ADMIN_LISTEN"],
  ] as const) {
    const url = bound[key];
    if (url !== undefined) settings[name] = new URL(url).host;
  }
  return settings;
}

export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `tocsin …` to its end. */
export async function runTocsin(
  args: readonly string[],
  environment: Readonly<Record<string, string>>,
  input?: string,
): Promise<CommandResult> {
  const child = spawn(process.execPath, [tocsin, ...args], {
    env: {
      PATH: process.env["PATH"] ?? "",
      HOME: process.env["HOME"] ?? "",
      NO_COLOR: "1",
      ...environment,
    },
    stdio: ["pipe", "pipe", "pipe"],
  });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  child.stdin.on("error", () => {});
  child.stdin.end(input ?? "");
  const [code] = (await once(child, "close")) as [number | null];
  return { code: code ?? -1, stdout, stderr };
}

export interface TemporaryDirectory extends Disposable {
  readonly path: string;
}

export function temporaryDirectory(): TemporaryDirectory {
  const path = mkdtempSync(join(tmpdir(), "tocsin-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}
