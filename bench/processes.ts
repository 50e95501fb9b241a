/** Programs as child processes: on a core, ready when they say so, gone when the benchmark is. */
import { execFile, spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { promisify } from "node:util";
import { onCore } from "./placement.ts";

const execute = promisify(execFile);

export interface Launch {
  readonly command: readonly string[];
  readonly core: number | undefined;
  readonly environment?: Readonly<Record<string, string>>;
  /** File descriptor that takes standard error. Default: it is kept for error messages. */
  readonly stderr?: number;
  /** Whether it is up, from its standard output so far and by asking it. Default: when the first line is there. */
  readonly ready?: (output: string) => boolean | Promise<boolean>;
}

export interface Running extends AsyncDisposable {
  readonly pid: number;
  /** Standard output so far. */
  output(): string;
}

const readyWithinMs = 30_000;
const stopWithinMs = 5_000;
const pauseMs = 20;

const children = new Set<ChildProcess>();

// Only what was started here is ended, however this process ends in an orderly way. A killed one leaves it to the kernel.
process.once("exit", () => {
  for (const child of children) child.kill("SIGTERM");
});

/** SIGTERM, because nginx hands it on to its worker; SIGKILL would leave that behind. */
const endWithParent: readonly string[] =
  process.platform === "linux" && spawnSync("setpriv", ["--version"]).status === 0
    ? ["setpriv", "--pdeathsig", "TERM", "--"]
    : [];

/** Starts a program and waits until it is up. @throws Error with what it wrote when it ends or dawdles before that */
export async function launch(options: Launch): Promise<Running> {
  const [command = "", ...args] = [...endWithParent, ...onCore(options.core, options.command)];
  const name = options.command.slice(0, 3).join(" ");
  const child = spawn(command, args, {
    stdio: ["ignore", "pipe", options.stderr ?? "pipe"],
    env: { ...process.env, NODE_ENV: "production", ...options.environment },
  });
  children.add(child);
  child.once("exit", () => children.delete(child));
  child.once("error", (error) => {
    children.delete(child);
    talk += error.message;
  });
  let output = "";
  let talk = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => (output += text));
  child.stderr
    ?.setEncoding("utf8")
    .on("data", (text: string) => (talk = (talk + text).slice(-8_192)));

  const stop = async () => {
    if (!children.has(child)) return;
    const gone = once(child, "exit");
    child.kill("SIGTERM");
    const patience = setTimeout(() => child.kill("SIGKILL"), stopWithinMs);
    await gone;
    clearTimeout(patience);
  };
  try {
    const deadline = performance.now() + readyWithinMs;
    const isUp = options.ready ?? ((text) => text.includes("\n"));
    while (!(await isUp(output))) {
      if (!children.has(child))
        throw new Error(`${name} ended before it was up:\n${output}${talk}`);
      if (performance.now() > deadline)
        throw new Error(`${name} was not up within ${readyWithinMs} ms:\n${output}${talk}`);
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  } catch (error) {
    await stop();
    throw error;
  }
  return { pid: child.pid!, output: () => output, [Symbol.asyncDispose]: stop };
}

/** Runs a command to its end and returns what it wrote to standard output. @throws Error with what it wrote when it fails or is late */
export async function run(
  command: readonly string[],
  options: {
    readonly core: number | undefined;
    readonly withinMs: number;
    readonly environment?: Readonly<Record<string, string>>;
  },
): Promise<string> {
  const [program = "", ...args] = [...endWithParent, ...onCore(options.core, command)];
  const { stdout } = await execute(program, args, {
    env: { ...process.env, ...options.environment },
    timeout: options.withinMs,
    killSignal: "SIGKILL",
  });
  return stdout;
}

/** A TCP port of the loopback address that was free a moment ago, for programs that cannot bind port 0. */
export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}
