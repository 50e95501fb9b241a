import type { Recorded, Sequence } from "@tocsin/shared/journal";
import type { ReplicaTable } from "@tocsin/shared/replica";

/** A change, and the entry that it was read from. */
export interface KeptChange<Change> {
  readonly change: Change;
  readonly entry: Recorded;
}

export interface KeptTableListeners {
  /** An entry is in force. */
  readonly onApplied: (sequence: Sequence, entry: Recorded) => void;
  /** A snapshot was taken, whole or in part. */
  readonly onLoaded: () => void;
}

/** A table that says what it was given. */
export function keptTable<Change>(
  table: ReplicaTable<Change>,
  { onApplied, onLoaded }: KeptTableListeners,
): ReplicaTable<KeptChange<Change>> {
  return {
    decode: (entry) => ({ change: table.decode(entry), entry }),
    apply({ change, entry }, sequence) {
      table.apply(change, sequence);
      onApplied(sequence, entry);
    },
    load(changes) {
      try {
        table.load(
          changes.map(({ change, key, sequence }) => ({ change: change.change, key, sequence })),
        );
      } finally {
        onLoaded();
      }
    },
    ...(table.loadDump === undefined
      ? {}
      : {
          async loadDump(dump: Uint8Array) {
            await table.loadDump!(dump);
            onLoaded();
          },
        }),
  };
}
