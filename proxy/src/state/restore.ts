import { messageOf } from "@tocsin/shared";
import type { Log } from "@tocsin/shared";
import type { JournalName, Recorded } from "@tocsin/shared/journal";
import type { ReplicaTable } from "@tocsin/shared/replica";
import { readLastGood, type Snapshot, type Standing } from "./last-good.ts";
import { readTail, type ReadTail } from "./tail.ts";

/** What a state directory had of a journal. */
export interface Restored {
  /** Where the table stands; undefined: there was nothing that could be believed. */
  readonly standing: Standing | undefined;
  /** Whether that took a tail: `damaged` when it was not believed to its end. */
  readonly tail: "none" | "whole" | "damaged";
  /** Number of the first file of the tail that may be written. */
  readonly nextTail: number;
}

export interface RestoreOptions<Change> {
  readonly directory: string;
  readonly journal: JournalName;
  readonly log: Log;
  /** Makes the table from the last good state. @throws anything when it is not understood: half of it is worse than none */
  readonly load: (good: Snapshot) => ReplicaTable<Change>;
  /** Whether an entry is in force whatever came before it. */
  readonly union: boolean;
}

/** Gives a table what is on disk: the last good state, and the entries that came after it. */
export async function restore<Change>(options: RestoreOptions<Change>): Promise<Restored> {
  const { directory, journal, log, load, union } = options;
  const good = await readLastGood(directory, journal, log);
  const tail = await tailOf(options, good);
  const nothing = { standing: undefined, tail: "none", nextTail: tail.next } as const;
  if (good === undefined || tail.standing === undefined) return nothing;
  try {
    const table = load(good);
    replay(table, union ? [...tail.entries, ...tail.loose] : tail.entries, options);
  } catch (error) {
    log.error({ journal, cause: messageOf(error) }, "last good state refused");
    return nothing;
  }
  const { applied } = tail.standing;
  log.info({ journal, applied, tail: tail.entries.length }, "last good state restored");
  const found = tail.next > 1 ? "whole" : "none";
  return {
    standing: tail.standing,
    tail: tail.damaged ? "damaged" : found,
    nextTail: tail.next,
  };
}

async function tailOf(
  { directory, journal, log }: Omit<RestoreOptions<never>, "load">,
  good: Snapshot | undefined,
): Promise<ReadTail> {
  const standing = good && { epoch: good.epoch, applied: good.applied, currentAt: good.currentAt };
  try {
    return await readTail(directory, journal, standing, log);
  } catch (error) {
    log.error({ journal, cause: messageOf(error) }, "last good state: the tail cannot be read");
    return { entries: [], loose: [], standing, damaged: true, next: 1 };
  }
}

function replay<Change>(
  table: ReplicaTable<Change>,
  entries: readonly Recorded[],
  { journal, log }: Pick<RestoreOptions<Change>, "journal" | "log">,
): void {
  for (const entry of entries) {
    try {
      table.apply(table.decode(entry), entry.sequence);
    } catch (error) {
      // As when it came the first time, of a version that understood less or more.
      const { sequence, key } = entry;
      log.error({ journal, sequence, key, cause: messageOf(error) }, "entry refused");
    }
  }
}
