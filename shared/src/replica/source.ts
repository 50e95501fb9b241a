import type { Epoch, Head, OperationId, Recorded, Sequence } from "../journal/journal.ts";
import { messageOf } from "../lifetime.ts";
import type { Milliseconds } from "../time.ts";

export interface SyncQuestion {
  /** The epoch of what it holds; undefined: nothing. */
  readonly epoch: Epoch | undefined;
  readonly applied: Sequence;
  /** The highest head heard of in the present epoch. */
  readonly atLeast: Sequence;
}

export type SyncAnswer =
  /** The one who was asked knows less than the one who asks, or is not ready. */
  { readonly mode: "retry"; readonly afterMs: Milliseconds; readonly why: string } | WholeAnswer;

/** What a replica can stand on: everything up to `to`. */
export type WholeAnswer =
  | EntriesAnswer
  /** Everything that is kept, in the table's own binary form. */
  | {
      readonly mode: "snapshot";
      readonly epoch: Epoch;
      readonly to: Sequence;
      readonly dump: Uint8Array;
    };

export interface EntriesAnswer {
  readonly mode: "delta" | "snapshot";
  readonly epoch: Epoch;
  readonly to: Sequence;
  readonly entries: readonly Recorded[];
}

/** Where a replica learns from. Over the bus for proxies, straight from the journal for control-plane nodes. */
export interface ReplicaSource {
  /** The live feed, from the moment the promise resolves. May lose, repeat and reorder. */
  follow(onEntry: (entry: Recorded) => void): Promise<AsyncDisposable>;
  /** Where the journal stands, as beacons tell; with the term of the leader that says so, where there is one. */
  beacons(onHead: (head: Head, term?: number) => void): Promise<AsyncDisposable>;
  /** @throws anything when there is no answer; the replica asks again. */
  sync(question: SyncQuestion, signal: AbortSignal): Promise<SyncAnswer>;
  /** Called when the connection came back: messages may have been missed. Returns how to stop it. */
  onReconnected(listener: () => void): () => void;
  /** Gives up the connection that is open and mute. */
  reconnect(): Promise<void>;
}

/**
 * What a journal becomes in memory. The replica decides *when*, the table *what*.
 */
export interface ReplicaTable<Change> {
  /** Reads an entry's body. @throws anything when the entry cannot be understood: it is refused, the state stays. */
  decode(entry: Recorded): Change;
  apply(change: Change, sequence: Sequence): void;
  /**
   * Takes a snapshot, by the merge rule of the journal: `replace` builds aside and swaps at once, `union` adds.
   * A change whose entry was poisoned is left out.
   *
   * @throws EntryRefused when an entry of it cannot be put in force, after everything else is
   */
  load(changes: readonly LoadedChange<Change>[]): void;
  /**
   * Takes a snapshot in the table's own binary form, by the same merge rule. A table that works in slices returns a promise; until
   * it settles nothing else is given to the table. A table without this takes entries only.
   *
   * @throws anything when the dump is damaged or not understood: the replica asks again
   */
  loadDump?(dump: Uint8Array): void | Promise<void>;
}

export interface LoadedChange<Change> {
  readonly change: Change;
  readonly key: string;
  readonly sequence: Sequence;
}

/** One entry of a snapshot is not in force. The cause says why. */
export class EntryRefused extends Error {
  override readonly name = "EntryRefused";
  readonly sequence: Sequence;
  constructor(sequence: Sequence, cause: unknown) {
    super(messageOf(cause), { cause });
    this.sequence = sequence;
  }
}

/** What a replica tells about itself. */
export interface ReplicaStatus {
  readonly state: ReplicaState;
  readonly epoch: Epoch | undefined;
  readonly applied: Sequence;
  /** The highest head it has heard of in its epoch. */
  readonly head: Sequence;
  /** Time since it last knew that it was current, by its own monotonic clock; undefined: never since the process began. */
  readonly stalenessMs: Milliseconds | undefined;
  readonly poisoned: Poisoned | undefined;
  readonly gaps: number;
  readonly resyncs: Readonly<Record<ResyncReason, number>>;
}

/** Entries of the present epoch that were refused, each counted once. */
export interface Poisoned {
  readonly count: number;
  /** The highest of them, and why. */
  readonly sequence: Sequence;
  readonly error: string;
  /** The last of them by number, ascending, at most 16. With a `count` above their number there are others before the first of these. */
  readonly recent: readonly Sequence[];
}

/** `cold → syncing → live ⇄ suspect → stale` */
export type ReplicaState = "cold" | "syncing" | "live" | "suspect" | "stale";

export type ResyncReason =
  | "start"
  | "reconnect"
  | "epoch"
  | "rewind"
  | "backlog"
  | "suspect"
  | "repair";

/** An entry that came through the replica and carries an operation: something to acknowledge. */
export interface AppliedOrder {
  readonly operation: OperationId;
  readonly sequence: Sequence;
  readonly epoch: Epoch;
  /** Why the entry was refused. */
  readonly error?: string;
}
