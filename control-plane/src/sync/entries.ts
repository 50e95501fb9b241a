/**
 * What a control-plane node holds of a journal: every entry as it was recorded, to serve it, and its meaning, to work with it.
 */
import type { JournalKey, Recorded, Sequence } from "@tocsin/shared/journal";
import type { ReplicaTable } from "@tocsin/shared/replica";

export interface Held<Value> {
  readonly recorded: Recorded;
  readonly value: Value;
}

interface Schema<Value> {
  parse(value: unknown): Value;
}

type Listener<Value> = (changed: readonly Held<Value>[]) => void;

/** The entries of a keyed journal: the last of each key, in the order in which they were recorded. */
export class KeyedEntries<Value> implements ReplicaTable<Held<Value>> {
  readonly #schema: Schema<Value>;
  readonly #onChange: Listener<Value>;
  #held = new Map<JournalKey, Held<Value>>();

  constructor(schema: Schema<Value>, onChange: Listener<Value> = () => {}) {
    this.#schema = schema;
    this.#onChange = onChange;
  }

  decode(entry: Recorded): Held<Value> {
    return { recorded: entry, value: this.#schema.parse(JSON.parse(entry.body)) };
  }

  apply(held: Held<Value>): void {
    this.#put(held);
    this.#onChange([held]);
  }

  load(changes: readonly { readonly change: Held<Value> }[]): void {
    this.#held = new Map();
    for (const { change } of changes) this.#put(change);
    this.#onChange([...this.#held.values()]);
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
    return this.#held.get(key)?.recorded.sequence ?? 0;
  }

  values(): IterableIterator<Held<Value>> {
    return this.#held.values();
  }

  all(): Recorded[] {
    return [...this.#held.values()].map(({ recorded }) => recorded);
  }

  after(sequence: Sequence): Recorded[] {
    return [...this.#held.values()]
      .map(({ recorded }) => recorded)
      .filter((recorded) => recorded.sequence > sequence);
  }
}

/** The entries of a log. What is past its use is forgotten; nothing else ever is. */
export class LoggedEntries<Value> implements ReplicaTable<Held<Value>> {
  readonly #schema: Schema<Value>;
  readonly #spent: (value: Value) => boolean;
  #held: Held<Value>[] = [];

  /** @param spent whether an entry no longer has any effect on anybody */
  constructor(schema: Schema<Value>, spent: (value: Value) => boolean) {
    this.#schema = schema;
    this.#spent = spent;
  }

  decode(entry: Recorded): Held<Value> {
    return { recorded: entry, value: this.#schema.parse(JSON.parse(entry.body)) };
  }

  apply(held: Held<Value>): void {
    this.#held.push(held);
  }

  /** Union: what was known before stays, and is served too, whatever the store has lost. */
  load(changes: readonly { readonly change: Held<Value> }[]): void {
    const bodies = new Set(changes.map(({ change }) => change.recorded.body));
    const kept = this.#held
      .filter(({ recorded }) => !bodies.has(recorded.body))
      // Its number was of another epoch: it stands before everything that has one now.
      .map(({ recorded, value }) => ({ recorded: { ...recorded, sequence: 0 }, value }));
    this.#held = [...kept, ...changes.map(({ change }) => change)];
  }

  values(): readonly Held<Value>[] {
    return this.#held;
  }

  all(): Recorded[] {
    return this.#held.map(({ recorded }) => recorded);
  }

  after(sequence: Sequence): Recorded[] {
    return this.#held
      .filter(({ recorded }) => recorded.sequence > sequence)
      .map(({ recorded }) => recorded);
  }

  /** Forgets what is spent. */
  sweep(): void {
    this.#held = this.#held.filter(({ value }) => !this.#spent(value));
  }
}
