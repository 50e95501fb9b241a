/** The contract of a session store, against both of them. */
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Secret, silentLog, systemClock, systemRandom } from "@tocsin/shared";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { startRedis, type RedisServer } from "../../../test/harness/index.ts";
import { soon } from "../../../test/harness/soon.ts";
import { connectRedis, type Redis } from "../redis/redis.ts";
import { freshCookieValue, hashOf, isSecretOf, readCookieValue } from "./cookie-value.ts";
import { openSessions } from "./embedded.ts";
import { redisSessions } from "./redis.ts";
import type { StoredSession } from "./session.ts";
import { SessionStoreUnavailable, type SessionStore } from "./store.ts";

const day = 86_400_000;
let created = 0;
function session(subject = "ada", more: Partial<StoredSession> = {}): StoredSession {
  const { sid, secret } = freshCookieValue();
  const now = Date.now();
  return {
    v: 1,
    sid,
    secretHash: hashOf(secret),
    subject,
    roles: ["user"],
    scopes: [],
    createdAt: now + (created += 1),
    expiresAt: now + day,
    by: "admin",
    ...more,
  };
}

const connect = (url: string) =>
  connectRedis({
    url: new Secret(url),
    timeoutMs: 250,
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
  });

function describeStore(name: string, start: () => Promise<SessionStore>): void {
  describe(`a session store, ${name}`, () => {
    let store: SessionStore;
    beforeEach(async () => void (store = await start()));
    afterEach(() => store[Symbol.asyncDispose]());

    test("gives back what it was given, and how long that lives on", async () => {
      const made = session("ada", { client: "web", metadata: { agent: "a; b\r\n" } });
      await store.create(made, 60_000);
      const held = await store.read(made.sid);
      expect(held?.session).toEqual(made);
      expect(held?.idleMs).toBeGreaterThan(50_000);
      expect(held?.idleMs).toBeLessThanOrEqual(60_001);
      expect(await store.read(session().sid)).toBeUndefined();
    });

    test("an idle session is over, and being used once more does not bring it back", async () => {
      const made = session();
      await store.create(made, 80);
      await soon(async () => expect(await store.read(made.sid)).toBeUndefined());
      await store.touch(made.sid, 60_000);
      expect(await store.read(made.sid)).toBeUndefined();
      expect(await store.remove(made)).toBe(false);
      expect(await store.listOf("ada", 10)).toEqual([]);
    });

    test("a session that is used lives on", async () => {
      const made = session();
      await store.create(made, 1_000);
      await store.touch(made.sid, 60_000);
      expect((await store.read(made.sid))?.idleMs).toBeGreaterThan(50_000);
    });

    test("what is removed is gone, for everybody and from the list", async () => {
      const [one, other] = [session(), session()];
      await store.create(one, 60_000);
      await store.create(other, 60_000);
      expect(await store.remove(one)).toBe(true);
      expect(await store.remove(one)).toBe(false);
      expect(await store.read(one.sid)).toBeUndefined();
      expect((await store.listOf("ada", 10)).map((held) => held.session.sid)).toEqual([other.sid]);
    });

    test("lists the sessions of one subject, the newest first, whatever the subject is called", async () => {
      const strange = "ada *\r\n[x]:é";
      const made = [session(strange), session(strange), session(strange)];
      for (const each of made) await store.create(each, 60_000);
      await store.create(session("ada"), 60_000);
      const sids = (await store.listOf(strange, 10)).map((held) => held.session.sid);
      expect(sids).toEqual(made.map(({ sid }) => sid).toReversed());
      expect(await store.listOf(strange, 2)).toHaveLength(2);
      expect(await store.listOf("ada*", 10)).toEqual([]);
    });

    test("holds many of one subject", async () => {
      const made = Array.from({ length: 300 }, () => session("crowd"));
      await Promise.all(made.map((each) => store.create(each, 60_000)));
      expect(await store.listOf("crowd", 1_000)).toHaveLength(300);
    });
  });
}

describeStore("in memory", async () => openSessions(":memory:", systemClock));
describeStore("Redis", async () => {
  const server = await startRedis();
  const redis = connect(server.url);
  await redis.ready();
  const store = redisSessions(redis, systemClock);
  return Object.assign(store, {
    [Symbol.asyncDispose]: async () => {
      await redis[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  });
});

describe("sessions in a file", () => {
  let directory: string;
  beforeEach(() => void (directory = mkdtempSync(join(tmpdir(), "tocsin-sessions-"))));
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  test("are there after a restart, for this user of the machine alone", async () => {
    const made = session();
    {
      await using store = openSessions(join(directory, "state"), systemClock);
      await store.create(made, 60_000);
      await expect(async () => openSessions(join(directory, "state"), systemClock)).rejects.toThrow(
        /sessions\.sqlite cannot be opened: .*locked/,
      );
    }
    await using again = openSessions(join(directory, "state"), systemClock);
    expect((await again.read(made.sid))?.session).toEqual(made);
    expect(statSync(join(directory, "state", "sessions.sqlite")).mode & 0o777).toBe(0o600);
  });

  test("of another program are left alone", async () => {
    const { DatabaseSync } = await import("node:sqlite");
    const foreign = new DatabaseSync(join(directory, "sessions.sqlite"));
    foreign.exec("CREATE TABLE mine (a)");
    foreign.close();
    const before = readFileSync(join(directory, "sessions.sqlite"));
    expect(() => openSessions(directory, systemClock)).toThrow(/not a file of sessions/);
    expect(readFileSync(join(directory, "sessions.sqlite"))).toEqual(before);
  });
});

describe("sessions in Redis", () => {
  const inRedis = async (
    run: (store: SessionStore, redis: Redis, server: RedisServer) => unknown,
  ) => {
    await using server = await startRedis();
    await using redis = connect(server.url);
    await redis.ready();
    await run(redisSessions(redis, systemClock), redis, server);
  };

  test("expire by themselves, each key of them", () =>
    inRedis(async (store, redis) => {
      await store.create(session("ada", { expiresAt: Date.now() + 150 }), 100);
      expect(await redis.ask(["DBSIZE"])).toEqual([2]);
      await soon(async () => expect(await redis.ask(["DBSIZE"])).toEqual([0]));
    }));

  test("the list of a subject outlives its longest session, whichever was made last", () =>
    inRedis(async (store, redis) => {
      await store.create(session("ada", { expiresAt: Date.now() + 30 * day }), day);
      await store.create(session("ada", { expiresAt: Date.now() + 1_000 }), 1_000);
      const [left] = await redis.ask(["PTTL", "tocsin:v1:sessions-of:ada"]);
      expect(left).toBeGreaterThan(29 * day);
    }));

  test.each([
    ["garbage", "not JSON"],
    ["an object that is no session", '{"v":1}'],
    ["the session of another key", JSON.stringify(session())],
    ["a later version", JSON.stringify({ ...session(), v: 2 })],
    ["an unknown member", JSON.stringify({ ...session(), admin: true })],
  ])("%s under a key is nobody's session", (_, text) =>
    inRedis(async (store, redis) => {
      const { sid } = session();
      await redis.ask(["SET", `tocsin:v1:session:${sid}`, text, "PX", 60_000]);
      expect(await store.read(sid)).toBeUndefined();
    }),
  );

  test("what has no end was not written here", () =>
    inRedis(async (store, redis) => {
      const made = session();
      await redis.ask(["SET", `tocsin:v1:session:${made.sid}`, JSON.stringify(made)]);
      expect(await store.read(made.sid)).toBeUndefined();
    }));

  test("a value of another kind, and a full memory, are troubles of the store", () =>
    inRedis(async (store, redis) => {
      const { sid } = session();
      await redis.ask(["LPUSH", `tocsin:v1:session:${sid}`, "x"]);
      await expect(store.read(sid)).rejects.toBeInstanceOf(SessionStoreUnavailable);
      await redis.ask(["CONFIG", "SET", "maxmemory", 1]);
      await expect(store.create(session(), 1_000)).rejects.toThrow(/OOM/);
      await redis.ask(["CONFIG", "SET", "maxmemory", 0]);
      await store.create(session(), 1_000);
    }));

  test("nothing that is kept lets anybody in: no secret, in no form but its hash", () =>
    inRedis(async (store, redis) => {
      const { sid, secret } = freshCookieValue();
      await store.create(session("ada", { sid, secretHash: hashOf(secret) }), 60_000);
      const [keys] = (await redis.ask(["KEYS", "*"])) as [string[]];
      const [value] = await redis.ask(["GET", `tocsin:v1:session:${sid}`]);
      const all = JSON.stringify([keys, value]);
      expect(all).toContain(sid);
      expect(all).not.toContain(secret);
      expect(all).not.toContain(Buffer.from(secret, "base64url").toString("hex"));
    }));
});

test("another spelling of the same secret is another secret", () => {
  const { sid, secret } = freshCookieValue();
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const last = alphabet.indexOf(secret.at(-1)!);
  // 32 bytes are 43 characters: the last one carries two bits that decoders drop.
  const twin = `${secret.slice(0, -1)}${alphabet[(last & ~0b11) | ((last + 1) & 0b11)]}`;
  expect(Buffer.from(twin, "base64url")).toEqual(Buffer.from(secret, "base64url"));
  expect(isSecretOf(secret, hashOf(secret))).toBe(true);
  expect(isSecretOf(twin, hashOf(secret))).toBe(false);
  expect(readCookieValue(`${sid}.${secret}`)).toEqual({ sid, secret });
  expect(readCookieValue(`${sid}.${secret}=`)).toBeUndefined();
});
