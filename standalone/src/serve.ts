import { messageOf, sleep, systemClock, type FlushableLog } from "@tocsin/shared";
import { announce, type Bound, type CommandContext } from "./command.ts";
import { overMs } from "./names.ts";
import { NotStarted, prelude, type Prelude } from "./prelude.ts";

/** What a serving command has started. Disposal drains it: it ends when nothing is in flight any more. */
export interface Serving extends AsyncDisposable {
  readonly bound: Bound;
  /** The command has said itself what was bound. */
  readonly announced?: boolean;
}

/**
 * The life of a serving command: settings, start, announce, serve until told to stop, drain.
 *
 * @returns the exit code: 0, 1 when it could not start or failed, 64 for wrong settings
 */
export async function serve(
  context: CommandContext,
  role: Bound["role"],
  start: (prepared: Prelude) => Promise<Serving>,
): Promise<number> {
  let log: FlushableLog | undefined;
  try {
    const prepared = prelude(context, role);
    log = prepared.log;
    context.stop.throwIfAborted();
    const serving = await start(prepared);
    if (serving.announced !== true) announce(context, serving.bound);
    const { role: _, ...addresses } = serving.bound;
    log.info(addresses, "started");
    await aborted(context.stop);
    log.info({}, "stopping");
    // Whatever happens, it is over by then: a bus or a disk that answers no more does not keep a process.
    const over = sleep(systemClock, overMs(prepared.settings)).then(() => "late");
    const end = Promise.resolve(serving[Symbol.asyncDispose]());
    if ((await Promise.race([end, over])) === "late") log.warn({}, "not everything ended in time");
  } catch (error) {
    if (context.stop.aborted) return 0;
    context.stderr.write(`${messageOf(error)}\n`);
    return error instanceof NotStarted ? error.exitCode : 1;
  } finally {
    log?.info({}, "stopped");
    log?.flush();
  }
  return 0;
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) =>
    signal.addEventListener("abort", () => resolve(), { once: true }),
  );
}
