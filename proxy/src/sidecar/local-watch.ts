import type { Cancel, Clock, Milliseconds } from "@tocsin/shared";
import type { HealthPolicy } from "@tocsin/shared/contract";
import { Judgement, probe, type Verdict } from "@tocsin/shared/probe";

/** How often an instance that is not well is looked at, in milliseconds; less often only when its policy says so for any state. */
const missedEveryMs: Milliseconds = 250;
/** Requests that fail make it look at once, but not more often than this, in milliseconds. */
const urgentEveryMs: Milliseconds = 50;

export interface LocalWatchOptions {
  /** Scheme, host and port of the instance. */
  readonly url: string;
  /** What the config says about its health, now. */
  readonly policy: () => HealthPolicy;
  readonly clock: Clock;
  /** Called when the verdict changes. @param dead nobody listens there: it takes no request whatever its thresholds are */
  readonly onVerdict: (verdict: Verdict, dead: boolean) => void;
  /** Looks at the instance. Default: over the network. */
  readonly look?: typeof probe;
}

/**
 * Looks after the instance beside us, with the interval, the time limit and the thresholds of its service.
 *
 * Where nobody listens the connection is refused by the very machine that we run on. That is no weather of a network, so it counts at
 * once, whatever `unhealthyAfter` says.
 */
export class LocalWatch implements Disposable {
  readonly #options: LocalWatchOptions;
  readonly #closed = new AbortController();
  #judgement = new Judgement();
  #cancel: Cancel = () => {};
  #looking = false;
  #lookedAt: Milliseconds = -Infinity;
  #urged = false;

  constructor(options: LocalWatchOptions) {
    this.#options = options;
  }

  /** Undefined: it was not looked at yet. */
  get verdict(): Verdict | undefined {
    return this.#judgement.verdict;
  }

  /** Why it is not well. */
  get reason(): string | undefined {
    return this.#judgement.reason;
  }

  /** Begins to look. */
  start(): void {
    if (this.#lookedAt === -Infinity) void this.#look();
  }

  /** The policy may have changed: it counts from now on, and not from the end of the present wait. */
  heed(): void {
    if (this.#looking || this.#lookedAt === -Infinity) return;
    this.#cancel();
    this.#lookAgain();
  }

  /** Something points to trouble: looks soon, instead of when it is time. */
  urge(): void {
    if (this.#urged || this.#lookedAt === -Infinity) return;
    this.#urged = true;
    // The look that is under way may have begun before the trouble did; another one follows.
    if (this.#looking) return;
    this.#cancel();
    this.#lookAgain();
  }

  [Symbol.dispose](): void {
    this.#closed.abort(new Error("closed"));
    this.#cancel();
  }

  /** When it is time, by when it looked last. */
  #lookAgain(): void {
    if (this.#closed.signal.aborted) return;
    const { clock, policy } = this.#options;
    const { interval } = policy();
    const usualMs = this.verdict === "healthy" ? interval : Math.min(interval, missedEveryMs);
    const distanceMs = this.#urged ? urgentEveryMs : usualMs;
    const delayMs = this.#lookedAt + distanceMs - clock.monotonic();
    this.#cancel = clock.after(Math.max(0, delayMs), () => void this.#look());
  }

  async #look(): Promise<void> {
    const { url, clock, look = probe, onVerdict } = this.#options;
    const policy = this.#options.policy();
    this.#looking = true;
    this.#urged = false;
    this.#lookedAt = clock.monotonic();
    const target = { url, path: policy.path, timeoutMs: policy.timeout };
    const result = await look(target, clock, this.#closed.signal);
    this.#looking = false;
    if (this.#closed.signal.aborted) return;
    const before = this.#judgement.verdict;
    const dead = !result.well && result.reason === "ECONNREFUSED";
    this.#judgement.note(result, dead ? { ...policy, unhealthyAfter: 1 } : policy);
    const { verdict } = this.#judgement;
    if (verdict !== before && verdict !== undefined) onVerdict(verdict, dead);
    this.#lookAgain();
  }
}
