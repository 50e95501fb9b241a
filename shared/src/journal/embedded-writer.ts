import type { DatabaseSync } from "node:sqlite";
import { messageOf } from "../lifetime.ts";
import { JournalConflict, JournalUnavailable } from "./journal.ts";

interface Job {
  readonly write: () => () => void;
  readonly reject: (error: Error) => void;
}

/** Puts the writes that come together into one transaction: one wait for the disk instead of one each. */
export interface Writer {
  /**
   * @param write runs inside the transaction; what it returns runs when the transaction is durable
   * @throws JournalConflict that `write` throws: that write alone is left out
   * @throws JournalUnavailable when the database does not take it: nothing of the transaction is recorded
   */
  submit<T>(write: () => T, whenDurable: (result: T) => void): Promise<T>;
  /** Writes what waits, now. After that nothing is taken. */
  close(): void;
}

export function createWriter(database: DatabaseSync): Writer {
  let jobs: Job[] = [];
  let closed = false;

  const commit = () => {
    const batch = jobs;
    jobs = [];
    if (batch.length === 0) return;
    const done: (() => void)[] = [];
    try {
      database.exec("BEGIN IMMEDIATE");
      for (const { write, reject } of batch) {
        try {
          done.push(write());
        } catch (error) {
          // A conflict is found before anything is written; all other errors are the database's.
          if (!(error instanceof JournalConflict)) throw error;
          done.push(() => reject(error));
        }
      }
      database.exec("COMMIT");
    } catch (error) {
      try {
        if (database.isTransaction) database.exec("ROLLBACK");
      } catch {}
      const unavailable = new JournalUnavailable(
        `the journal file does not take entries: ${messageOf(error)}`,
        { cause: error },
      );
      for (const { reject } of batch) reject(unavailable);
      return;
    }
    for (const tell of done) tell();
  };

  return {
    submit<T>(write: () => T, whenDurable: (result: T) => void) {
      return new Promise<T>((resolve, reject) => {
        if (closed) throw new JournalUnavailable("the journal is closed");
        const first = jobs.length === 0;
        jobs.push({
          write() {
            const result = write();
            return () => {
              whenDurable(result);
              resolve(result);
            };
          },
          reject,
        });
        if (first) setImmediate(commit);
      });
    },
    close() {
      commit();
      closed = true;
    },
  };
}
