/** Which core runs what. The program under test has one core to itself; the load and the upstream share what is left. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";

export interface Placement {
  /** Core of the program under test; undefined: wherever the scheduler likes. */
  readonly program: number | undefined;
  readonly load: number | undefined;
  readonly upstream: number | undefined;
  /** Why nothing is pinned, in a sentence. */
  readonly unpinned: string | undefined;
}

/** Cores 0, 1 and 2 of those this process may use; with two of them the load and the upstream share one. */
export function place(): Placement {
  const nowhere = { program: undefined, load: undefined, upstream: undefined };
  if (process.platform !== "linux")
    return { ...nowhere, unpinned: `processes cannot be pinned on ${process.platform}` };
  if (spawnSync("taskset", ["--version"]).status !== 0)
    return { ...nowhere, unpinned: "taskset is not installed (Debian: util-linux)" };
  const [program, load, upstream] = allowedCores();
  if (load === undefined)
    return {
      ...nowhere,
      unpinned: "there is one core, and the load takes its share of it",
    };
  return { program, load, upstream: upstream ?? load, unpinned: undefined };
}

/** The command that starts `command` on a core. It replaces itself, so the process id is the program's. */
export function onCore(core: number | undefined, command: readonly string[]): readonly string[] {
  return core === undefined ? command : ["taskset", "--cpu-list", String(core), ...command];
}

function allowedCores(): number[] {
  const list = /^Cpus_allowed_list:\s*(\S+)/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
  return list === undefined
    ? Array.from({ length: availableParallelism() }, (_, core) => core)
    : coresOf(list);
}

/** Reads the kernel's notation: `0-1`, `0,2-3`. */
export function coresOf(list: string): number[] {
  return list.split(",").flatMap((range) => {
    const [first = 0, last = first] = range.split("-").map(Number);
    return Array.from({ length: last - first + 1 }, (_, offset) => first + offset);
  });
}
