/**
 * The process: the one place that reads arguments and environment, and hears signals.
 */
import { hostname, userInfo } from "node:os";
import { run } from "./run.ts";
import type { Terminal } from "./terminal.ts";

/** A wrapper passes on what the terminal has sent to everybody already: signals closer than this, in milliseconds, are one. */
const echoMs = 100;
/** What a command that served leaves behind may keep the process for this long after its end, in milliseconds. */
const graceMs = 100;

let served = false;
/** Timers of ours keep no process alive: a command that waits for nothing else until it is stopped is kept by this. */
let alive: NodeJS.Timeout | undefined;

function untilStopped(): AbortSignal {
  served = true;
  // oxlint-disable-next-line no-restricted-globals -- nothing is timed: what is wanted is the handle
  alive ??= setInterval(() => {}, 3_600_000);
  const stop = new AbortController();
  let begunAt: bigint | undefined;
  for (const [signal, number] of [
    ["SIGINT", 2],
    ["SIGTERM", 15],
  ] as const) {
    process.on(signal, () => {
      const now = process.hrtime.bigint();
      if (begunAt === undefined) {
        begunAt = now;
        stop.abort(new Error(signal));
      } else if (now - begunAt > BigInt(echoMs) * 1_000_000n) process.exit(128 + number);
    });
  }
  return stop.signal;
}

/** SIGHUP, as daemons take it. Where nobody listens to it the system's way stays: the process ends. */
function onReload(reload: () => void): void {
  process.on("SIGHUP", reload);
}

async function readInput(): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8");
}

/** The system may know no name for the user, as in a container with a number for one. */
function user(): string {
  const machine = hostname();
  try {
    return `${userInfo().username}@${machine}`;
  } catch {
    return machine;
  }
}

const terminal: Terminal = {
  environment: process.env,
  user: user().replaceAll(/[^\x21-\x7e]/g, "?"),
  stdout: process.stdout,
  stderr: process.stderr,
  readInput,
  input: () => process.stdin,
  untilStopped,
  onReload,
};

// A reader that has seen enough (`tocsin services list | head -1`) is no failure.
process.stdout.on("error", (error: NodeJS.ErrnoException) =>
  process.exit(error.code === "EPIPE" ? 0 : 1),
);

process.exitCode = await run(process.argv.slice(2), terminal);
clearInterval(alive);
if (served) {
  const { systemClock } = await import("@tocsin/shared");
  systemClock.after(graceMs, () => process.exit());
}
