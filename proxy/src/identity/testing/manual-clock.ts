import type { Clock, Milliseconds, WallTime } from "@tocsin/shared";

interface Timer {
  due: Milliseconds;
  readonly everyMs: Milliseconds | undefined;
  readonly run: () => void;
}

/** A clock that stands still until it is told to go on. */
export class ManualClock implements Clock {
  #now = 0;
  #wallAtStart: WallTime;
  readonly #timers = new Set<Timer>();

  constructor(wall: WallTime = 1_800_000_000_000) {
    this.#wallAtStart = wall;
  }

  monotonic(): Milliseconds {
    return this.#now;
  }

  wall(): WallTime {
    return this.#wallAtStart + this.#now;
  }

  /** Somebody sets the wall clock; the monotonic one takes no notice. */
  setWall(wall: WallTime): void {
    this.#wallAtStart = wall - this.#now;
  }

  /** Unix seconds. */
  get seconds(): number {
    return Math.floor(this.wall() / 1000);
  }

  after(delayMs: Milliseconds, run: () => void): () => void {
    return this.#add({ due: this.#now + delayMs, everyMs: undefined, run });
  }

  every(intervalMs: Milliseconds, run: () => void): () => void {
    return this.#add({ due: this.#now + intervalMs, everyMs: intervalMs, run });
  }

  /** Lets time pass; runs what falls due on the way, in order. */
  advance(byMs: Milliseconds): void {
    const end = this.#now + byMs;
    for (;;) {
      const next = [...this.#timers]
        .filter((timer) => timer.due <= end)
        .toSorted((one, two) => one.due - two.due)[0];
      if (next === undefined) break;
      this.#now = Math.max(this.#now, next.due);
      if (next.everyMs === undefined) this.#timers.delete(next);
      else next.due += next.everyMs;
      next.run();
    }
    this.#now = end;
  }

  #add(timer: Timer): () => void {
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  }
}
