import type { Epoch, Recorded, Sequence } from "../journal/journal.ts";

/** Entries that came before their turn. */
export class Backlog {
  readonly #entries = new Map<Sequence, Recorded>();
  readonly #limit: number;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** @returns false when there is no room: everything was dropped */
  add(entry: Recorded): boolean {
    if (this.#entries.size >= this.#limit && !this.#entries.has(entry.sequence)) {
      this.#entries.clear();
      return false;
    }
    this.#entries.set(entry.sequence, entry);
    return true;
  }

  /** Takes out the entry that follows, if it is there and of this epoch. */
  next(epoch: Epoch, applied: Sequence): Recorded | undefined {
    const entry = this.#entries.get(applied + 1);
    if (entry === undefined) return undefined;
    this.#entries.delete(applied + 1);
    return entry.epoch === epoch ? entry : undefined;
  }

  /** Forgets what is no longer waited for: applied, or of another epoch. */
  prune(epoch: Epoch, applied: Sequence): void {
    for (const [sequence, entry] of this.#entries) {
      if (sequence <= applied || entry.epoch !== epoch) this.#entries.delete(sequence);
    }
  }

  clear(): void {
    this.#entries.clear();
  }
}
