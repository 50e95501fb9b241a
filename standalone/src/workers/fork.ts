/** Worker processes, by `node:cluster`: all of them take connections from one listening socket, which is open as long as one of them is. */
import cluster from "node:cluster";
import { fileURLToPath } from "node:url";
import { channelLine, type Line } from "./line.ts";
import type { ToPrimary, ToWorker } from "./words.ts";

export interface WorkerProcess {
  /** Counts up, from 1. */
  readonly id: number;
  readonly pid: number;
  readonly line: Line<ToWorker, ToPrimary>;
  /** Resolves when it is gone, with how: an exit code or a signal. */
  readonly gone: Promise<number | string>;
  /** Ends the line, and with it the process. */
  dismiss(): void;
  /** Ends it now, frozen or not. */
  kill(): void;
}

export type Fork = () => WorkerProcess;

/** @param environment of the workers, beside the one of this process */
export function clusterFork(environment: Readonly<Record<string, string>>): Fork {
  // Each takes connections from the socket itself. Handed around by this process, connections that are on their way to a worker that
  // ends are lost with it, or hang for ever; see docs/design/decisions/0026.
  cluster.schedulingPolicy = cluster.SCHED_NONE;
  cluster.setupPrimary({
    exec: fileURLToPath(new URL("main.ts", import.meta.url)),
    args: [],
    // Bytes stay bytes.
    serialization: "advanced",
  });
  return () => {
    const worker = cluster.fork(environment);
    const child = worker.process;
    const gone = new Promise<number | string>((resolve) => {
      child.once("exit", (code, signal) => resolve(signal ?? code ?? 0));
      // It could not be started, or a word could not be said: its end is told by the event above, if it ever began.
      child.on("error", () => {
        if (child.pid === undefined) resolve("not started");
      });
    });
    return {
      id: worker.id,
      pid: child.pid ?? 0,
      line: channelLine<ToWorker, ToPrimary>(child),
      gone,
      dismiss: () => {
        if (child.connected) child.disconnect();
      },
      kill: () => void child.kill("SIGKILL"),
    };
  };
}
