import type { Epoch, Head } from "../journal/journal.ts";
import type { Milliseconds } from "../time.ts";

/** A head, and when it was heard by this process's own clock. */
export interface HeardHead extends Head {
  readonly at: Milliseconds;
}

/** What the beacons have said of one journal, and how long ago. */
export class Beacons {
  readonly #timeoutMs: Milliseconds;
  #last: HeardHead | undefined;
  /** When a beacon was heard that counts. */
  #heardAt: Milliseconds;
  /** When any beacon was heard. */
  #aliveAt: Milliseconds;
  #term: { readonly epoch: Epoch; readonly highest: number } | undefined;

  /** @param timeoutMs silence after which it is suspected that nothing is heard */
  constructor(timeoutMs: Milliseconds, now: Milliseconds) {
    this.#timeoutMs = timeoutMs;
    this.#heardAt = now;
    this.#aliveAt = now;
  }

  /** The last one that counts, unless something heard since has proved it wrong. */
  get last(): HeardHead | undefined {
    return this.#last;
  }

  /** The connection is there from now on: silence before does not count. */
  begin(now: Milliseconds): void {
    this.#heardAt = Math.max(this.#heardAt, now);
    this.#aliveAt = Math.max(this.#aliveAt, now);
  }

  /**
   * A beacon was heard.
   *
   * @returns whether it counts: that of a leader who was deposed in this epoch proves nothing but that the connection lives
   */
  hear(epoch: Epoch, term: number, now: Milliseconds): boolean {
    this.#aliveAt = now;
    // Terms of different epochs cannot be compared: a store that was lost begins with the first again.
    if (this.#term?.epoch === epoch && term < this.#term.highest) return false;
    this.#term = { epoch, highest: term };
    this.#heardAt = now;
    return true;
  }

  believe(head: Head, now: Milliseconds): void {
    this.#last = { ...head, at: now };
  }

  /** Something else proves that the journal is no longer where the last one said. */
  disbelieve(): void {
    this.#last = undefined;
  }

  /** The last one, if there was one within the time that beacons may be silent. */
  fresh(now: Milliseconds): HeardHead | undefined {
    return this.silentInMs(now) <= 0 ? undefined : this.#last;
  }

  /** How long until the silence is suspicious; 0 or less: it is. */
  silentInMs(now: Milliseconds): Milliseconds {
    return this.#heardAt + this.#timeoutMs - now;
  }

  /** Whether nothing at all came over the connection for that long. */
  deaf(now: Milliseconds): boolean {
    return now - this.#aliveAt >= this.#timeoutMs;
  }
}
