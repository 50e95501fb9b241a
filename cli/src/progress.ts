import type { Clock } from "@tocsin/shared";
import type { Terminal } from "./terminal.ts";

const patienceMs = 1_000;

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
    if (shown) stderr.write("\r\u001B[K");
  }
}
