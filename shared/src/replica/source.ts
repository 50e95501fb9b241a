import type { Epoch, Head, OperationId, Recorded, Sequence } from "../journal/journal.ts";
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
  | { readonly mode: "retry"; readonly afterMs: Milliseconds; readonly why: string }
  | {
      readonly mode: "delta" | "snapshot";
      readonly epoch: Epoch;
      readonly to: Sequence;
      readonly entries: readonly Recorded[];
    };

/** Where a replica learns from. Over the bus for proxies, straight from the journal for control-plane nodes. */
export interface ReplicaSource {
  /** The live feed, from the moment the promise resolves. May lose, repeat and reorder. */
  follow(onEntry: (entry: Recorded) => void): Promise<AsyncDisposable>;
  /** Where the journal stands, as beacons tell. */
  beacons(onHead: (head: Head) => void): Promise<AsyncDisposable>;
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
   */
  load(
    changes: readonly {
      readonly change: Change;
      readonly key: string;
      readonly sequence: Sequence;
    }[],
  ): void;
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
  readonly poisoned:
    | { readonly count: number; readonly sequence: Sequence; readonly error: string }
    | undefined;
  readonly gaps: number;
  readonly resyncs: Readonly<Record<ResyncReason, number>>;
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
