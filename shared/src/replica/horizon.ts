import type { Epoch, Head, Sequence } from "../journal/journal.ts";
import type { Milliseconds } from "../time.ts";
import type { Asked } from "./asker.ts";
import { RewindWatch } from "./rewind.ts";
import type { WholeAnswer } from "./source.ts";
import type { ReplicaTimings } from "./timings.ts";

/** How far what is held goes. */
export interface Standing {
  readonly epoch: Epoch | undefined;
  readonly applied: Sequence;
}

/** A head, and when it was heard by this process's own clock. */
interface HeardHead extends Head {
  readonly at: Milliseconds;
}

/**
 * What a beacon says: `past`: of a leader who was deposed, or it was overtaken on its way. `elsewhere`: another epoch than that of
 * what is held. `rewound`: the journal went back within its epoch. `here`: how far it goes.
 */
export type BeaconVerdict = "past" | "elsewhere" | "rewound" | "here";

/** What a replica knows of where its journal stands, and when it last stood there itself. */
export class Horizon {
  readonly #timeoutMs: Milliseconds;
  readonly #rewind: RewindWatch;
  /** The highest head heard of in the epoch of what is held, from a beacon, an entry or an answer. */
  #head: Sequence;
  #currentAt: Milliseconds | undefined;
  /** The last beacon that counts, unless something heard since has proved it wrong. */
  #beacon: HeardHead | undefined;
  /** When a beacon was heard that counts, and when any was. */
  #heardAt: Milliseconds;
  #aliveAt: Milliseconds;
  #term: { readonly epoch: Epoch; readonly highest: number } | undefined;

  constructor(timings: ReplicaTimings, applied: Sequence, now: Milliseconds) {
    this.#timeoutMs = timings.beaconTimeoutMs;
    this.#rewind = new RewindWatch(timings.rewindGraceMs);
    this.#head = applied;
    this.#heardAt = now;
    this.#aliveAt = now;
  }

  get head(): Sequence {
    return this.#head;
  }

  /** When it last knew that everything recorded was held; undefined: never. */
  get currentAt(): Milliseconds | undefined {
    return this.#currentAt;
  }

  /** The connection is there from now on: silence before does not count. */
  begin(now: Milliseconds): void {
    this.#heardAt = Math.max(this.#heardAt, now);
    this.#aliveAt = Math.max(this.#aliveAt, now);
  }

  /** Something was recorded up to here, in the epoch of what is held. */
  raise(sequence: Sequence): void {
    if (sequence > this.#head) this.#head = sequence;
  }

  /** What is held is of another past now, and this is all that is known of it. */
  restart(head: Sequence): void {
    this.#head = head;
  }

  /** What is held is what an answer says, and what waits was recorded too: from now on the journal is known to stand there at least. */
  settle({ epoch, applied }: Standing, highest: Sequence, now: Milliseconds): void {
    const beacon = this.fresh(now);
    const told = beacon !== undefined && beacon.epoch === epoch ? beacon.head : 0;
    this.raise(Math.max(applied, highest, told));
    this.#rewind.know(this.#head, now);
  }

  /** An answer that knows what we knew is as good as a beacon: it was written after we asked. */
  answered({ epoch, to }: WholeAnswer, { question, at }: Pick<Asked, "question" | "at">): void {
    const comparable = question.epoch === undefined || question.epoch === epoch;
    if (!comparable || to >= question.atLeast) this.#note(at);
  }

  heed(beacon: Head, term: number, { epoch, applied }: Standing, now: Milliseconds): BeaconVerdict {
    this.#aliveAt = now;
    // Terms of different epochs cannot be compared: a store that was lost begins with the first again.
    if (this.#term?.epoch === beacon.epoch && term < this.#term.highest) return "past";
    this.#term = { epoch: beacon.epoch, highest: term };
    this.#heardAt = now;
    const verdict = beacon.epoch === epoch ? this.#rewind.judge(beacon.head, now) : "elsewhere";
    if (verdict === "overtaken") return "past";
    this.#beacon = { ...beacon, at: now };
    if (verdict !== "plausible") return verdict;
    this.raise(Math.max(beacon.head, applied));
    this.#rewind.know(this.#head, now);
    return "here";
  }

  /** Something else proves that the journal is no longer where the last beacon said. */
  disbelieve(): void {
    this.#beacon = undefined;
  }

  /** The last beacon, if there was one within the time that beacons may be silent. */
  fresh(now: Milliseconds): Head | undefined {
    return this.silentInMs(now) <= 0 ? undefined : this.#beacon;
  }

  /** Everything that is known to be recorded is held: current, as of the beacon that says so. */
  note({ epoch, applied }: Standing): void {
    const beacon = this.#beacon;
    if (beacon !== undefined && beacon.epoch === epoch && applied >= beacon.head)
      this.#note(beacon.at);
  }

  #note(at: Milliseconds): void {
    this.#currentAt = Math.max(this.#currentAt ?? 0, at);
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
