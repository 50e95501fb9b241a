/**
 * What a control-plane node holds of a journal: every entry as it was recorded, to serve it, and its meaning, to work with it.
 */
import type { Epoch, JournalKey, Recorded, Sequence } from "@tocsin/shared/journal";
import type { Owed } from "./recovery.ts";
import type { ReplicaTable } from "@tocsin/shared/replica";

export interface Held<Value> {
  readonly recorded: Recorded;
  readonly value: Value;
}

interface Schema<Value> {
  parse(value: unknown): Value;
}

type Listener<Value> = (changed: readonly Held<Value>[]) => void;

/**
 * The entries of a keyed journal: the last of each key, in the order in which they were recorded.
 *
 * A store that was wiped, or restored from an older copy, is brought forward to what this node knows: a load never takes an entry
 * away. What stands here and not in the store is *owed* to it ({@link owed}) until the store has it, or something newer.
 */
export class KeyedEntries<Value> implements ReplicaTable<Held<Value>> {
  readonly #options: KeyedEntriesOptions<Value>;
  #held = new Map<JournalKey, Held<Value>>();
  readonly #owed = new Set<JournalKey>();
  /** Where the store has an entry that this node cannot read; what stood there before goes on here. */
  readonly #unread = new Map<JournalKey, Recorded>();

  constructor(options: KeyedEntriesOptions<Value>) {
    this.#options = options;
  }

  decode(entry: Recorded): Held<Value> {
    try {
      const value = this.#options.schema.parse(JSON.parse(entry.body));
      this.#options.assertKey(entry.key, value);
      return { recorded: entry, value };
    } catch (error) {
      this.#unread.set(entry.key, entry);
      throw error;
    }
  }

  apply(held: Held<Value>): void {
    const { key, sequence, epoch } = held.recorded;
    this.#unread.delete(key);
    const before = this.#held.get(key);
    if (before !== undefined && this.#options.void?.(held.value) === true) {
      // The store has lost what stood under this key to somebody who had no right to write: it is owed again.
      this.#put({ recorded: { ...before.recorded, sequence, epoch }, value: before.value });
      this.#owed.add(key);
      this.#options.onVoid?.(held);
      return;
    }
    this.#owed.delete(key);
    this.#put(held);
    this.#options.onChange?.([held]);
  }

  load(changes: readonly { readonly change: Held<Value> }[]): void {
    const before = this.#held;
    const owedBefore = new Set(this.#owed);
    this.#held = new Map();
    this.#owed.clear();
    for (const { change } of changes) {
      this.#unread.delete(change.recorded.key);
      this.#put(change);
    }
    this.#forgetUnread(changes[0]?.change.recorded.epoch, before);
    for (const [key, mine] of before) {
      const theirs = this.#held.get(key);
      if (theirs !== undefined && !this.#stands(mine, theirs, owedBefore.has(key))) continue;
      // The number of the entry that the store has: what a write of this key has to expect.
      const sequence = theirs?.recorded.sequence ?? 0;
      this.#put({ recorded: { ...mine.recorded, sequence }, value: mine.value });
      this.#owed.add(key);
    }
    this.#options.onChange?.([...this.#held.values()]);
  }

  /**
   * Takes what somebody else holds, as if this node had known it before it read the store.
   *
   * @returns how many entries the store has lost by what they say
   */
  learn(entries: readonly Recorded[]): number {
    const learned: Held<Value>[] = [];
    for (const recorded of entries) {
      const mine = this.decode(recorded);
      const theirs = this.#held.get(recorded.key);
      if (theirs !== undefined && !this.#stands(mine, theirs, false)) continue;
      const sequence = theirs?.recorded.sequence ?? 0;
      const held = { recorded: { ...recorded, sequence }, value: mine.value };
      this.#put(held);
      this.#owed.add(recorded.key);
      learned.push(held);
    }
    if (learned.length > 0) this.#options.onChange?.(learned);
    return learned.length;
  }

  /** Whether what this node knows of a key is newer than what the store says. */
  #stands(mine: Held<Value>, theirs: Held<Value>, owed: boolean): boolean {
    if (mine.recorded.body === theirs.recorded.body) return false;
    const newer = this.#options.newer?.(mine.value, theirs.value);
    if (newer !== undefined) return newer;
    // Decided before, and the store still has what was decided against.
    if (owed) return mine.recorded.sequence === theirs.recorded.sequence;
    // One history that went back: its numbers can be compared. Of another history somebody else has seen more than we have.
    return (
      mine.recorded.epoch === theirs.recorded.epoch &&
      mine.recorded.sequence > theirs.recorded.sequence
    );
  }

  /** A key that is written again moves to the end. */
  #put(held: Held<Value>): void {
    this.#held.delete(held.recorded.key);
    this.#held.set(held.recorded.key, held);
  }

  get(key: JournalKey): Held<Value> | undefined {
    return this.#held.get(key);
  }

  /** What a write of this key has to expect. */
  sequenceOf(key: JournalKey): Sequence {
    return (this.#unread.get(key) ?? this.#held.get(key)?.recorded)?.sequence ?? 0;
  }

  /** What could not be read in another history than that of the store now says nothing about it. */
  #forgetUnread(epoch: Epoch | undefined, before: ReadonlyMap<JournalKey, Held<Value>>): void {
    const past = new Set([...before.values()].map(({ recorded }) => recorded.epoch));
    for (const [key, unread] of this.#unread)
      if (epoch === undefined ? past.has(unread.epoch) : unread.epoch !== epoch)
        this.#unread.delete(key);
  }

  values(): IterableIterator<Held<Value>> {
    return this.#held.values();
  }

  /** What is to be written to the store again, each on the condition that it still has the number that is said here. */
  owed(): Owed[] {
    return [...this.#owed].map((key) => {
      const { body, sequence } = this.#held.get(key)!.recorded;
      return { key, body, expected: sequence };
    });
  }

  all(): Recorded[] {
    return [...this.#held.values()].map(({ recorded }) => this.#served(recorded));
  }

  after(sequence: Sequence): Recorded[] {
    return this.all().filter((recorded) => recorded.sequence > sequence);
  }

  /** What is owed has no number of its own yet. */
  #served(recorded: Recorded): Recorded {
    return this.#owed.has(recorded.key) ? { ...recorded, sequence: 0 } : recorded;
  }
}

export interface KeyedEntriesOptions<Value> {
  readonly schema: Schema<Value>;
  /** @throws anything when the value does not belong under that key */
  readonly assertKey: (key: JournalKey, value: Value) => void;
  readonly onChange?: Listener<Value>;
  /** Whether an entry has no effect on anybody, because of what was recorded before it. */
  readonly void?: (value: Value) => boolean;
  /** Called with an entry that had no effect. */
  readonly onVoid?: (entry: Held<Value>) => void;
  /** Whether one value of a key is newer than another by what they say themselves; undefined where they do not say. */
  readonly newer?: (mine: Value, theirs: Value) => boolean | undefined;
}
