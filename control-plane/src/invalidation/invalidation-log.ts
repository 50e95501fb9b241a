import type { Journal, Recorded, Sequence } from "@tocsin/shared/journal";
import type { JournalSource, ReplicaTable } from "@tocsin/shared/replica";

/** Entries kept as they were recorded, for those who lack only the last ones; at most so many, and so many characters of them. */
const recentEntries = 20_000;
const recentLength = 8 * 1024 * 1024;

/**
 * What a control-plane node holds of the invalidations: the last entries, for proxies that were away for a moment. Who lacks more
 * takes an empty snapshot, and everything that it remembers is stale
 * (docs/design/decisions/0032-invalidations-and-the-look-up-of-users.md).
 */
export class InvalidationLog implements ReplicaTable<Recorded> {
  #recent: Recorded[] = [];
  #length = 0;

  /** Not read here: what an entry means is for those who remember something. */
  decode(recorded: Recorded): Recorded {
    return recorded;
  }

  apply(recorded: Recorded): void {
    this.#recent.push(recorded);
    this.#length += recorded.body.length;
    if (this.#recent.length <= recentEntries && this.#length <= recentLength) return;
    this.#recent = this.#recent.slice(Math.ceil(this.#recent.length / 2));
    this.#length = this.#recent.reduce((sum, { body }) => sum + body.length, 0);
  }

  load(): void {
    this.#recent = [];
    this.#length = 0;
  }

  /** The entries after a position, or undefined when not all of them are at hand. */
  after(sequence: Sequence, applied: Sequence): Recorded[] | undefined {
    if (sequence === applied) return [];
    const first = this.#recent[0];
    if (first === undefined || first.sequence > sequence + 1) return undefined;
    return this.#recent.filter((recorded) => recorded.sequence > sequence);
  }

  /** Nothing: where it stands is all that a snapshot has to say. */
  all(): Recorded[] {
    return [];
  }
}

/** Begins at the head: nobody reads what is older than anything that is remembered. */
export function fromTheHead(journal: Journal, source: JournalSource): JournalSource {
  return {
    ...source,
    async sync(question, signal) {
      const { epoch, head } = await journal.head();
      const snapshot = { mode: "snapshot", epoch, to: head, entries: [] } as const;
      if (question.epoch !== epoch || question.applied > head) return snapshot;
      const answer = await source.sync(question, signal);
      if (answer.mode !== "delta" || answer.epoch !== epoch) return snapshot;
      // A log has no holes: when the first of them is missing, it was too old to be kept.
      const first = answer.entries[0]?.sequence ?? answer.to + 1;
      return first > question.applied + 1 ? { ...snapshot, to: answer.to } : answer;
    },
  };
}
