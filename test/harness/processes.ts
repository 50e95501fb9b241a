/**
 * Child processes that tests start: ready when they say so, gone when the test is.
 */
import { spawn, spawnSync, type ChildProcess } from "node:child_process";

export interface ProcessOptions {
  readonly command: string;
  readonly args?: readonly string[];
  /** Added to the environment of this process. */
  readonly environment?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Tells from the output so far (standard output and error together) whether the process is ready. */
  readonly ready: (output: string) => boolean;
  /** How long the process may take to be ready, in milliseconds. Default 15 000. */
  readonly readyWithinMs?: number;
}

export interface Process extends AsyncDisposable {
  readonly pid: number;
  /** What it wrote so far, standard output and error together; the last 256 KiB. */
  output(): string;
  /** Resolves when the output satisfies the condition. */
  said(condition: (output: string) => boolean, withinMs?: number): Promise<string>;
  /** Resolves with how it ended. */
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  /** Sends a signal and waits until the process is gone. Default SIGKILL. */
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** Sends a signal and does not wait. */
  signal(signal: NodeJS.Signals): void;
  /** Stops it where it is: open connections, no answer, until {@link thaw}. */
  freeze(): void;
  thaw(): void;
}

const outputLimit = 256 * 1024;
const children = new Set<ChildProcess>();

// A test run that ends in any orderly way takes its children along; one that is killed leaves it to the kernel (below).
process.once("exit", () => {
  for (const child of children) child.kill("SIGKILL");
});

/** Linux can kill a child with its parent, however the parent dies. Elsewhere the handler above has to do. */
export const dieWithParent: readonly string[] =
  process.platform === "linux" && spawnSync("setpriv", ["--version"]).status === 0
    ? ["setpriv", "--pdeathsig", "KILL", "--"]
    : [];

/** Starts a process and waits until it is ready. @throws Error with its output when it ends or dawdles before that. */
export async function startProcess(options: ProcessOptions): Promise<Process> {
  const [command, ...args] = [...dieWithParent, options.command, ...(options.args ?? [])];
  const child = spawn(command!, args, {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...options.environment },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  children.add(child);
  let text = "";
  const listeners = new Set<() => void>();
  const hear = (chunk: string) => {
    text = (text + chunk).slice(-outputLimit);
    for (const listener of listeners) listener();
  };
  child.stdout.setEncoding("utf8").on("data", hear);
  child.stderr.setEncoding("utf8").on("data", hear);

  const ended = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) => {
    const done = (code: number | null, signal: NodeJS.Signals | null) => {
      children.delete(child);
      resolve({ code, signal });
      for (const listener of listeners) listener();
    };
    child.once("exit", done);
    child.once("error", (error) => {
      hear(`${error.message}\n`);
      done(null, null);
    });
  });
  const isOver = () => !children.has(child);

  const said = (condition: (output: string) => boolean, withinMs = 15_000) =>
    new Promise<string>((resolve, reject) => {
      const name = [options.command, ...(options.args ?? [])].join(" ");
      const finish = (settle: () => void) => {
        clearTimeout(timer);
        listeners.delete(check);
        settle();
      };
      const check = () => {
        if (condition(text)) finish(() => resolve(text));
        else if (isOver()) finish(() => reject(new Error(`${name} ended:\n${text}`)));
      };
      const timer = setTimeout(
        () =>
          finish(() => reject(new Error(`${name} did not say it within ${withinMs} ms:\n${text}`))),
        withinMs,
      );
      listeners.add(check);
      check();
    });

  const signal = (name: NodeJS.Signals) => void child.kill(name);
  const kill = async (name: NodeJS.Signals = "SIGKILL") => {
    if (isOver()) return;
    signal(name);
    // A stopped process takes no other signal than SIGKILL until it goes on.
    signal("SIGCONT");
    await ended;
  };

  const started: Process = {
    pid: child.pid ?? -1,
    output: () => text,
    said,
    ended,
    kill,
    signal,
    freeze: () => signal("SIGSTOP"),
    thaw: () => signal("SIGCONT"),
    [Symbol.asyncDispose]: () => kill("SIGKILL"),
  };
  try {
    await said(options.ready, options.readyWithinMs);
  } catch (error) {
    await kill("SIGKILL");
    throw error;
  }
  return started;
}

/** Polls until the condition holds, and returns what it returned. @throws Error naming `what` after `withinMs` (default 10 s). */
export async function eventually<T>(
  what: string,
  condition: () => T | undefined | false | Promise<T | undefined | false>,
  withinMs = 10_000,
): Promise<T> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    const value = await condition();
    if (value !== undefined && value !== false) return value;
    if (performance.now() > deadline) throw new Error(`not within ${withinMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
