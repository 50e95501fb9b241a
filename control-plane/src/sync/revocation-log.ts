import type { RevocationEntry } from "@tocsin/shared/contract";
import type { Recorded, Sequence } from "@tocsin/shared/journal";
import type { ReplicaTable } from "@tocsin/shared/replica";
import { readRevocation, RevocationSet } from "@tocsin/shared/revocations";
import type { Owed } from "./recovery.ts";

export interface RevocationChange {
  readonly recorded: Recorded;
  readonly entry: RevocationEntry;
}

/** Entries kept as they were recorded, for those who lack only the last ones; at most so many, and so many characters of them. */
const recentEntries = 20_000;
const recentLength = 8 * 1024 * 1024;

/**
 * What a control-plane node holds of the revocations: the set itself, as proxies hold it, and the last entries. The whole entries
 * are in the store, where whoever lists them reads them.
 */
export class RevocationLog implements ReplicaTable<RevocationChange> {
  readonly set = new RevocationSet();
  readonly #forgetBefore: () => number;
  #recent: Recorded[] = [];
  #recentLength = 0;
  /** What the store holds, while it may hold less than this node. */
  #stored: RevocationSet | undefined;
  #dump: { readonly version: number; readonly bytes: Promise<Uint8Array> } | undefined;

  /** @param forgetBefore Unix seconds: what expired before that has no effect on anybody any more */
  constructor(forgetBefore: () => number) {
    this.#forgetBefore = forgetBefore;
  }

  decode(recorded: Recorded): RevocationChange {
    return { recorded, entry: readRevocation(recorded.body) };
  }

  apply({ recorded, entry }: RevocationChange): void {
    this.set.apply(entry, this.#forgetBefore());
    this.#stored?.apply(entry, this.#forgetBefore());
    this.#recent.push(recorded);
    this.#recentLength += recorded.body.length;
    if (this.#recent.length <= recentEntries && this.#recentLength <= recentLength) return;
    this.#recent = this.#recent.slice(Math.ceil(this.#recent.length / 2));
    this.#recentLength = this.#recent.reduce((sum, kept) => sum + kept.body.length, 0);
  }

  load(changes: readonly { readonly change: RevocationChange }[]): void {
    this.#forgetRecent();
    for (const { change } of changes) this.set.apply(change.entry, this.#forgetBefore());
  }

  /** Union: what was known before stays, whatever the store has lost; {@link owed} says what that is. */
  async loadDump(dump: Uint8Array): Promise<void> {
    this.#forgetRecent();
    const hadSome = this.set.size > 0;
    await this.set.merge(dump, this.#forgetBefore());
    this.#stored = undefined;
    if (!hadSome) return;
    const stored = new RevocationSet();
    await stored.merge(dump, 0);
    this.#stored = stored;
  }

  /** What this node holds and the store has lost, as entries to be added to it. */
  async *owed(): AsyncGenerator<Owed> {
    const stored = this.#stored;
    if (stored === undefined) return;
    for await (const entry of this.set.lackingInSlices(stored, this.#forgetBefore()))
      yield { key: entry.kind, body: JSON.stringify(entry), expected: undefined };
    this.#stored = undefined;
  }

  /** The entries after a position, or undefined when not all of them are at hand. */
  after(sequence: Sequence, applied: Sequence): Recorded[] | undefined {
    if (sequence === applied) return [];
    const first = this.#recent[0];
    if (first === undefined || first.sequence > sequence + 1) return undefined;
    return this.#recent.filter((recorded) => recorded.sequence > sequence);
  }

  /** The set as {@link RevocationSet.dump} writes it; the same bytes for all who ask while nothing changes. */
  dump(): Promise<Uint8Array> {
    const { version } = this.set;
    if (this.#dump?.version !== version) this.#dump = { version, bytes: this.set.dumpInSlices() };
    return this.#dump.bytes;
  }

  /** Forgets what has expired, a part at a time, and a dump that nobody asked for again. */
  sweep(segments: number): void {
    this.set.sweep(this.#forgetBefore(), segments);
    this.#dump = undefined;
  }

  #forgetRecent(): void {
    this.#recent = [];
    this.#recentLength = 0;
  }
}
