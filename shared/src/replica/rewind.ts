import type { Sequence } from "../journal/journal.ts";
import type { Milliseconds } from "../time.ts";

/** What a beacon says about the past, held against what was known before. */
export type HeadVerdict = "plausible" | "overtaken" | "rewound";

/**
 * Tells a journal that went back from a beacon that was overtaken.
 *
 * A beacon may be overtaken on its way by entries that were recorded after it was written, so a head below what is applied proves
 * nothing by itself. It cannot be overtaken by what was known when the beacon before it came, if that is a while ago.
 */
export class RewindWatch {
  readonly #graceMs: Milliseconds;
  #mark: { readonly floor: Sequence; readonly at: Milliseconds } | undefined;

  /** @param graceMs how long a beacon may be on its way, at most */
  constructor(graceMs: Milliseconds) {
    this.#graceMs = graceMs;
  }

  judge(head: Sequence, now: Milliseconds): HeadVerdict {
    if (this.#mark === undefined || head >= this.#mark.floor) return "plausible";
    return now - this.#mark.at < this.#graceMs ? "overtaken" : "rewound";
  }

  /** From now on the journal is known to stand at least here. */
  know(floor: Sequence, now: Milliseconds): void {
    this.#mark = { floor, at: now };
  }
}
