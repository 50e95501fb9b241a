/** Where sessions are kept. Two adapters, one contract test: Redis for clusters, a file for one process. */
import type { Milliseconds } from "../time.ts";
import type { HeldSession, SessionId, StoredSession } from "./session.ts";

export interface SessionStore extends AsyncDisposable {
  /** What it is, for messages: `Redis at 127.0.0.1:6379/0`. */
  readonly place: string;
  /** Why it cannot be asked at the moment; undefined: it can. */
  readonly trouble: string | undefined;
  /**
   * Keeps a new session for as long as it may be idle.
   *
   * @throws SessionStoreUnavailable, as every call does; whether it is kept is then not known
   */
  create(session: StoredSession, idleMs: Milliseconds): Promise<void>;
  /** @returns undefined when there is none: never was, idle for too long, or removed */
  read(sid: SessionId): Promise<HeldSession | undefined>;
  /** It was used: from now on it may be idle for so long. Does nothing when there is none: what is over does not come back. */
  touch(sid: SessionId, idleMs: Milliseconds): Promise<void>;
  /** @returns whether there was one */
  remove(session: Pick<StoredSession, "sid" | "subject">): Promise<boolean>;
  /** The sessions of a subject, the newest first, not more than `limit`. */
  listOf(subject: string, limit: number): Promise<readonly HeldSession[]>;
}

/** The store cannot say now; it may say later. */
export class SessionStoreUnavailable extends Error {
  override readonly name = "SessionStoreUnavailable";
}
