/**
 * The file of the embedded journals: opened by one process at a time, refused when it is not ours, not whole, or from the future.
 */
import { closeSync, mkdirSync, openSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { messageOf } from "../lifetime.ts";

/** "Tcsn", in the header of the file. */
const applicationId = 0x5463736e;
/** Counts changes of the tables that an older program could not read. */
const format = 1;

const tables = `
  CREATE TABLE journal (
    name  TEXT PRIMARY KEY,
    epoch TEXT NOT NULL,
    head  INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE entry (
    journal   TEXT NOT NULL,
    sequence  INTEGER NOT NULL,
    key       TEXT NOT NULL,
    body      TEXT NOT NULL,
    operation TEXT,
    recorded  INTEGER NOT NULL,
    PRIMARY KEY (journal, sequence)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX entry_by_key ON entry (journal, key, sequence);
  CREATE TABLE operation (
    journal   TEXT NOT NULL,
    operation TEXT NOT NULL,
    sequence  INTEGER NOT NULL,
    recorded  INTEGER NOT NULL,
    PRIMARY KEY (journal, operation)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX operation_by_age ON operation (journal, recorded);
`;

/** Why the journals of a directory cannot be opened; the message names the file and what to do. */
export class StateDirectoryError extends Error {
  override readonly name = "StateDirectoryError";
}

/**
 * Opens the database of a state directory, and creates both where they are missing, readable by this user only: the config in it
 * has its secrets resolved.
 *
 * @param directory or `":memory:"`
 * @throws StateDirectoryError when another process has it open, or the file is damaged, foreign, or of a newer format
 */
export function openDatabase(directory: string): DatabaseSync {
  if (directory === ":memory:") return prepare(new DatabaseSync(":memory:"), ":memory:");
  const file = join(directory, "journal.sqlite");
  let database: DatabaseSync | undefined;
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    // SQLite gives its companion files the mode of this one.
    closeSync(openSync(file, "a", 0o600));
    database = new DatabaseSync(file, { timeout: 0 });
    // Taken with the first read and kept: the lock is the operating system's, and gone when the process is, however it ends.
    database.exec("PRAGMA locking_mode = EXCLUSIVE");
    database.exec("PRAGMA journal_mode = WAL");
    database.exec("BEGIN IMMEDIATE; COMMIT");
    // An answered order survives a power failure, not only a crash of this process.
    database.exec("PRAGMA synchronous = FULL");
    return prepare(database, file);
  } catch (error) {
    database?.close();
    throw explained(error, file);
  }
}

function prepare(database: DatabaseSync, file: string): DatabaseSync {
  const read = (pragma: string) => Object.values(database.prepare(`PRAGMA ${pragma}`).get()!)[0];
  if (Number(read("schema_version")) === 0) {
    database.exec(
      `BEGIN; ${tables} PRAGMA application_id = ${applicationId}; PRAGMA user_version = ${format}; COMMIT`,
    );
    return database;
  }
  if (read("application_id") !== applicationId)
    throw new StateDirectoryError(`${file} is a database, but not one of Tocsin's`);
  if (read("user_version") !== format)
    throw new StateDirectoryError(
      `${file} was written by another version of Tocsin (format ${String(read("user_version"))}; this one reads ${format})`,
    );
  // A page that is damaged now would otherwise be found in the middle of a resync.
  const health = read("quick_check(1)");
  if (health !== "ok") throw damaged(file, String(health));
  return database;
}

function explained(error: unknown, file: string): Error {
  if (error instanceof StateDirectoryError) return error;
  // Result codes of SQLite; the lower byte is the primary code (sqlite.org/rescode.html).
  const code = Number((error as { errcode?: number }).errcode) & 0xff;
  if (code === 5 || code === 6)
    return new StateDirectoryError(
      `${file} is in use by another process; one state directory serves one process`,
      { cause: error },
    );
  if (code === 11 || code === 26) return damaged(file, messageOf(error), error);
  return new StateDirectoryError(`${file} cannot be opened: ${messageOf(error)}`, { cause: error });
}

function damaged(file: string, how: string, cause?: unknown): Error {
  return new StateDirectoryError(
    `${file} is damaged or not a journal (${how}); restore it from a copy, or move it away to begin empty`,
    { cause },
  );
}
