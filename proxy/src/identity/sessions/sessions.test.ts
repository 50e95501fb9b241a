import { Refusal, silentLog } from "@tocsin/shared";
import { SessionPolicy, type AuthPolicy } from "@tocsin/shared/contract";
import { RevocationSet } from "@tocsin/shared/revocations";
import {
  freshCookieValue,
  hashOf,
  openSessions,
  SessionStoreUnavailable,
  writeCookieValue,
  type CookieValue,
  type SessionStore,
  type StoredSession,
} from "@tocsin/shared/sessions";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createIdentity, type ConfigurableIdentity } from "../create.ts";
import type { Presented } from "../identity.ts";
import type { IdentifiedPrincipal } from "../principal.ts";
import { ManualClock } from "../testing/manual-clock.ts";

const hour = 3_600_000;
const required: AuthPolicy = { mode: "required" };
const optional: AuthPolicy = { mode: "optional" };

let clock: ManualClock;
let revocations: RevocationSet;
let store: SessionStore;
let reads: string[];
let touches: [string, number][];
/** What the store does instead of answering. */
let trouble: (() => Promise<never>) | undefined;
let identity: ConfigurableIdentity;
const lookups: string[] = [];

const policy = (more: object = {}) => SessionPolicy.parse({ ttl: "1h", lifetime: "10h", ...more });
const configure = (sessions: SessionPolicy | undefined) =>
  identity.configure({ issuers: [], sessions }, { production: true });

beforeEach(() => {
  clock = new ManualClock();
  revocations = new RevocationSet();
  reads = [];
  touches = [];
  trouble = undefined;
  lookups.length = 0;
  const real = openSessions(":memory:", clock);
  store = {
    ...real,
    read(sid) {
      reads.push(sid);
      return trouble?.() ?? real.read(sid);
    },
    touch(sid, idleMs) {
      touches.push([sid, idleMs]);
      return trouble?.() ?? real.touch(sid, idleMs);
    },
  };
  identity = createIdentity({
    clock,
    random: () => 0.5,
    log: silentLog,
    revocations,
    sessions: store,
    onSessionLookup: (outcome) => void lookups.push(outcome),
  });
  configure(policy());
});
afterEach(async () => {
  await identity[Symbol.asyncDispose]();
  await store[Symbol.asyncDispose]();
});

async function signIn(more: Partial<StoredSession> = {}, idleMs = hour): Promise<CookieValue> {
  const value = freshCookieValue();
  await store.create(
    {
      v: 1,
      sid: value.sid,
      secretHash: hashOf(value.secret),
      subject: "ada",
      roles: ["user"],
      scopes: ["read"],
      createdAt: clock.wall(),
      expiresAt: clock.wall() + 10 * hour,
      by: "admin",
      ...more,
    },
    idleMs,
  );
  return value;
}

function showing(cookie: string, more: Partial<Presented["head"]> = {}, method = "GET"): Presented {
  return {
    method,
    head: {
      authorization: undefined,
      host: "api.example",
      forwardedHost: undefined,
      forwardedProto: undefined,
      passing: ["Cookie", cookie],
      ...more,
    },
    origin: { trusted: false },
  };
}
const shown = (value: CookieValue) => showing(`a=1; sid=${writeCookieValue(value)}`);
const identify = async (request: Presented, auth = required) => identity.identify(request, auth);
const codeOf = async (request: Presented, auth = required) =>
  identify(request, auth).then(
    ({ method }) => method,
    (error: unknown) => (error instanceof Refusal ? error.code : String(error)),
  );

describe("a session", () => {
  test("says whom a request speaks for, and its cookie stays here", async () => {
    const value = await signIn({ client: "web" });
    const request = shown(value);
    const principal = (await identify(request)) as IdentifiedPrincipal;
    expect(principal).toMatchObject({
      method: "session",
      subject: "ada",
      issuer: "",
      roles: ["user"],
      scopes: ["read"],
      session: value.sid,
      client: "web",
      expiresAt: clock.seconds + 36_000,
      credential: { issuer: "", subject: "ada", session: value.sid, issuedAt: clock.seconds },
      headers: [
        "X-Auth-Method",
        "session",
        "X-User-ID",
        "ada",
        "X-User-Roles",
        "user",
        "X-User-Scopes",
        "read",
        "X-Auth-Session",
        value.sid,
      ],
    });
    expect(request.head.passing).toEqual(["Cookie", "a=1"]);
  });

  test("is taken out on routes that do not look at it, too, and where a token counts", async () => {
    const value = await signIn();
    const none = shown(value);
    expect(await codeOf(none, { mode: "none" })).toBe("none");
    expect(none.head.passing).toEqual(["Cookie", "a=1"]);
    const token = showing(`sid=${writeCookieValue(value)}`, { authorization: "Bearer nonsense" });
    expect(await codeOf(token)).toBe("credential-invalid");
    expect(token.head.passing).toEqual([]);
    expect(reads).toEqual([]);
  });

  test("is no credential of a route that takes others, and nobody is let in as if it were not there", async () => {
    const value = await signIn();
    for (const mode of ["required", "optional"] as const) {
      expect(await codeOf(shown(value), { mode, via: ["jwt"] })).toBe("credential-invalid");
      expect(await codeOf(shown(value), { mode, via: ["session"] })).toBe("session");
    }
  });

  test("without any in the config its cookie is one like others", async () => {
    configure(undefined);
    const request = shown(await signIn());
    const before = [...request.head.passing];
    expect(await codeOf(request)).toBe("credential-missing");
    expect(request.head.passing).toEqual(before);
  });
});

describe("a cookie that is none of ours is refused, also where nobody has to show one", () => {
  const { sid, secret } = freshCookieValue();
  const cases: [string, (value: CookieValue) => string, string][] = [
    ["unknown", () => `sid=${sid}.${secret}`, "credential-invalid"],
    ["empty", () => "sid=", "credential-invalid"],
    ["the id alone", (held) => `sid=${held.sid}`, "credential-invalid"],
    ["the id and a dot", (held) => `sid=${held.sid}.`, "credential-invalid"],
    ["the secret alone", (held) => `sid=${held.secret}`, "credential-invalid"],
    ["another secret", (held) => `sid=${held.sid}.${secret}`, "credential-invalid"],
    ["another id", (held) => `sid=${sid}.${held.secret}`, "credential-invalid"],
    [
      "the hash instead of the secret",
      (held) => `sid=${held.sid}.${hashOf(held.secret)}`,
      "credential-invalid",
    ],
    [
      "the first half of the secret",
      (held) => `sid=${held.sid}.${held.secret.slice(0, 21)}`,
      "credential-invalid",
    ],
    ["one character more", (held) => `sid=${writeCookieValue(held)}A`, "credential-invalid"],
    ["padding", (held) => `sid=${writeCookieValue(held)}=`, "credential-invalid"],
    ["quotes", (held) => `sid="${writeCookieValue(held)}"`, "credential-invalid"],
    ["percent-encoding", (held) => `sid=${held.sid}%2E${held.secret}`, "credential-invalid"],
    ["a third part", (held) => `sid=${writeCookieValue(held)}.x`, "credential-invalid"],
    ["a blank within", (held) => `sid=${held.sid}. ${held.secret}`, "credential-invalid"],
    [
      "other letters",
      (held) => `sid=${writeCookieValue(held).toUpperCase()}`,
      "credential-invalid",
    ],
    ["a NUL", (held) => `sid=${writeCookieValue(held)}\0`, "credential-invalid"],
    [
      "characters of another script",
      (held) => `sid=${held.sid}.${"é".repeat(43)}`,
      "credential-invalid",
    ],
    ["a pattern for keys", () => `sid=${"*".repeat(22)}.${secret}`, "credential-invalid"],
    ["a line break of Redis", () => `sid=${"a".repeat(20)}\r\n.${secret}`, "credential-invalid"],
    ["very long", () => `sid=${"a".repeat(60_000)}`, "credential-invalid"],
    [
      "twice the same",
      (held) => `sid=${writeCookieValue(held)}; sid=${writeCookieValue(held)}`,
      "bad-request",
    ],
    ["a good and a bad one", (held) => `sid=x; sid=${writeCookieValue(held)}`, "bad-request"],
    ["a bad and a good one", (held) => `sid=${writeCookieValue(held)}; sid=x`, "bad-request"],
    ["a blank before the equals sign", (held) => `sid =${writeCookieValue(held)}`, "bad-request"],
    ["behind a comma", (held) => `a=1, sid=${writeCookieValue(held)}`, "bad-request"],
    ["within quotes", (held) => `a="; sid=${writeCookieValue(held)}; "`, "bad-request"],
    ["a name without a value", () => "sid", "bad-request"],
  ];
  test.each(cases)("%s", async (_, cookie, code) => {
    const text = cookie(await signIn());
    for (const auth of [required, optional]) expect(await codeOf(showing(text), auth)).toBe(code);
  });

  test("in two fields", async () => {
    const text = `sid=${writeCookieValue(await signIn())}`;
    const passing = ["Cookie", text, "cookie", "a=1"];
    expect(await codeOf(showing("", { passing }))).toBe("bad-request");
  });
});

describe("a page of another site", () => {
  test("changes nothing with a session, and the store is not even asked", async () => {
    const cookie = `sid=${writeCookieValue(await signIn())}`;
    const passing = () => ["Cookie", cookie, "Origin", "https://evil.example"];
    for (const auth of [required, optional])
      expect(await codeOf(showing("", { passing: passing() }, "POST"), auth)).toBe("forbidden");
    expect(reads).toEqual([]);
    expect(await codeOf(showing("", { passing: passing() }))).toBe("session");
  });

  test("needs no session to be let in: the rule is for cookies alone", async () => {
    const passing = ["Origin", "https://evil.example"];
    expect(await codeOf(showing("", { passing }, "POST"), optional)).toBe("none");
  });
});

describe("the store", () => {
  test("is asked once for a thousand requests, and again after a few seconds", async () => {
    const value = await signIn();
    await Promise.all(Array.from({ length: 1_000 }, () => identify(shown(value))));
    expect(reads).toHaveLength(1);
    clock.advance(4_900);
    const held = identity.identify(shown(value), required);
    expect(held).not.toBeInstanceOf(Promise);
    clock.advance(200);
    await identify(shown(value));
    expect(reads).toHaveLength(2);
    expect(lookups).toEqual(["found", "cached", "found"]);
  });

  test("that is away makes sessions 503, not anonymous, as long as it is", async () => {
    const value = await signIn();
    trouble = () => Promise.reject(new SessionStoreUnavailable("away"));
    for (const auth of [required, optional])
      expect(await codeOf(shown(value), auth)).toBe("session-store-unavailable");
    trouble = undefined;
    expect(await codeOf(shown(value))).toBe("session");
    // What was seen is gone by for its few seconds, and not a moment longer.
    trouble = () => Promise.reject(new SessionStoreUnavailable("away"));
    expect(await codeOf(shown(value))).toBe("session");
    clock.advance(5_000);
    expect(await codeOf(shown(value))).toBe("session-store-unavailable");
  });

  test("that is missing refuses everybody with a session, and nobody else", async () => {
    await using without = createIdentity({ clock, random: () => 0.5, log: silentLog, revocations });
    without.configure({ issuers: [], sessions: policy() }, { production: true });
    const value = await signIn();
    const asked = async () => without.identify(shown(value), optional);
    await expect(asked()).rejects.toMatchObject({ code: "session-store-unavailable" });
    expect(await without.identify(showing("a=1"), optional)).toMatchObject({ method: "none" });
  });

  test("does not hear of a session that there is not more often than once a second", async () => {
    const value = freshCookieValue();
    for (let count = 0; count < 50; count += 1)
      expect(await codeOf(shown(value))).toBe("credential-invalid");
    expect(reads).toHaveLength(1);
    clock.advance(1_000);
    await codeOf(shown(value));
    expect(reads).toHaveLength(2);
  });

  test("is not asked again for those who are here because others make up ids", async () => {
    const value = await signIn();
    await identify(shown(value));
    for (let count = 0; count < 25_000; count += 1)
      await codeOf(shown({ sid: `guess-${count}`.padEnd(22, "x"), secret: value.secret }));
    const asked = reads.length;
    expect(await codeOf(shown(value))).toBe("session");
    expect(reads).toHaveLength(asked);
  });

  test("hears that a session is used, once in a twentieth of its time, and no request waits for that", async () => {
    const value = await signIn();
    for (let minute = 0; minute < 60; minute += 1) {
      await identify(shown(value));
      clock.advance(60_000);
    }
    expect(touches.length).toBeGreaterThanOrEqual(14);
    expect(touches.length).toBeLessThanOrEqual(20);
    expect(touches[0]).toEqual([value.sid, hour]);
    trouble = undefined;
    expect(await codeOf(shown(value))).toBe("session");
  });

  test("is not told of a session by whoever knows its id alone", async () => {
    const value = await signIn();
    clock.advance(hour / 2);
    const guess = { sid: value.sid, secret: freshCookieValue().secret };
    expect(await codeOf(shown(guess))).toBe("credential-invalid");
    expect(touches).toEqual([]);
    await identify(shown(value));
    expect(touches).toHaveLength(1);
  });
});

describe("a session ends", () => {
  test("when nobody uses it", async () => {
    const value = await signIn();
    await identify(shown(value));
    clock.advance(hour + 1);
    expect(await codeOf(shown(value))).toBe("credential-expired");
    clock.advance(5_000);
    expect(await codeOf(shown(value))).toBe("credential-expired");
    expect(await codeOf(shown(await signIn({}, 10)))).toBe("session");
  });

  test("at its end, however much it is used", async () => {
    const value = await signIn();
    for (let minute = 0; minute < 600; minute += 10) {
      expect(await codeOf(shown(value))).toBe("session");
      clock.advance(600_000);
    }
    expect(await codeOf(shown(value))).toBe("credential-expired");
  });

  test("earlier, when the config says so from now on", async () => {
    const value = await signIn();
    await identify(shown(value));
    clock.advance(hour / 2);
    configure(policy({ ttl: "20m", lifetime: "25m" }));
    expect(await codeOf(shown(value))).toBe("credential-expired");
  });

  test("with a user mark of the very second in which it was made, and not with an earlier one", async () => {
    const value = await signIn({ createdAt: clock.wall() + 999 });
    const second = clock.seconds;
    revocations.addUser("ada", undefined, second - 1, second + 1e6);
    expect(await codeOf(shown(value))).toBe("session");
    revocations.addUser("ada", undefined, second, second + 1e6);
    expect(await codeOf(shown(value))).toBe("credential-revoked");
  });
});
