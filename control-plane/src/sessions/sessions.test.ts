/** Sessions over the admin API and over the bus. */
import { createEmbeddedBus, openEmbeddedStore } from "@tocsin/shared/embedded";
import { Secret, silentLog, systemClock, systemRandom } from "@tocsin/shared";
import { subjects, type Bus } from "@tocsin/shared/bus";
import { connectRedis } from "@tocsin/shared/redis";
import {
  hashOf,
  openSessions,
  readCookieValue,
  redisSessions,
  type SessionStore,
} from "@tocsin/shared/sessions";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { freePort } from "../../../test/harness/index.ts";
import { soon } from "../../../test/harness/soon.ts";
import { startTestNode, type TestNode } from "../testing/node.ts";

let stack = new AsyncDisposableStack();
let bus: Bus;
let store: SessionStore;
const sourceOf = (sessions: string, environment = "production") =>
  `version: 1\nenvironment: ${environment}\nidentity: { sessions: ${sessions} }\n`;

beforeEach(async () => {
  bus = stack.use(createEmbeddedBus());
  store = stack.use(openSessions(":memory:", systemClock));
});
afterEach(async () => {
  await stack.disposeAsync();
  stack = new AsyncDisposableStack();
});

async function start(source = sourceOf("{}"), sessions: SessionStore | undefined = store) {
  const { journals } = stack.use(await openEmbeddedStore(":memory:", { bus, clock: systemClock }));
  const given = sessions === undefined ? {} : { sessions };
  return stack.use(await startTestNode({ source, store: { bus, journals }, ...given }));
}
interface Made {
  readonly sid: string;
  readonly cookie: string;
  readonly setCookie: string;
  readonly expiresAt: number;
}
const create = async (node: TestNode, body: object) =>
  (await node.call("POST", "/v1/sessions", body)).json() as unknown as Made;
/** One that is not there, on a port that nobody has. */
async function absentRedis(): Promise<SessionStore> {
  const url = new Secret(`redis://127.0.0.1:${await freePort()}`);
  const redis = connectRedis({
    url,
    timeoutMs: 250,
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
  });
  return stack.use(redisSessions(redis, systemClock));
}

describe("a session that is made", () => {
  test("is told once, with the field that the browser gets, and its secret is kept nowhere", async () => {
    const node = await start();
    const answer = await node.call("POST", "/v1/sessions", {
      subject: "ada",
      roles: ["user"],
      client: "web",
      metadata: { device: "laptop" },
    });
    expect(answer.status).toBe(201);
    const made = answer.json() as unknown as Made;
    expect(answer.headers["location"]).toBe(`/v1/sessions/${made.sid}`);
    expect(made.setCookie).toBe(
      `sid=${made.cookie}; Max-Age=2592000; Path=/; Secure; HttpOnly; SameSite=Lax`,
    );
    expect(made.expiresAt).toBeGreaterThan(Date.now() / 1_000 + 2_591_000);
    const { sid, secret } = readCookieValue(made.cookie)!;
    expect(sid).toBe(made.sid);
    const held = await store.read(sid);
    expect(held?.session).toMatchObject({
      subject: "ada",
      by: "admin",
      secretHash: hashOf(secret),
    });
    const seen = JSON.stringify([held, node.lines]);
    expect(seen).toContain("createSession");
    expect(seen).not.toContain(secret);
    const list = await node.call("GET", "/v1/sessions?subject=ada");
    expect(list.json()).toEqual({
      sessions: [
        {
          sid,
          subject: "ada",
          roles: ["user"],
          scopes: [],
          client: "web",
          createdAt: expect.any(Number),
          idleEndsAt: expect.any(Number),
          expiresAt: made.expiresAt,
          by: "admin",
          metadata: { device: "laptop" },
        },
      ],
    });
  });

  test.each([
    ["{}", "development", /^sid=[^;]+; Max-Age=\d+; Path=\/; HttpOnly; SameSite=Lax$/],
    ["{ secure: true }", "development", /; Secure; HttpOnly/],
    ["{ cookie: __Host-sid }", "staging", /^__Host-sid=[^;]+; Max-Age=\d+; Path=\/; Secure; /],
    ["{ sameSite: none }", "staging", /; Secure; HttpOnly; SameSite=None$/],
    [
      "{ sameSite: strict, domain: example.com }",
      "production",
      /; Domain=example\.com; Secure; HttpOnly; SameSite=Strict$/,
    ],
  ])("has the cookie that %s in %s asks for", async (sessions, environment, field) => {
    const node = await start(sourceOf(sessions, environment));
    expect((await create(node, { subject: "ada" })).setCookie).toMatch(field);
  });

  test("lives as long as was asked for, and never longer than the config says", async () => {
    const node = await start(sourceOf("{ ttl: 1h, lifetime: 2h }"));
    const made = await create(node, { subject: "ada", lifetime: "10m" });
    expect(made.setCookie).toContain("Max-Age=600;");
    expect((await store.read(made.sid))?.idleMs).toBeLessThanOrEqual(600_001);
    const answer = await node.call("POST", "/v1/sessions", { subject: "ada", lifetime: "3h" });
    expect(answer.json()).toMatchObject({ status: 422, errors: [{ pointer: "/lifetime" }] });
  });

  test.each([
    [{}, "/subject"],
    [{ subject: "" }, "/subject"],
    [{ subject: "a\r\nb" }, "/subject"],
    [{ subject: "a\0" }, "/subject"],
    [{ subject: "\ud800" }, "/subject"],
    [{ subject: "a".repeat(513) }, "/subject"],
    [{ subject: 1 }, "/subject"],
    [{ subject: "a", roles: "admin" }, "/roles"],
    [{ subject: "a", roles: [""] }, "/roles/0"],
    [{ subject: "a", roles: ["x\ny"] }, "/roles/0"],
    [{ subject: "a", lifetime: "-1s" }, "/lifetime"],
    [{ subject: "a", lifetime: 5 }, "/lifetime"],
    [{ subject: "a", metadata: { a: 1 } }, "/metadata/a"],
    [{ subject: "a", sid: "mine" }, ""],
  ])("%j is refused with its place", async (body, pointer) => {
    const node = await start();
    const answer = await node.call("POST", "/v1/sessions", body);
    expect(answer.status).toBe(422);
    expect(answer.json().errors?.[0]?.pointer).toBe(pointer);
  });
});

describe("a session that is ended", () => {
  test("is revoked with the proof of an order, gone from the store, and its cookie forgotten", async () => {
    const node = await start();
    const { sid } = await create(node, { subject: "ada" });
    const answer = await node.call("DELETE", `/v1/sessions/${sid}?reason=signed%20out`);
    expect(answer.status).toBe(200);
    expect(answer.json()).toMatchObject({
      operation: expect.any(String),
      sequence: expect.any(Number),
      applied: { expected: 0, count: 0, missing: [] },
      removed: 1,
      setCookie: "sid=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Lax",
    });
    expect(await store.read(sid)).toBeUndefined();
    const { revocations } = (await node.call("GET", "/v1/revocations")).json() as unknown as {
      revocations: { expiresAt: number }[];
    };
    expect(revocations).toMatchObject([{ kind: "session", sid, reason: "signed out" }]);
    // As long as it would have lived, and a copy of the store could bring it back.
    expect(revocations[0]!.expiresAt).toBeGreaterThan(Date.now() / 1_000 + 29 * 86_400);
    expect((await node.call("DELETE", `/v1/sessions/${sid}`)).json()).toMatchObject({
      status: 404,
      code: "not-found",
    });
  });

  test("is one of all that somebody has: the others go with it, those of others stay", async () => {
    const node = await start();
    for (let count = 0; count < 3; count += 1) await create(node, { subject: "ada & bob" });
    const other = await create(node, { subject: "ada" });
    const answer = await node.call("DELETE", "/v1/sessions?subject=ada%20%26%20bob");
    expect(answer.json()).toMatchObject({ removed: 3, count: 3 });
    expect(await store.listOf("ada & bob", 10)).toEqual([]);
    expect(await store.read(other.sid)).toBeDefined();
    const again = await node.call("DELETE", "/v1/sessions?subject=ada%20%26%20bob");
    expect(again.status).toBe(200);
    expect(again.json()).toEqual({ removed: 0, setCookie: expect.any(String) });
  });

  test("by an order of revocations is gone from the store, too", async () => {
    const node = await start();
    const made = [await create(node, { subject: "ada" }), await create(node, { subject: "ada" })];
    await node.call("POST", "/v1/revocations", { kind: "session", sid: made[0]!.sid });
    const revocations = [
      { kind: "session", sid: made[1]!.sid },
      { kind: "session", sid: "the sid of somebody else's tokens" },
    ];
    await node.call("POST", "/v1/revocations", { revocations });
    await soon(async () => expect(await store.listOf("ada", 10)).toEqual([]));
  });

  test("while the store is away is revoked all the same, and it is said what the store still has", async () => {
    const node = await start(undefined, await absentRedis());
    const sid = "a".repeat(22);
    const answer = await node.call("DELETE", `/v1/sessions/${sid}`);
    expect(answer.json()).toMatchObject({
      removed: 0,
      notRemoved: expect.any(String),
      sequence: 1,
    });
    const all = await node.call("DELETE", "/v1/sessions?subject=ada");
    expect(all.json()).toMatchObject({ status: 503, code: "session-store-unavailable" });
  });

  test.each([
    ["DELETE", "/v1/sessions/x", 422],
    ["DELETE", "/v1/sessions", 422],
    ["DELETE", "/v1/sessions?subject=", 422],
    ["DELETE", "/v1/sessions?subject=ada&subject=bob", 422],
    ["DELETE", "/v1/sessions?subject=ada&wait=never", 400],
    ["DELETE", "/v1/sessions?user=ada", 400],
    ["GET", "/v1/sessions", 422],
    ["PUT", "/v1/sessions", 405],
  ])("%s %s says what is wrong, and ends nothing", async (method, path, status) => {
    const node = await start();
    const { sid } = await create(node, { subject: "ada" });
    expect((await node.call(method, path)).status).toBe(status);
    expect(await store.read(sid)).toBeDefined();
  });
});

describe("where there are none", () => {
  test("nobody makes one, and is told why", async () => {
    const node = await start("version: 1\n");
    for (const [method, path, body] of [
      ["POST", "/v1/sessions", { subject: "ada" }],
      ["GET", "/v1/sessions?subject=ada", undefined],
      ["DELETE", `/v1/sessions/${"a".repeat(22)}`, undefined],
    ] as const)
      expect((await node.call(method, path, body)).json()).toMatchObject({
        status: 409,
        code: "sessions-not-configured",
      });
  });

  test.each([
    ["a store that is away", absentRedis, /ECONNREFUSED|not connected/],
    ["no store at all", async () => undefined, /TOCSIN_REDIS_URL/],
  ])("%s is a 503 that says what is missing, at once", async (_, sessions, detail) => {
    const given = await sessions();
    const { journals } = stack.use(
      await openEmbeddedStore(":memory:", { bus, clock: systemClock }),
    );
    const node = stack.use(
      await startTestNode({
        source: sourceOf("{}"),
        store: { bus, journals },
        ...(given === undefined ? {} : { sessions: given }),
      }),
    );
    const answer = await node.call("POST", "/v1/sessions", { subject: "ada" });
    expect(answer.json()).toMatchObject({ status: 503, code: "session-store-unavailable" });
    expect(answer.json()["detail"]).toMatch(detail);
  });
});

describe("over the bus", () => {
  const ask = async (verb: "create" | "list" | "end", body: object, service = "users") =>
    JSON.parse(
      (
        await bus.request(subjects.session(verb, service), JSON.stringify(body), {
          timeoutMs: 5_000,
        })
      ).text(),
    ) as { ok: boolean; body: Record<string, unknown>; problem: Record<string, unknown> };

  test("a service makes one, and the list says which service it was", async () => {
    const node = await start();
    const { ok, body } = await ask("create", { subject: "ada" });
    expect(ok).toBe(true);
    expect(body["setCookie"]).toContain(String(body["cookie"]));
    const list = await ask("list", { subject: "ada" });
    expect(list.body["sessions"]).toMatchObject([{ sid: body["sid"], by: "service:users" }]);
    const audit = node.lines.filter(({ event, via }) => event === "audit" && via === "bus");
    expect(audit).toMatchObject([{ who: "service:users", action: "createSession", status: 200 }]);
    expect(audit).toMatchObject([{ target: { subject: "ada" }, outcome: "done" }]);
    expect(JSON.stringify(node.lines)).not.toContain(
      readCookieValue(String(body["cookie"]))!.secret,
    );
  });

  test("what is wrong with a request is said as over HTTP", async () => {
    await start();
    expect(await ask("create", { subject: "" })).toMatchObject({
      ok: false,
      problem: { status: 422, errors: [{ pointer: "/subject" }] },
    });
    expect(await ask("end", { sid: "x" })).toMatchObject({ ok: false, problem: { status: 422 } });
  });

  test("a subject that is longer than any service's name goes nowhere", async () => {
    await start();
    const message = await bus.request("tocsin.v1.session.create.users.more", "{}", {
      timeoutMs: 5_000,
    });
    expect(JSON.parse(message.text())).toMatchObject({ ok: false, problem: { status: 400 } });
  });
});
