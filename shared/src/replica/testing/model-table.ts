/** Tables that know what they may be given, and write down whatever they should not have been. */
import { epochKey, type Epoch, type Recorded, type Sequence } from "../../journal/journal.ts";
import type { AppliedOrder, LoadedChange, ReplicaTable } from "../source.ts";
import { isPoison, type ModelJournal, type ModelSnapshot } from "./model-journal.ts";

abstract class ModelTable implements ReplicaTable<Recorded> {
  /** What should not have happened. Never thrown: a replica takes whatever a table throws for a poisoned entry. */
  readonly violations: string[] = [];
  /** The numbers of what was applied one by one. */
  readonly applied: Sequence[] = [];
  /** What should have been acknowledged by now, in this order. */
  readonly owed: AppliedOrder[] = [];
  /** Snapshots that were loaded, by entries and by dump. */
  loads = { entries: 0, dump: 0 };
  /** Poisoned entries met on the feed or in a delta, and in a snapshot. */
  refusals = { alone: 0, loaded: 0 };
  /** How a dump lets others have their turn; undefined: it is loaded at once. */
  pause: (() => Promise<void>) | undefined;
  /** The next dump cannot be read. */
  spoilt = false;
  spoils = 0;
  readonly #journal: ModelJournal;
  #epoch: Epoch | undefined;
  #last: Sequence = 0;
  #refused = new Set<Sequence>();
  /** The snapshot whose entries are being decoded, and what of it was refused. */
  #decoding: { readonly snapshot: ModelSnapshot; readonly refused: Set<Sequence> } | undefined;
  #busy = false;

  constructor(journal: ModelJournal) {
    this.#journal = journal;
  }

  /** How many entries of the present epoch are really poisoned, of those that it was given. */
  get poisoned(): number {
    return this.#refused.size;
  }

  protected abstract put(entry: Recorded): void;
  protected abstract replace(entries: readonly Recorded[]): void;
  /** Whether it holds what an entry said, or something newer under its key. */
  abstract holds(entry: Recorded): boolean;

  decode(entry: Recorded): Recorded {
    this.#expect(!this.#busy, "decoded while a dump was loaded");
    this.#expect(entry.key !== epochKey, "was shown where a history begins");
    const snapshot = this.#journal.snapshotOf(entry);
    if (snapshot !== undefined && this.#decoding?.snapshot !== snapshot)
      this.#decoding = { snapshot, refused: new Set() };
    if (!isPoison(entry)) return entry;
    if (snapshot === undefined) this.#meetPoison(entry);
    else this.#decoding!.refused.add(entry.sequence);
    throw new Error("poisoned");
  }

  apply(entry: Recorded, sequence: Sequence): void {
    this.#expect(!this.#busy, "applied while a dump was loaded");
    this.#expect(sequence === entry.sequence, "was told another number than the entry's");
    this.#expect(
      this.#journal.snapshotOf(entry) === undefined,
      "applied what belongs to a snapshot",
    );
    this.#advance(entry);
    this.applied.push(sequence);
    this.#owe(entry);
    this.put(entry);
  }

  load(changes: readonly LoadedChange<Recorded>[]): void {
    this.#expect(!this.#busy, "loaded while a dump was loaded");
    this.loads.entries++;
    const first = changes[0]?.change;
    const snapshot =
      first === undefined ? this.#journal.lastSnapshot : this.#journal.snapshotOf(first);
    const refused = this.#decoding?.snapshot === snapshot ? this.#decoding?.refused : undefined;
    this.#decoding = undefined;
    if (snapshot === undefined) return void this.violations.push("loaded what is no snapshot");
    const sound = snapshot.entries.filter((entry) => !isPoison(entry) && entry.key !== epochKey);
    const whole =
      changes.length === sound.length &&
      changes.every(
        ({ change, key, sequence }, index) =>
          change === sound[index] && key === change.key && sequence === change.sequence,
      );
    this.#expect(whole, "loaded something else than the whole snapshot");
    this.#take(snapshot, refused ?? new Set());
    this.replace(changes.map(({ change }) => change));
  }

  async loadDump(dump: Uint8Array): Promise<void> {
    this.#expect(!this.#busy, "loaded a dump while another one was");
    const snapshot = this.#journal.undump(dump);
    this.#busy = true;
    try {
      await this.pause?.();
      if (this.spoilt) {
        this.spoilt = false;
        this.spoils++;
        throw new Error("spoilt");
      }
    } finally {
      this.#busy = false;
    }
    this.loads.dump++;
    this.#take(snapshot, undefined);
    this.replace(snapshot.entries.filter((entry) => !isPoison(entry) && entry.key !== epochKey));
  }

  #take({ epoch, to, entries }: ModelSnapshot, refused: ReadonlySet<Sequence> | undefined): void {
    this.#expect(
      epoch !== this.#epoch || to >= this.#last || this.#journal.wentBack,
      `went back from ${this.#last} to ${to} of ${epoch}`,
    );
    if (epoch !== this.#epoch) this.#refused.clear();
    this.#epoch = epoch;
    this.#last = to;
    for (const sequence of this.#refused) if (sequence > to) this.#refused.delete(sequence);
    // A dump does not say what was refused of it.
    if (refused === undefined) return;
    for (const { sequence } of entries) this.#refused.delete(sequence);
    for (const sequence of refused) this.#refused.add(sequence);
    this.refusals.loaded += refused.size;
  }

  #meetPoison(entry: Recorded): void {
    this.#advance(entry);
    this.refusals.alone++;
    this.#refused.add(entry.sequence);
    this.#owe(entry, "poisoned");
  }

  /** Every entry has its turn once, in the order of the numbers, none is left out, and all are of one history. */
  #advance({ sequence, epoch }: Recorded): void {
    this.#epoch ??= epoch;
    this.#expect(
      epoch === this.#epoch,
      `gave ${sequence} of ${epoch} to a table of ${this.#epoch}`,
    );
    this.#expect(sequence > this.#last, `gave ${sequence} after ${this.#last}`);
    const leftOut = this.#journal
      .history(epoch)
      .find(
        (entry) =>
          entry.sequence > this.#last &&
          entry.sequence < sequence &&
          entry.key !== epochKey &&
          !this.#journal.replaced(entry),
      );
    // What was replaced by an entry that is gone now cannot be told from what was left out.
    this.#expect(
      leftOut === undefined || this.#journal.wentBack,
      `gave ${sequence} without ${leftOut?.sequence}`,
    );
    this.#last = sequence;
  }

  #owe({ operation, sequence, epoch }: Recorded, error?: string): void {
    if (operation === undefined) return;
    this.owed.push({ operation, sequence, epoch, ...(error === undefined ? {} : { error }) });
  }

  #expect(holds: boolean, violation: string): void {
    if (!holds) this.violations.push(violation);
  }
}

/** The last body of each key; a snapshot takes the place of everything. */
export class ReplaceTable extends ModelTable {
  bodies = new Map<string, string>();
  #sequences = new Map<string, Sequence>();

  protected put({ key, body, sequence }: Recorded): void {
    this.bodies.set(key, body);
    this.#sequences.set(key, sequence);
  }
  protected replace(entries: readonly Recorded[]): void {
    this.bodies = new Map();
    this.#sequences = new Map();
    for (const entry of entries) this.put(entry);
  }
  holds({ key, sequence }: Recorded): boolean {
    return (this.#sequences.get(key) ?? 0) >= sequence;
  }
}

/** All bodies ever heard; a snapshot adds to them. */
export class UnionTable extends ModelTable {
  readonly bodies = new Set<string>();

  protected put({ body }: Recorded): void {
    this.bodies.add(body);
  }
  protected replace(entries: readonly Recorded[]): void {
    for (const entry of entries) this.put(entry);
  }
  holds({ body }: Recorded): boolean {
    return this.bodies.has(body);
  }
}
