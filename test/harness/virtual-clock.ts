import type { Cancel, Clock, Milliseconds } from "@tocsin/shared";

/** A clock that stands still until it is told how much time passes. */
export interface VirtualClock extends Clock {
  /** Lets time pass: timers run in order, and what they start has settled before the next one. */
  pass(durationMs: Milliseconds): Promise<void>;
  /** Moves the date, and only the date: what a wall clock does that is set. */
  setWall(wall: number): void;
  readonly timers: number;
}

interface Timer {
  readonly id: number;
  at: Milliseconds;
  readonly everyMs: Milliseconds | undefined;
  readonly run: () => void;
}

/** Lets promises settle that wait for nothing but each other. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 8; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
}

/** @param quick settle only microtasks between timers: for thousands of runs of code that uses promises alone */
export function createVirtualClock({ quick = false } = {}): VirtualClock {
  const timers = new Map<number, Timer>();
  let now = 0;
  let wallOffset = 1_800_000_000_000;
  let ids = 0;
  const settle = quick
    ? async () => {
        for (let turn = 0; turn < 40; turn++) await Promise.resolve();
      }
    : settled;

  function add(at: Milliseconds, everyMs: Milliseconds | undefined, run: () => void): Cancel {
    const id = ++ids;
    timers.set(id, { id, at, everyMs, run });
    return () => void timers.delete(id);
  }

  return {
    monotonic: () => now,
    wall: () => wallOffset + now,
    after: (delayMs, run) => add(now + Math.max(0, delayMs), undefined, run),
    every: (intervalMs, run) => add(now + intervalMs, intervalMs, run),
    setWall: (wall) => {
      wallOffset = wall - now;
    },
    get timers() {
      return timers.size;
    },
    async pass(durationMs) {
      const until = now + durationMs;
      await settle();
      for (;;) {
        let next: Timer | undefined;
        for (const timer of timers.values()) {
          if (
            timer.at <= until &&
            (next === undefined ||
              timer.at < next.at ||
              (timer.at === next.at && timer.id < next.id))
          )
            next = timer;
        }
        if (next === undefined) break;
        now = Math.max(now, next.at);
        if (next.everyMs === undefined) timers.delete(next.id);
        else next.at += next.everyMs;
        next.run();
        await settle();
      }
      now = until;
    },
  };
}
