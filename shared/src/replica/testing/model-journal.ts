/** A journal as it is, whatever a replica hears of it. */
import {
  epochKey,
  type Epoch,
  type Head,
  type Recorded,
  type Sequence,
} from "../../journal/journal.ts";
import type { SyncAnswer, SyncQuestion, WholeAnswer } from "../source.ts";

/** A snapshot that was made of it: what its table should become. */
export interface ModelSnapshot {
  readonly epoch: Epoch;
  readonly to: Sequence;
  readonly entries: readonly Recorded[];
}

export function isPoison({ body }: Recorded): boolean {
  return body.startsWith("poison");
}

export class ModelJournal {
  epoch: Epoch = "epoch-1";
  last: Sequence = 0;
  readonly keyed: boolean;
  /** It went back without saying so: numbers were used twice within an epoch. */
  wentBack = false;
  #histories = new Map<Epoch, Recorded[]>([[this.epoch, []]]);
  #epochs = 1;
  #writes = 0;
  readonly #snapshots: ModelSnapshot[] = [];
  readonly #snapshotOf = new WeakMap<Recorded, ModelSnapshot>();

  constructor(keyed = false) {
    this.keyed = keyed;
  }

  append(key = "key", body = `body-${++this.#writes}`, operation?: string): Recorded {
    const entry: Recorded = {
      key,
      body,
      sequence: ++this.last,
      epoch: this.epoch,
      ...(operation === undefined ? {} : { operation }),
    };
    this.history().push(entry);
    return entry;
  }

  /** The stream is deleted and made anew. */
  recreate(): void {
    this.epoch = `epoch-${++this.#epochs}`;
    this.#histories.set(this.epoch, []);
    this.last = 0;
  }

  /** The store is restored from an older copy, and nobody has seen it yet: the last entries are gone. */
  rewind(to: Sequence): void {
    this.wentBack ||= to < this.last;
    this.last = Math.min(this.last, to);
    this.#histories.set(
      this.epoch,
      this.history().filter(({ sequence }) => sequence <= this.last),
    );
  }

  /** The store is restored from an older copy, and the control plane says so before anything else is recorded. @returns the entry that says it */
  renew(to: Sequence): Recorded {
    const kept = this.history().filter(({ sequence }) => sequence <= to);
    this.last = Math.min(this.last, to);
    this.epoch = `epoch-${++this.#epochs}`;
    this.#histories.set(
      this.epoch,
      kept.map((entry) => ({ ...entry, epoch: this.epoch })),
    );
    return this.append(
      epochKey,
      JSON.stringify({ history: this.epoch }),
      `renewal-${this.#epochs}`,
    );
  }

  /** Everything that was recorded in an epoch, kept or not. */
  history(epoch = this.epoch): Recorded[] {
    return this.#histories.get(epoch) ?? [];
  }

  /** What is kept: of a keyed journal the last entry per key. */
  get entries(): Recorded[] {
    if (!this.keyed) return [...this.history()];
    const last = new Map(this.history().map((entry) => [entry.key, entry.sequence]));
    return this.history().filter(({ key, sequence }) => last.get(key) === sequence);
  }

  /** Whether the entry need not be kept, because another one came under its key. */
  replaced({ epoch, key, sequence }: Recorded): boolean {
    return (
      this.keyed &&
      this.history(epoch).some((later) => later.key === key && later.sequence > sequence)
    );
  }

  get head(): Head {
    return { epoch: this.epoch, head: this.last };
  }

  /** As it stands now, for somebody who will answer with it later. */
  frozen(): ModelAnswerer {
    const { epoch, last, entries } = this;
    return {
      answer: (question, form) => this.#answer({ epoch, to: last, entries }, question, form),
    };
  }

  answer(question: SyncQuestion, form: AnswerForm = "entries"): SyncAnswer {
    return this.#answer(
      { epoch: this.epoch, to: this.last, entries: this.entries },
      question,
      form,
    );
  }

  /** The snapshot that an entry came with; undefined: it came alone, or with a delta. */
  snapshotOf(entry: Recorded): ModelSnapshot | undefined {
    return this.#snapshotOf.get(entry);
  }

  /** The snapshot that was made last; who asks has no use for another one. */
  get lastSnapshot(): ModelSnapshot | undefined {
    return this.#snapshots.at(-1);
  }

  /** What a dump holds. @throws when it is none */
  undump(dump: Uint8Array): ModelSnapshot {
    const snapshot = this.#snapshots[Number(Buffer.from(dump).toString())];
    if (snapshot === undefined) throw new Error("not a dump");
    return snapshot;
  }

  #answer(standing: ModelSnapshot, question: SyncQuestion, form: AnswerForm): SyncAnswer {
    const { epoch, to } = standing;
    const same = question.epoch === undefined || question.epoch === epoch;
    if (same && question.atLeast > to) return { mode: "retry", afterMs: 50, why: "behind" };
    if (form === "entries" && question.epoch === epoch && question.applied <= to) {
      const entries = standing.entries.filter(({ sequence }) => sequence > question.applied);
      return { mode: "delta", epoch, to, entries };
    }
    return this.#snapshot(standing, form);
  }

  #snapshot({ epoch, to, entries }: ModelSnapshot, form: AnswerForm): WholeAnswer {
    const copies = entries.map((entry) => ({ ...entry }));
    const snapshot = { epoch, to, entries: copies };
    for (const entry of copies) this.#snapshotOf.set(entry, snapshot);
    const index = this.#snapshots.push(snapshot) - 1;
    if (form === "dump") return { mode: "snapshot", epoch, to, dump: Buffer.from(String(index)) };
    return { mode: "snapshot", ...snapshot };
  }
}

/** `entries`: a delta where it will do. `snapshot`: everything, always, as one that keeps no old entries. `dump`: that, in binary. */
export type AnswerForm = "entries" | "snapshot" | "dump";

export interface ModelAnswerer {
  answer(question: SyncQuestion, form: AnswerForm): SyncAnswer;
}
