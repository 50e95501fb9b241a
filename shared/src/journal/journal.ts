/**
 * The journal port: an ordered, durable, fanned-out log (docs/design/decisions/0001-journals-and-republish.md).
 *
 * The log itself numbers its entries, one by one from 1; the live feed carries every number. Of a *keyed* journal (catalogue,
 * health) only the last entry per key is kept, so a later reader may find older numbers gone: that is no gap.
 */
import { z } from "zod";

/** The position of an entry in its journal, counted by the journal from 1. 0 means "before the first". */
export type Sequence = number;

/** One incarnation of a journal. Numbers of different epochs cannot be compared. Opaque, at most 64 characters of `[A-Za-z0-9.]`. */
export type Epoch = string;

/** Identifies one intended effect. Appending twice with the same id has one effect. `[A-Za-z0-9_-]{1,64}`. */
export type OperationId = string;

/** Dot-separated names: `instance.users.users-1`. In a keyed journal the last entry per key is the one that counts. */
export type JournalKey = string;

export interface JournalDefinition {
  readonly name: string;
  /** `last-per-key`: only the newest entry per key is kept. `log`: every entry is kept until `maxAgeMs`. */
  readonly keep: "last-per-key" | "log";
  /** `disk` survives a restart of everything; `memory` is a new epoch after a restart of the store. */
  readonly storage: "disk" | "memory";
  /** Age at which entries of a log may be forgotten, in milliseconds. Undefined: never. */
  readonly maxAgeMs?: number;
  /** How many entries of a log are kept at most; the oldest go. Undefined: all of them. */
  readonly maxEntries?: number;
}

const day = 86_400_000;

/** The journals of the fleet. A row here is all it takes to have another one. */
export const journals = {
  /** Config revision, instances. */
  catalogue: { name: "catalogue", keep: "last-per-key", storage: "disk" },
  /** The verdict on each instance. */
  health: { name: "health", keep: "last-per-key", storage: "memory" },
  /** Tokens and users whose word no longer counts. Kept longer than any token may live (`maxTokenLifetime` is at most 30 days). */
  revocations: { name: "revocations", keep: "log", storage: "disk", maxAgeMs: 31 * day },
  /** What is to be forgotten of what proxies remember. Kept longer than anything is remembered: at most 24 h. */
  invalidations: { name: "invalidations", keep: "log", storage: "disk", maxAgeMs: 7 * day },
} as const satisfies Record<string, JournalDefinition>;

export type JournalName = keyof typeof journals;
export const journalNames = Object.keys(journals) as JournalName[];

/**
 * Who ordered what. Control planes alone write and read it: it has no feed, and is no journal of the fleet. Kept a quarter of a year, and
 * of a flood the last million.
 */
export const auditLog = {
  name: "audit",
  keep: "log",
  storage: "disk",
  maxAgeMs: 90 * day,
  maxEntries: 1_000_000,
} as const satisfies JournalDefinition;

/** Everything that has a stream of its own in the store. */
export type StreamName = JournalName | typeof auditLog.name;

/** Whether what is recorded is told to everybody who listens. */
export function hasFeed(stream: StreamName): stream is JournalName {
  return stream !== auditLog.name;
}

export function ofEachJournal<T>(make: (journal: JournalName) => T): Record<JournalName, T> {
  return Object.fromEntries(journalNames.map((name) => [name, make(name)])) as Record<
    JournalName,
    T
  >;
}

/** A journal whose name stands in the table above: it has subjects of its own on the bus. */
export type NamedJournal = JournalDefinition & { readonly name: JournalName };

/** A journal, or another log that is kept in the same place. */
export type NamedStream = JournalDefinition & { readonly name: StreamName };

/** The key of entries by which a journal says that it is another history from here on ({@link Journal.renew}). Tables never see them. */
export const epochKey: JournalKey = "epoch";

/** What stands in such an entry: the part of the epoch that tells this history from those before. */
export const HistoryEntry = z.strictObject({ history: z.string().regex(/^[a-z0-9]{1,24}$/) });

/** What is to be written. The body is JSON text; the journal does not look into it. */
export interface Entry {
  readonly key: JournalKey;
  readonly body: string;
}

/** An entry as the journal recorded it. */
export interface Recorded extends Entry {
  readonly sequence: Sequence;
  readonly epoch: Epoch;
  /** Present when the entry is somebody's order and is to be acknowledged. */
  readonly operation?: OperationId;
}

export interface Appended {
  readonly sequence: Sequence;
  readonly epoch: Epoch;
  /** The operation had been recorded before; `sequence` is that of the first time. */
  readonly duplicate: boolean;
}

export interface AppendOptions {
  readonly operation?: OperationId;
  /** Compare-and-set: the sequence that the key's last entry must have, 0 for "no entry yet". */
  readonly expected?: Sequence;
  readonly signal?: AbortSignal;
}

/** A log that is kept and read back, and that nobody follows. */
export type Ledger = Pick<Journal, "append" | "read" | "head" | typeof Symbol.asyncDispose>;

export interface Journal extends AsyncDisposable {
  readonly definition: JournalDefinition;
  /**
   * Records an entry; durable when it resolves. Tries for up to 15 s while the store is away.
   *
   * @throws JournalConflict when `expected` does not hold
   * @throws JournalUnavailable when the store did not take it in time; `recorded` says whether that is certain. Appending again with
   * the same operation id is safe.
   */
  append(entry: Entry, options?: AppendOptions): Promise<Appended>;
  /** The entries from `from` on that are still kept, in order, at most `limit`. Ends at the head as it was when reading began. */
  read(from: Sequence, limit: number): AsyncIterable<Recorded>;
  /** The live feed, from the moment the promise resolves. May lose, repeat and reorder entries: the replica copes. */
  follow(onEntry: (entry: Recorded) => void): Promise<AsyncDisposable>;
  /** The last entry under a key that is still kept. @throws JournalUnavailable */
  last(key: JournalKey): Promise<Recorded | undefined>;
  /**
   * Says that from here on the journal is another history, because it went backwards (restored from an older copy, say): records
   * an entry under {@link epochKey} and with it a new epoch that was never used before. Every replica then takes a snapshot.
   *
   * @param from the epoch that was found to have gone backwards; when the journal has another one by now, somebody was faster, and
   * nothing happens
   * @returns where the journal stands then
   * @throws JournalUnavailable
   */
  renew(from: Epoch): Promise<Head>;
  /** The present epoch, and the sequence of the last entry ever recorded in it (kept or not). Asks the store, never memory. */
  head(): Promise<Head>;
}

export interface Head {
  readonly epoch: Epoch;
  readonly head: Sequence;
}

/** The key has moved on: somebody else wrote first. Read again and decide anew. */
export class JournalConflict extends Error {
  override readonly name = "JournalConflict";
}

/** The store did not confirm in time. */
export class JournalUnavailable extends Error {
  override readonly name = "JournalUnavailable";
  /** Of an append: `no` where nothing can have been recorded; else some attempt may have been, and only its confirmation was lost. */
  readonly recorded: "no" | "unknown";
  /** Why not, in the words of the store, where it has answered: `insufficient storage resources available`. */
  readonly says: string | undefined;
  constructor(
    message: string,
    options: ErrorOptions & { readonly recorded?: "no"; readonly says?: string } = {},
  ) {
    super(message, options);
    this.recorded = options.recorded ?? "unknown";
    this.says = options.says;
  }
}

/** The store has this journal with settings that would lose entries, or cannot have journals at all. Only an operator can mend it. */
export class JournalMisconfigured extends Error {
  override readonly name = "JournalMisconfigured";
}

export type Journals = { readonly [name in JournalName]: Journal };
