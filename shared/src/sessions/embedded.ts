/** Sessions in a file of the state directory: a restart of the one process that there is signs nobody out. */
import { closeSync, mkdirSync, openSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { messageOf, once } from "../lifetime.ts";
import type { Clock, Milliseconds } from "../time.ts";
import { readStored, type HeldSession } from "./session.ts";
import { SessionStoreUnavailable, type SessionStore } from "./store.ts";

/** "Tcss", in the header of the file. */
const applicationId = 0x54637373;
const format = 1;

const tables = `
  CREATE TABLE session (
    sid     TEXT PRIMARY KEY,
    subject TEXT NOT NULL,
    body    TEXT NOT NULL,
    created INTEGER NOT NULL,
    ends    INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX session_by_subject ON session (subject, created);
  CREATE INDEX session_by_end ON session (ends);
`;

const sweepMs: Milliseconds = 60_000;

interface Row {
  readonly body: string;
  readonly ends: number;
}

/**
 * @param directory or `":memory:"`
 * @throws Error naming the file when it cannot be opened, or is not ours
 */
export function openSessions(directory: string, clock: Clock): SessionStore {
  const database = open(directory);
  const insert = database.prepare(
    "INSERT INTO session (sid, subject, body, created, ends) VALUES (?, ?, ?, ?, ?)",
  );
  const select = database.prepare("SELECT body, ends FROM session WHERE sid = ? AND ends > ?");
  const update = database.prepare("UPDATE session SET ends = ? WHERE sid = ? AND ends > ?");
  const erase = database.prepare("DELETE FROM session WHERE sid = ? AND ends > ?");
  const ofSubject = database.prepare(
    "SELECT body, ends FROM session WHERE subject = ? AND ends > ? ORDER BY created DESC LIMIT ?",
  );
  const expired = database.prepare("DELETE FROM session WHERE ends <= ?");

  const held = (row: Row): HeldSession[] => {
    const session = readStored(row.body);
    return session === undefined ? [] : [{ session, idleMs: row.ends - clock.wall() }];
  };
  // A full disk is an answer that did not come, as with any other store.
  const attempt = async <T>(run: () => T): Promise<T> => {
    try {
      return run();
    } catch (error) {
      throw new SessionStoreUnavailable(messageOf(error), { cause: error });
    }
  };
  const sweep = () => void expired.run(Math.floor(clock.wall()));
  const stopSweeping = clock.every(sweepMs, () => void attempt(sweep).catch(() => {}));

  return {
    place: directory === ":memory:" ? "memory" : fileIn(directory),
    trouble: undefined,
    create: (session, idleMs) =>
      attempt(() => {
        const ends = Math.ceil(clock.wall() + idleMs);
        const { sid, subject, createdAt } = session;
        insert.run(sid, subject, JSON.stringify(session), createdAt, ends);
      }),
    read: (sid) =>
      attempt(() => {
        const row = select.get(sid, Math.floor(clock.wall())) as Row | undefined;
        return row && held(row)[0];
      }),
    touch: (sid, idleMs) =>
      attempt(() => {
        const now = clock.wall();
        update.run(Math.ceil(now + idleMs), sid, Math.floor(now));
      }),
    remove: ({ sid }) =>
      attempt(() => Number(erase.run(sid, Math.floor(clock.wall())).changes) === 1),
    listOf: (subject, limit) =>
      attempt(() =>
        (ofSubject.all(subject, Math.floor(clock.wall()), limit) as unknown as Row[]).flatMap(held),
      ),
    [Symbol.asyncDispose]: once(() => {
      stopSweeping();
      database.close();
    }),
  };
}

const fileIn = (directory: string) => join(directory, "sessions.sqlite");

function open(directory: string): DatabaseSync {
  if (directory === ":memory:") return prepare(new DatabaseSync(":memory:"));
  const file = fileIn(directory);
  let database: DatabaseSync | undefined;
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    // SQLite gives its companion files the mode of this one.
    closeSync(openSync(file, "a", 0o600));
    database = new DatabaseSync(file, { timeout: 0 });
    database.exec("PRAGMA locking_mode = EXCLUSIVE");
    prepare(database);
    database.exec("PRAGMA journal_mode = WAL");
    // A power failure may cost the last sign-ins; that a session was ended stands in the journal of revocations too.
    database.exec("PRAGMA synchronous = NORMAL");
    return database;
  } catch (error) {
    database?.close();
    throw new Error(
      `the sessions in ${file} cannot be opened: ${messageOf(error)}; move the file away to begin without any`,
      { cause: error },
    );
  }
}

function prepare(database: DatabaseSync): DatabaseSync {
  const read = (pragma: string) => Object.values(database.prepare(`PRAGMA ${pragma}`).get()!)[0];
  if (Number(read("schema_version")) === 0)
    database.exec(
      `BEGIN; ${tables} PRAGMA application_id = ${applicationId}; PRAGMA user_version = ${format}; COMMIT`,
    );
  if (read("application_id") !== applicationId || read("user_version") !== format)
    throw new Error(`it is not a file of sessions of this version (format ${format})`);
  return database;
}
