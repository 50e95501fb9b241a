import type { Cancel, Clock, Milliseconds } from "@tocsin/shared";

/** One wait that ends in time. Extended by what waits, so that a wait costs no object and no timer of its own. */
export abstract class Deadline {
  /** For {@link Deadlines} only. */
  row: Row | undefined = undefined;
  before: Deadline | undefined = undefined;
  after: Deadline | undefined = undefined;
  at: Milliseconds = 0;
  /** The time is up. Called at most once per start. */
  abstract expire(): void;
}

interface Row {
  readonly delayMs: Milliseconds;
  first: Deadline | undefined;
  last: Deadline | undefined;
  timer: Cancel | undefined;
}

/**
 * Timeouts for very many waits of few lengths, nearly all of which end before their time.
 *
 * Waits of one length expire in the order in which they begin, so each length is a queue, with one timer for its head: starting
 * and stopping a wait moves four pointers.
 */
export class Deadlines {
  readonly #clock: Clock;
  readonly #rows = new Map<Milliseconds, Row>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Begins (or begins anew) a wait of `delayMs`. */
  start(deadline: Deadline, delayMs: Milliseconds): void {
    this.stop(deadline);
    let row = this.#rows.get(delayMs);
    if (row === undefined) {
      row = { delayMs, first: undefined, last: undefined, timer: undefined };
      this.#rows.set(delayMs, row);
    }
    deadline.row = row;
    deadline.at = this.#clock.monotonic() + delayMs;
    deadline.before = row.last;
    if (row.last === undefined) row.first = deadline;
    else row.last.after = deadline;
    row.last = deadline;
    if (row.timer === undefined) this.#arm(row, delayMs);
  }

  /** Ends a wait. Nothing happens when there is none. */
  stop(deadline: Deadline): void {
    const { row, before, after } = deadline;
    if (row === undefined) return;
    if (before === undefined) row.first = after;
    else before.after = after;
    if (after === undefined) row.last = before;
    else after.before = before;
    deadline.row = deadline.before = deadline.after = undefined;
  }

  /** Stops all timers. Nothing expires any more. */
  close(): void {
    for (const row of this.#rows.values()) row.timer?.();
    this.#rows.clear();
  }

  #arm(row: Row, delayMs: Milliseconds): void {
    row.timer = this.#clock.after(delayMs, () => {
      const now = this.#clock.monotonic();
      // What expires may begin another wait of this length: the timer stays set, so that this does not arm one for the newest of all.
      while (row.first !== undefined && row.first.at <= now) {
        const due = row.first;
        this.stop(due);
        due.expire();
      }
      row.timer = undefined;
      if (this.#rows.get(row.delayMs) !== row) return;
      if (row.first !== undefined) this.#arm(row, Math.max(1, row.first.at - now));
      // A length that nobody uses any more (the config changed) is forgotten.
      else this.#rows.delete(row.delayMs);
    });
  }
}
