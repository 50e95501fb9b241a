import type { Epoch, JournalName, Sequence } from "../journal/journal.ts";
import type { Log } from "../log.ts";
import type { Clock, Random } from "../time.ts";
import type { AppliedOrder, ReplicaSource, ReplicaStatus, ReplicaTable } from "./source.ts";
import type { ReplicaTimings } from "./timings.ts";

export interface ReplicaOptions<Change> {
  readonly journal: JournalName;
  readonly source: ReplicaSource;
  readonly table: ReplicaTable<Change>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** An order was applied, or refused: to be acknowledged. Not called for what a snapshot brings: heartbeats tell of that. */
  readonly onApplied?: (order: AppliedOrder) => void;
  /** The table, or where it stands, has changed. */
  readonly onChange?: () => void;
  /** Where a table that came from disk stands. */
  readonly restored?: { readonly epoch: Epoch; readonly applied: Sequence };
  readonly timings?: Partial<ReplicaTimings>;
  /** How others get their turn between two slices of long work. Default: one turn of the event loop. */
  readonly pause?: () => Promise<void>;
}

export interface Replica extends AsyncDisposable {
  status(): ReplicaStatus;
  /** Resolves when the table was complete for the first time. Never rejects. */
  readonly synced: Promise<void>;
}
