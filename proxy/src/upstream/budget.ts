import type { Clock } from "@tocsin/shared";

/** Requests and retries are counted over this many seconds. */
const windowSeconds = 10;
/** So many retries in the window are allowed whatever the share, or a service with few requests could hardly retry at all. */
const floor = 10;

/**
 * How many retries a service may get: a share of its requests in the last ten seconds, at least ten in that time.
 *
 * An upstream that fails every request and gets 50 or more of them in ten seconds so sees at most 1 + share times as many.
 */
export class Budget {
  readonly #clock: Clock;
  readonly #requests = new Uint32Array(windowSeconds);
  readonly #retries = new Uint32Array(windowSeconds);
  #requestsInAll = 0;
  #retriesInAll = 0;
  /** The second that is counted now. */
  #second = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#second = Math.floor(clock.monotonic() / 1_000);
  }

  /** A request came. */
  requested(): void {
    this.#requests[this.#turn()]! += 1;
    this.#requestsInAll += 1;
  }

  /** Asks for a retry. @param share 0 to 1; 0: none at all @returns false: not now */
  take(share: number): boolean {
    const place = this.#turn();
    if (share === 0) return false;
    const allowed = Math.max(floor, Math.floor(share * this.#requestsInAll));
    if (this.#retriesInAll >= allowed) return false;
    this.#retries[place]! += 1;
    this.#retriesInAll += 1;
    return true;
  }

  /** Forgets what is too old. @returns where this second is counted */
  #turn(): number {
    const now = Math.floor(this.#clock.monotonic() / 1_000);
    const passed = Math.min(windowSeconds, now - this.#second);
    for (let step = 1; step <= passed; step += 1) {
      const place = (this.#second + step) % windowSeconds;
      this.#requestsInAll -= this.#requests[place]!;
      this.#retriesInAll -= this.#retries[place]!;
      this.#requests[place] = this.#retries[place] = 0;
    }
    // After a long silence every place was emptied, whichever they were.
    this.#second = now;
    return now % windowSeconds;
  }
}
