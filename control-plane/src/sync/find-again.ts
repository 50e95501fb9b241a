import type { Entry, Epoch, Head, Journal, Sequence } from "@tocsin/shared/journal";
import type { Standing } from "./tally.ts";

export interface Search {
  readonly journal: Journal;
  readonly entries: readonly {
    readonly entry: Entry;
    /** Where it was recorded. */
    readonly sequence: Sequence;
    readonly epoch: Epoch;
    /** This node holds it, whatever the store does. */
    readonly seen: boolean;
  }[];
  /** The history that it was last known to be in. */
  readonly before: Epoch | undefined;
  /** Where the journal stands, when everything that this node holds is known to be in it. */
  readonly holdsAll: () => Promise<Head | undefined>;
}

/**
 * Looks for entries in a journal that may have begun another history after they were recorded.
 *
 * @returns `unmoved` when it is the history from before; undefined when they are not all found, or not yet
 */
export async function findAgain(search: Search): Promise<Standing | "unmoved" | undefined> {
  const { journal, entries, before, holdsAll } = search;
  const { epoch } = await journal.head();
  if (epoch === before) return "unmoved";
  const sequences: Sequence[] = [];
  for (const { entry, sequence, ...recorded } of entries) {
    // Recorded after the change.
    const found = recorded.epoch === epoch ? sequence : await find(journal, entry, sequence);
    if (found !== undefined) sequences.push(found);
  }
  if (sequences.length === entries.length)
    return (await journal.head()).epoch === epoch ? { epoch, sequences } : undefined;
  // A log is brought forward in another form than it was written in: as what this node holds of it. That comes before its head.
  if (journal.definition.keep !== "log" || !entries.every(({ seen }) => seen)) return undefined;
  const head = await holdsAll();
  return head?.epoch === epoch ? { epoch, sequences: [head.head] } : undefined;
}

/** A history that goes on with what was there keeps its numbers; one that was written anew has the last entry of each key. */
async function find(
  journal: Journal,
  { key, body }: Entry,
  sequence: Sequence,
): Promise<Sequence | undefined> {
  for await (const recorded of journal.read(sequence, 1))
    if (recorded.sequence === sequence && recorded.key === key && recorded.body === body)
      return sequence;
  const last = await journal.last(key);
  return last?.body === body ? last.sequence : undefined;
}
