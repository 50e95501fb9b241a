/**
 * Time and chance, injected.
 *
 * Intervals are measured with {@link Clock.monotonic}, dates with {@link Clock.wall}; the two never mix, because the wall clock
 * jumps and the clocks of two machines disagree. Tests pass a clock of their own (`test/harness/virtual-clock.ts`).
 */

/** A span of time in milliseconds. */
export type Milliseconds = number;

/** Milliseconds since the Unix epoch, by the wall clock of this machine. */
export type WallTime = number;

/** Stops a timer. Calling it again, or after the timer fired, does nothing. */
export type Cancel = () => void;

export interface Clock {
  /** Milliseconds since an arbitrary start, never going back. For intervals, deadlines and staleness. */
  monotonic(): Milliseconds;
  /** The date. Only for what leaves the process: token life, log lines, answers. */
  wall(): WallTime;
  /** Calls `run` once after `delayMs`. The timer does not keep the process alive. */
  after(delayMs: Milliseconds, run: () => void): Cancel;
  /** Calls `run` every `intervalMs` until cancelled. The timer does not keep the process alive. */
  every(intervalMs: Milliseconds, run: () => void): Cancel;
}

/** A number in [0, 1), for jitter and choices that are not secrets. */
export type Random = () => number;

export const systemClock: Clock = {
  monotonic: () => performance.now(),
  wall: () => Date.now(),
  after(delayMs, run) {
    const timer = setTimeout(run, delayMs);
    timer.unref();
    return () => clearTimeout(timer);
  },
  every(intervalMs, run) {
    const timer = setInterval(run, intervalMs);
    timer.unref();
    return () => clearInterval(timer);
  },
};

export const systemRandom: Random = () => Math.random();

/**
 * Waits on the given clock.
 *
 * @throws the signal's reason when it aborts first.
 */
export function sleep(clock: Clock, delayMs: Milliseconds, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason as Error);
    const stop = () => {
      cancel();
      reject(signal?.reason as Error);
    };
    const cancel = clock.after(delayMs, () => {
      signal?.removeEventListener("abort", stop);
      resolve();
    });
    signal?.addEventListener("abort", stop, { once: true });
  });
}

const durationUnits = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** Reads `250ms`, `30s`, `15m`, `24h`, `7d`. Returns undefined when the text is none of these. */
export function parseDuration(text: string): Milliseconds | undefined {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text);
  if (!match) return undefined;
  return Number(match[1]) * durationUnits[match[2] as keyof typeof durationUnits];
}

/** Writes milliseconds the way {@link parseDuration} reads them, in the largest unit that is exact. */
export function formatDuration(durationMs: Milliseconds): string {
  for (const unit of ["d", "h", "m", "s"] as const) {
    if (durationMs >= durationUnits[unit] && durationMs % durationUnits[unit] === 0)
      return `${durationMs / durationUnits[unit]}${unit}`;
  }
  return `${durationMs}ms`;
}
