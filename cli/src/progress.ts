import type { Clock } from "@tocsin/shared";
import type { Terminal } from "./terminal.ts";

const patienceMs = 1_000;
/** Time between two looks at a count, in milliseconds. */
const lookEveryMs = 200;
const wiped = "\r\u001B[K";

/** Says on a terminal what is being waited for, once that takes longer than a second. Elsewhere it says nothing. */
export async function withProgress<T>(
  { stderr }: Terminal,
  clock: Clock,
  what: string,
  work: Promise<T>,
): Promise<T> {
  if (stderr.isTTY !== true) return work;
  const sinceMs = clock.monotonic();
  let shown = false;
  const stop = clock.every(patienceMs, () => {
    shown = true;
    const seconds = Math.round((clock.monotonic() - sinceMs) / 1_000);
    stderr.write(`\r${what} … ${seconds} s\u001B[K`);
  });
  try {
    return await work;
  } finally {
    stop();
    if (shown) stderr.write(wiped);
  }
}

/** How far a long work has come. */
export interface Count {
  done: number;
  /** Undefined: not known. */
  total: number | undefined;
}

/** Shows on a terminal how much is done, and how fast: `checked 3500/10000, 8200/s`. Elsewhere it says nothing. */
export async function withCount<T>(
  { stderr }: Terminal,
  clock: Clock,
  what: string,
  total: number | undefined,
  work: (count: Count) => Promise<T>,
): Promise<T> {
  const count: Count = { done: 0, total };
  if (stderr.isTTY !== true) return work(count);
  const sinceMs = clock.monotonic();
  const show = () => {
    const { done, total } = count;
    const rate = Math.round((done / Math.max(1, clock.monotonic() - sinceMs)) * 1_000);
    stderr.write(`\r${what} ${done}${total === undefined ? "" : `/${total}`}, ${rate}/s\u001B[K`);
  };
  show();
  const stop = clock.every(lookEveryMs, show);
  try {
    return await work(count);
  } finally {
    stop();
    stderr.write(wiped);
  }
}
