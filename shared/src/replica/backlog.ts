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

  /** It came by another way. */
  forget(sequence: Sequence): void {
    if (this.#entries.size > 0) this.#entries.delete(sequence);
  }

  /** The last number that waits; 0 when nothing does. */
  highest(): Sequence {
    let highest = 0;
    for (const sequence of this.#entries.keys()) if (sequence > highest) highest = sequence;
    return highest;
  }

  holds(matches: (entry: Recorded) => boolean): boolean {
    return this.#entries.values().some(matches);
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
