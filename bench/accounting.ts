/** What the operating system has charged a process and its children with. */
import { execFileSync, spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";

export interface Usage {
  /** User and system time since the process began, of all its threads and children, in microseconds. */
  readonly cpuMicros: number;
  /** Resident memory, in bytes. Pages that children share are counted once for each. */
  readonly residentBytes: number;
}

/**
 * The usage of a process and everything below it, by the process's own accounting.
 *
 * @throws Error when the process is gone
 */
export function usageOf(pid: number): Usage {
  return process.platform === "linux" ? fromProc(pid) : fromPs(pid, listProcesses());
}

// Counted in ticks, 10 ms nearly everywhere: 0.3 % of a run of three seconds.
let tickMicros: number | undefined;

function fromProc(pid: number): Usage {
  tickMicros ??= 1_000_000 / Number(execFileSync("getconf", ["CLK_TCK"], { encoding: "utf8" }));
  // The second field is the program's name in parentheses, and may hold anything. What follows begins with field 3.
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  // proc_pid_stat(5): utime 14, stime 15, and those of children that have ended: cutime 16, cstime 17.
  const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
  const resident = /^VmRSS:\s*(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return childrenOf(pid)
    .map(fromProc)
    .reduce(add, { cpuMicros: ticks * tickMicros, residentBytes: Number(resident ?? 0) * 1024 });
}

function childrenOf(pid: number): number[] {
  return readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
    readFileSync(`/proc/${pid}/task/${thread}/children`, "utf8")
      .split(" ")
      .filter((child) => child !== "")
      .map(Number),
  );
}

function add(a: Usage, b: Usage): Usage {
  return {
    cpuMicros: a.cpuMicros + b.cpuMicros,
    residentBytes: a.residentBytes + b.residentBytes,
  };
}

function listProcesses(): string {
  const listed = spawnSync("ps", ["-A", "-o", "pid=,ppid=,time=,rss="], { encoding: "utf8" });
  if (listed.status !== 0)
    throw new Error(`CPU time cannot be read here: neither /proc nor ps is there`);
  return listed.stdout;
}

/** {@link usageOf} out of the lines of `ps -A -o pid=,ppid=,time=,rss=`, for systems without /proc. */
export function fromPs(pid: number, lines: string): Usage {
  const rows = lines
    .trim()
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .map(([id, parent, time = "", kilobytes]) => ({
      id: Number(id),
      parent: Number(parent),
      usage: { cpuMicros: microsOf(time), residentBytes: Number(kilobytes) * 1024 },
    }));
  const root = rows.find(({ id }) => id === pid);
  if (root === undefined) throw new Error(`the process ${pid} is gone`);
  const below = (row: (typeof rows)[number]): Usage =>
    rows
      .filter(({ parent }) => parent === row.id)
      .map(below)
      .reduce(add, row.usage);
  return below(root);
}

/** `[[days-]hours:]minutes:seconds[.hundredths]` */
function microsOf(time: string): number {
  const [clock = "", days = "0"] = time.split("-").toReversed();
  const seconds = clock.split(":").reduce((sum, part) => sum * 60 + Number(part), 0);
  return Math.round((Number(days) * 86_400 + seconds) * 1_000_000);
}

/**
 * Time that a core was not idle since the machine started, whoever used it, in microseconds; undefined where it is not told.
 * Time that the hypervisor gave to others counts: it was not there for the program.
 */
export function coreBusyMicros(core: number | undefined): number | undefined {
  if (core === undefined || tickMicros === undefined) return undefined;
  const line = readFileSync("/proc/stat", "utf8")
    .split("\n")
    .find((text) => text.startsWith(`cpu${core} `));
  // proc_stat(5): user, nice, system, idle, iowait, irq, softirq, steal.
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] =
    line?.split(" ").slice(1).map(Number) ?? [];
  return (user + nice + system + irq + softirq + steal) * tickMicros;
}
