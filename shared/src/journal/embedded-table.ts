import { randomBytes } from "node:crypto";
import type { DatabaseSync } from "node:sqlite";
import type { Milliseconds, WallTime } from "../time.ts";
import {
  epochKey,
  JournalConflict,
  type Appended,
  type Entry,
  type Epoch,
  type Head,
  type JournalDefinition,
  type JournalKey,
  type OperationId,
  type Recorded,
  type Sequence,
} from "./journal.ts";

/** How long an operation id is remembered, in milliseconds; far longer than any writer goes on trying. */
const operationMemoryMs: Milliseconds = 86_400_000;

export interface Writing {
  readonly entry: Entry;
  readonly operation: OperationId | undefined;
  readonly expected: Sequence | undefined;
}

/** One journal's rows. All writing happens inside the caller's transaction. */
export interface JournalTable {
  head(): Head;
  /** @throws JournalConflict */
  write(writing: Writing, now: WallTime): Appended;
  /** Some of them, oldest first: at most `limit`, and fewer where they are long. */
  read(from: Sequence, to: Sequence, limit: number): Recorded[];
  last(key: JournalKey): Recorded | undefined;
  /** Gives the journal another epoch, with the entry that says so. */
  renew(history: string, now: WallTime): Recorded;
  /** Forgets what is too old. */
  prune(now: WallTime): void;
}

/** After so many characters the rest is read later: nothing else runs in this process meanwhile. */
const charactersAtOnce = 512 * 1024;

interface Row {
  readonly sequence: number;
  readonly key: string;
  readonly body: string;
  readonly operation: string | null;
}

export function journalTable(database: DatabaseSync, definition: JournalDefinition): JournalTable {
  const { name, keep, maxAgeMs, maxEntries } = definition;
  // An epoch is the life of one database: numbers of another one, an empty one above all, cannot be mistaken for these.
  const epoch = `${BigInt(`0x${randomBytes(8).toString("hex")}`).toString(36)}.0`;
  database
    .prepare("INSERT OR IGNORE INTO journal (name, epoch, head) VALUES (?, ?, 0)")
    .run(name, epoch);

  const selectHead = database.prepare("SELECT epoch, head FROM journal WHERE name = ?");
  const updateHead = database.prepare("UPDATE journal SET head = ? WHERE name = ?");
  const updateEpoch = database.prepare("UPDATE journal SET epoch = ? WHERE name = ?");
  const selectOperation = database.prepare(
    "SELECT sequence FROM operation WHERE journal = ? AND operation = ?",
  );
  const insertOperation = database.prepare(
    "INSERT INTO operation (journal, operation, sequence, recorded) VALUES (?, ?, ?, ?)",
  );
  const selectLastEntry = database.prepare(
    `SELECT sequence, key, body, operation FROM entry
     WHERE journal = ? AND key = ? ORDER BY sequence DESC LIMIT 1`,
  );
  const selectLast = database.prepare(
    "SELECT max(sequence) AS sequence FROM entry WHERE journal = ? AND key = ?",
  );
  const deleteOlder = database.prepare("DELETE FROM entry WHERE journal = ? AND key = ?");
  const insertEntry = database.prepare(
    "INSERT INTO entry (journal, sequence, key, body, operation, recorded) VALUES (?, ?, ?, ?, ?, ?)",
  );
  const selectEntries = database.prepare(
    `SELECT sequence, key, body, operation FROM entry
     WHERE journal = ? AND sequence >= ? AND sequence <= ? ORDER BY sequence LIMIT ?`,
  );
  // Numbers rise with time, so what is too old is a beginning of the table; looking for its end stops at the first that is not.
  const selectYoung = database.prepare(
    "SELECT sequence FROM entry WHERE journal = ? AND recorded >= ? ORDER BY sequence LIMIT 1",
  );
  const deleteBelow = database.prepare("DELETE FROM entry WHERE journal = ? AND sequence < ?");
  const deleteOperations = database.prepare(
    "DELETE FROM operation WHERE journal = ? AND recorded < ?",
  );

  const head = () => ({ ...(selectHead.get(name) as unknown as Head) });

  return {
    head,
    write({ entry, operation, expected }, now) {
      const { epoch, head: before } = head();
      if (operation !== undefined) {
        const known = selectOperation.get(name, operation) as { sequence: number } | undefined;
        if (known !== undefined) return { sequence: known.sequence, epoch, duplicate: true };
      }
      if (expected !== undefined) {
        const last = Number(selectLast.get(name, entry.key)!["sequence"] ?? 0);
        if (last !== expected)
          throw new JournalConflict(
            `the last entry under ${entry.key} has sequence ${last}, not ${expected}`,
          );
      }
      const sequence = before + 1;
      if (keep === "last-per-key") deleteOlder.run(name, entry.key);
      insertEntry.run(name, sequence, entry.key, entry.body, operation ?? null, now);
      if (operation !== undefined) insertOperation.run(name, operation, sequence, now);
      updateHead.run(sequence, name);
      return { sequence, epoch, duplicate: false };
    },
    read(from, to, limit) {
      const { epoch } = head();
      const found: Recorded[] = [];
      let characters = 0;
      for (const row of selectEntries.iterate(name, from, to, limit) as Iterable<unknown>) {
        found.push(recorded(row as Row, epoch));
        characters += (row as Row).body.length;
        if (characters >= charactersAtOnce) break;
      }
      return found;
    },
    last(key) {
      const row = selectLastEntry.get(name, key) as unknown as Row | undefined;
      return row === undefined ? undefined : recorded(row, head().epoch);
    },
    renew(history, now) {
      const { epoch: before, head: last } = head();
      const epoch = `${before.split(".")[0]}.${history}`;
      const sequence = last + 1;
      const body = JSON.stringify({ history });
      deleteOlder.run(name, epochKey);
      insertEntry.run(name, sequence, epochKey, body, null, now);
      updateHead.run(sequence, name);
      updateEpoch.run(epoch, name);
      return { sequence, epoch, key: epochKey, body };
    },
    prune(now) {
      deleteOperations.run(name, now - operationMemoryMs);
      if (maxEntries !== undefined) deleteBelow.run(name, head().head - maxEntries + 1);
      if (maxAgeMs === undefined) return;
      const young = selectYoung.get(name, now - maxAgeMs) as { sequence: number } | undefined;
      deleteBelow.run(name, young?.sequence ?? head().head + 1);
    },
  };
}

function recorded({ sequence, key, body, operation }: Row, epoch: Epoch): Recorded {
  return { sequence, epoch, key, body, ...(operation === null ? {} : { operation }) };
}
