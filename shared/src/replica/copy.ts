import { epochKey, type Epoch, type Recorded, type Sequence } from "../journal/journal.ts";
import { messageOf } from "../lifetime.ts";
import { Digests } from "./digests.ts";
import type { ReplicaOptions } from "./options.ts";
import { Refusals } from "./refusals.ts";
import type { Slices } from "./slices.ts";
import { EntryRefused, type LoadedChange, type Poisoned, type WholeAnswer } from "./source.ts";

/**
 * The copy of a journal that a replica holds: the table, how far it stands, and which entries are not in force in it.
 *
 * Every kept entry up to `applied` is in the table or among the refused; each entry is given to the table once.
 */
export class Copy<Change> {
  readonly #options: Pick<
    ReplicaOptions<Change>,
    "table" | "journal" | "log" | "onApplied" | "onChange"
  >;
  readonly #slices: Slices;
  readonly #digests = new Digests();
  readonly #refusals = new Refusals();
  #epoch: Epoch | undefined;
  #applied: Sequence;

  constructor(
    options: Pick<
      ReplicaOptions<Change>,
      "table" | "journal" | "log" | "onApplied" | "onChange" | "restored"
    >,
    slices: Slices,
  ) {
    this.#options = options;
    this.#slices = slices;
    this.#epoch = options.restored?.epoch;
    this.#applied = options.restored?.applied ?? 0;
  }

  /** Undefined: it holds nothing that numbers could be compared with. */
  get epoch(): Epoch | undefined {
    return this.#epoch;
  }

  get applied(): Sequence {
    return this.#applied;
  }

  get poisoned(): Poisoned | undefined {
    return this.#refusals.status();
  }

  /** Whether another entry of this epoch was applied under its number. */
  contradicts(entry: Recorded): boolean {
    const { epoch, sequence } = entry;
    return (
      epoch === this.#epoch && sequence <= this.#applied && this.#digests.differs(sequence, entry)
    );
  }

  /** Takes the entry whose turn it is: nothing that is kept lies between it and what was applied before. */
  apply(entry: Recorded): void {
    const { table } = this.#options;
    let error: string | undefined;
    // Such an entry says where a history begins. Nobody waits for it, and it means nothing to a table.
    const meansSomething = entry.key !== epochKey;
    if (meansSomething) {
      try {
        table.apply(table.decode(entry), entry.sequence);
      } catch (thrown) {
        error = this.#refuse(entry.sequence, entry.key, thrown);
      }
    }
    this.#applied = entry.sequence;
    this.#digests.add(entry.sequence, entry);
    if (meansSomething && entry.operation !== undefined) this.#acknowledge(entry, error);
  }

  /**
   * Takes what came after where it stands, in slices. The feed may bring some of it in between.
   *
   * @returns false when it was aborted; it stands where it got to
   */
  async advance(answer: WholeAnswer, signal: AbortSignal): Promise<boolean> {
    if ("dump" in answer) throw new Error("a dump is everything, and no delta");
    let end = this.#slices.end();
    // In the order of their numbers, whatever the order in which the other one holds them: one that came late would be passed over.
    for (const entry of answer.entries.toSorted((one, other) => one.sequence - other.sequence)) {
      if (entry.sequence <= this.#applied) continue;
      this.apply(entry);
      if (!this.#slices.over(end)) continue;
      this.#options.onChange?.();
      await this.#slices.pause();
      if (signal.aborted) return false;
      end = this.#slices.end();
    }
    if (answer.to > this.#applied) this.#applied = answer.to;
    return true;
  }

  /**
   * Takes a snapshot in the place of where it stood. The feed has to wait meanwhile.
   *
   * @returns false when it was aborted; then it stands where it stood
   * @throws anything when a dump is not understood
   */
  async replace(answer: WholeAnswer, signal: AbortSignal): Promise<boolean> {
    if ("dump" in answer) {
      const { table } = this.#options;
      if (table.loadDump === undefined) throw new Error("the table takes no dump");
      await table.loadDump(answer.dump);
      if (signal.aborted) return false;
      this.#stand(answer, []);
      return true;
    }
    const changes: LoadedChange<Change>[] = [];
    const refused: (readonly [Recorded, unknown])[] = [];
    if (!(await this.#decode(answer.entries, changes, refused, signal))) return false;
    // From here on without a pause: the table, and where it stands, change together.
    this.#stand(answer, answer.entries);
    for (const { sequence } of changes) this.#refusals.remove(sequence);
    for (const [entry, thrown] of refused) this.#refuse(entry.sequence, entry.key, thrown);
    try {
      this.#options.table.load(changes);
    } catch (thrown) {
      const sequence = thrown instanceof EntryRefused ? thrown.sequence : answer.to;
      this.#refuse(sequence, undefined, thrown);
    }
    return true;
  }

  async #decode(
    entries: readonly Recorded[],
    changes: LoadedChange<Change>[],
    refused: (readonly [Recorded, unknown])[],
    signal: AbortSignal,
  ): Promise<boolean> {
    let end = this.#slices.end();
    for (const entry of entries) {
      if (entry.key === epochKey) continue;
      const { key, sequence } = entry;
      try {
        changes.push({ change: this.#options.table.decode(entry), key, sequence });
      } catch (thrown) {
        refused.push([entry, thrown]);
      }
      if (!this.#slices.over(end)) continue;
      await this.#slices.pause();
      if (signal.aborted) return false;
      end = this.#slices.end();
    }
    return true;
  }

  #stand({ epoch, to }: WholeAnswer, entries: readonly Recorded[]): void {
    // Numbers of another epoch say nothing about this one's entries.
    if (epoch !== this.#epoch) this.#refusals.clear();
    this.#refusals.forgetAfter(to);
    this.#epoch = epoch;
    this.#applied = to;
    this.#digests.clear();
    for (const entry of entries.slice(-this.#digests.size))
      this.#digests.add(entry.sequence, entry);
  }

  /** An entry that cannot be understood is counted and passed over: the last good state stays. */
  #refuse(sequence: Sequence, key: string | undefined, thrown: unknown): string {
    const { journal, log } = this.#options;
    const error = this.#refusals.add(sequence, messageOf(thrown));
    log.error({ journal, sequence, key, cause: error }, "entry refused");
    return error;
  }

  #acknowledge({ operation, sequence, epoch }: Recorded, error: string | undefined): void {
    if (operation === undefined) return;
    this.#options.onApplied?.({
      operation,
      sequence,
      epoch,
      ...(error === undefined ? {} : { error }),
    });
  }
}
