/** Sessions in Redis: one key each, which expires by itself, and a sorted set of ids for each subject. */
import type { Clock, Milliseconds } from "../time.ts";
import type { Redis } from "../redis/redis.ts";
import type { Command } from "../redis/redis.ts";
import { messageOf } from "../lifetime.ts";
import { readStored, type HeldSession, type StoredSession } from "./session.ts";
import { SessionStoreUnavailable, type SessionStore } from "./store.ts";

/** No two keys are in one command, so that each may be on another server. */
const keyOf = (sid: string) => `tocsin:v1:session:${sid}`;
const subjectKey = (subject: string) => `tocsin:v1:sessions-of:${subject}`;

/** @param redis is disposed with the store */
export function redisSessions(redis: Redis, clock: Clock): SessionStore {
  async function ask(...commands: readonly Command[]): Promise<readonly unknown[]> {
    try {
      return await redis.ask(...commands);
    } catch (error) {
      throw new SessionStoreUnavailable(messageOf(error), { cause: error });
    }
  }

  return {
    place: `Redis at ${redis.place}`,
    get trouble() {
      return redis.trouble;
    },
    async create(session, idleMs) {
      const { sid, subject, expiresAt } = session;
      const now = clock.wall();
      const list = subjectKey(subject);
      const longestMs = await idleOf(list);
      // First the list: a session that exists is in it, and what is in it alone is dropped when somebody looks.
      await ask(
        ["ZADD", list, expiresAt, sid],
        ["ZREMRANGEBYSCORE", list, "-inf", now],
        ["PEXPIRE", list, atLeastOne(Math.max(longestMs, expiresAt - now))],
      );
      // How long is told in spans, never in dates: the clock of Redis is another one.
      await ask(["SET", keyOf(sid), JSON.stringify(session), "PX", atLeastOne(idleMs)]);
    },
    async read(sid) {
      const [text, idleMs] = await ask(["GET", keyOf(sid)], ["PTTL", keyOf(sid)]);
      return heldOf(sid, text, idleMs);
    },
    async touch(sid, idleMs) {
      await ask(["PEXPIRE", keyOf(sid), atLeastOne(idleMs)]);
    },
    async remove({ sid, subject }) {
      const [removed] = await ask(["DEL", keyOf(sid)]);
      await ask(["ZREM", subjectKey(subject), sid]);
      return removed === 1;
    },
    async listOf(subject, limit) {
      const list = subjectKey(subject);
      const [found] = await ask(["ZREVRANGE", list, 0, -1]);
      const sids = Array.isArray(found) ? found.map(String) : [];
      if (sids.length === 0) return [];
      const replies = await ask(
        ...sids.flatMap((sid): Command[] => [
          ["GET", keyOf(sid)],
          ["PTTL", keyOf(sid)],
        ]),
      );
      const held = sids.map((sid, index) =>
        heldOf(sid, replies[2 * index], replies[2 * index + 1], subject),
      );
      const gone = sids.filter((_, index) => held[index] === undefined);
      if (gone.length > 0) await ask(["ZREM", list, ...gone]);
      return held
        .filter((each) => each !== undefined)
        .toSorted((one, other) => other.session.createdAt - one.session.createdAt)
        .slice(0, limit);
    },
    [Symbol.asyncDispose]: () => redis[Symbol.asyncDispose](),
  };

  async function idleOf(key: string): Promise<Milliseconds> {
    const [left] = await ask(["PTTL", key]);
    return typeof left === "number" ? left : 0;
  }
}

/** What stands under a key that is not what we wrote there is no session: of nobody. */
function heldOf(
  sid: string,
  text: unknown,
  idleMs: unknown,
  subject?: string,
): HeldSession | undefined {
  const session: StoredSession | undefined = readStored(text);
  // Without an end it was not written by us. -2: it has ended between the two commands.
  if (session?.sid !== sid || typeof idleMs !== "number" || idleMs <= 0) return undefined;
  return subject === undefined || session.subject === subject ? { session, idleMs } : undefined;
}

/** Redis takes whole milliseconds, and ends a key at once that is given none. */
function atLeastOne(spanMs: Milliseconds): number {
  return Math.max(1, Math.ceil(spanMs));
}
