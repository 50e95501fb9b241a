/**
 * Sessions seen from outside: made by a service, used through every proxy, ended everywhere, with Redis killed, frozen and cut off in
 * between; and standalone, over a restart.
 */
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { connectSessions, SessionsRefused } from "@tocsin/sdk";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startGateway, type Gateway } from "../harness/gateway.ts";
import { startRedis, startRelay, type RedisServer, type Relay } from "../harness/index.ts";
import { startOrigin, type Origin } from "../harness/origin.ts";
import { root, temporaryDirectory } from "../harness/program.ts";
import { soon, timed } from "../harness/soon.ts";
import { issuerConfig, token } from "../harness/tokens.ts";

const config = (origin: Origin) => `version: 1
environment: development
${issuerConfig}  sessions: { cookie: sid, ttl: 1h, origins: ["https://app.example"] }
services:
  users: { instances: [{ url: "${origin.url}" }] }
routes:
  - { id: users, match: { path: "/api/*" }, service: users, auth: required }
  - { id: maybe, match: { path: "/maybe/*" }, service: users, auth: optional }
  - { id: open, match: { path: "/open/*" }, service: users, auth: none }
`;

/** What a request waits for the store, and what a busy machine adds. */
const boundMs = 250 + 500;

/** The same users and rights as shipped, and the right of one service to make sessions. */
function natsConfig(directory: string): string {
  const text = readFileSync(join(root, "nats.conf"), "utf8");
  const line = '# "tocsin.v1.session.*.users"';
  expect(text).toContain(line);
  const file = join(directory, "nats.conf");
  writeFileSync(file, text.replace(line, line.slice(2)));
  return file;
}

const secretOf = (cookie: string) => cookie.split(".")[1]!;
const secrets: string[] = [];

describe("in a cluster, with Redis", () => {
  const stack = new AsyncDisposableStack();
  let gateway: Gateway;
  let origin: Origin;
  let redis: RedisServer;
  let relay: Relay;
  beforeAll(async () => {
    const directory = stack.use(temporaryDirectory()).path;
    origin = stack.use(await startOrigin());
    redis = stack.use(await startRedis({ args: ['--requirepass "redis-password"'] }));
    relay = stack.use(await startRelay(redis.port));
    gateway = stack.use(
      await startGateway("cluster", {
        config: config(origin),
        natsConfig: natsConfig(directory),
        environment: { TOCSIN_REDIS_URL: `redis://:redis-password@127.0.0.1:${relay.port}/3` },
      }),
    );
    await soon(async () => expect(await statuses(await signIn("warm"))).toEqual([200, 200]));
  }, 60_000);
  afterAll(() => stack.disposeAsync());

  const asService = (service: string) =>
    connectSessions({
      service,
      environment: { TOCSIN_NATS_URL: gateway.nats!.urlFor(service, `${service}-password`) },
    });
  async function signIn(subject: string): Promise<string> {
    const answer = await gateway.admin("POST", "/v1/sessions", { subject, roles: ["user"] });
    if (answer.status !== 201) throw new Error(answer.text);
    const cookie = String(answer.json()["cookie"]);
    secrets.push(secretOf(cookie));
    return cookie;
  }
  const askAll = (cookie: string, path = "/api/1", headers: Record<string, string> = {}) =>
    gateway.askAll(path, { headers: { cookie: `a=1; sid=${cookie}; b=2`, ...headers } });
  const statuses = async (cookie: string, path?: string) =>
    (await askAll(cookie, path)).map(({ status }) => status);
  const codes = async (cookie: string, path?: string) =>
    (await askAll(cookie, path)).map((answer) => answer.json()["code"]);

  test("a service makes a session over the bus, both proxies take it, and upstreams see who it is and no secret", async () => {
    await using sessions = await asService("users");
    const made = await sessions.create({
      subject: "ada",
      roles: ["user"],
      metadata: { device: "phone" },
    });
    secrets.push(secretOf(made.cookie));
    origin.seen.length = 0;
    expect(await statuses(made.cookie)).toEqual([200, 200]);
    expect(await statuses(made.cookie, "/open/1")).toEqual([200, 200]);
    for (const { headers } of origin.seen) expect(headers.cookie).toBe("a=1; b=2");
    expect(origin.seen.map(({ headers }) => headers["x-auth-method"])).toEqual([
      "session",
      "session",
      "none",
      "none",
    ]);
    expect(origin.seen.find(({ url }) => url === "/api/1")?.headers).toMatchObject({
      "x-user-id": "ada",
      "x-user-roles": "user",
    });
    const listed = await gateway.tocsin("sessions", "list", "ada");
    expect(listed.stdout).toMatch(new RegExp(`^${made.sid} .* service:users +device=phone$`, "m"));
    const ended = await sessions.end(made.sid, { reason: "signed out" });
    expect(ended).toMatchObject({
      removed: 1,
      missing: [],
      setCookie: expect.stringMatching(/^sid=; Max-Age=0;/),
    });
    expect(await codes(made.cookie)).toEqual(["credential-revoked", "credential-revoked"]);
  });

  test("a service without the right makes none", async () => {
    await using sessions = await asService("content");
    const refused = sessions.create({ subject: "ada" });
    await expect(refused).rejects.toBeInstanceOf(SessionsRefused);
    await expect(refused).rejects.toThrow(/may not publish tocsin\.v1\.session\.create\.content/);
  });

  test("a session that is revoked is refused on both proxies when the command returns, in milliseconds", async () => {
    const cookie = await signIn("mallory");
    const other = await signIn("mallory");
    expect(await statuses(cookie)).toEqual([200, 200]);
    const sid = cookie.split(".")[0]!;
    const { result, ms } = await timed(() =>
      gateway.admin("POST", "/v1/revocations", { kind: "session", sid }),
    );
    expect(await codes(cookie)).toEqual(["credential-revoked", "credential-revoked"]);
    const { durableMs, applied } = result.json() as {
      durableMs: number;
      applied: { count: number; ms: number };
    };
    console.log(
      `revoke a session: durable ${durableMs.toFixed(1)} ms, applied on ${applied.count} proxies ${applied.ms.toFixed(1)} ms, answered ${ms.toFixed(1)} ms`,
    );
    expect(applied).toMatchObject({ count: 2, missing: [] });
    expect(await statuses(other)).toEqual([200, 200]);
    const command = await gateway.tocsin("revoke", "session", other.split(".")[0]!);
    expect(command.stdout).toMatch(/^applied +2\/2 proxies/m);
    expect(await statuses(other)).toEqual([401, 401]);
  });

  test("all that somebody has is ended by one command, and a user mark ends sessions too", async () => {
    const cookies = [await signIn("bob"), await signIn("bob")];
    for (const cookie of cookies) expect(await statuses(cookie)).toEqual([200, 200]);
    const ended = await gateway.tocsin(
      "sessions",
      "end",
      "--user",
      "bob",
      "--reason",
      "lost phone",
    );
    expect(ended).toMatchObject({ code: 0, stderr: "" });
    for (const cookie of cookies) expect(await statuses(cookie)).toEqual([401, 401]);
    expect((await gateway.tocsin("sessions", "list", "bob")).stderr).toBe("bob has no session.\n");
    const marked = await signIn("carol");
    expect(await statuses(marked)).toEqual([200, 200]);
    expect((await gateway.tocsin("revoke", "user", "carol")).code).toBe(0);
    expect(await codes(marked)).toEqual(["credential-revoked", "credential-revoked"]);
  });

  test("a page of another site changes nothing with it", async () => {
    const cookie = await signIn("eve");
    const post = async (headers: Record<string, string>) =>
      (
        await gateway.askAll("/api/1", {
          method: "POST",
          headers: { cookie: `sid=${cookie}`, ...headers },
          body: "x",
        })
      ).map(({ status }) => status);
    expect(await post({ origin: "https://evil.example" })).toEqual([403, 403]);
    expect(await post({})).toEqual([403, 403]);
    expect(await post({ origin: "https://app.example" })).toEqual([200, 200]);
    expect(await post({ origin: "https://evil.example", cookie: "" })).toEqual([401, 401]);
  });

  /** Each of them in its bound, and only those with a session. */
  async function refusedInTime(what: string): Promise<void> {
    const fresh = `${"a".repeat(22)}.${"b".repeat(43)}`;
    for (const path of ["/api/1", "/maybe/1"]) {
      const { result, ms } = await timed(() => askAll(fresh, path));
      expect(result.map((answer) => [answer.status, answer.json()["code"]])).toEqual([
        [503, "session-store-unavailable"],
        [503, "session-store-unavailable"],
      ]);
      expect(result[0]!.headers["retry-after"]).toBe("1");
      expect(ms).toBeLessThan(boundMs);
      console.log(`Redis ${what}: refused in ${ms.toFixed(1)} ms`);
    }
    const bearer = await token();
    const { result, ms } = await timed(() => gateway.askAll("/api/1", { token: bearer }));
    expect(result.map(({ status }) => status)).toEqual([200, 200]);
    expect(ms).toBeLessThan(boundMs);
    expect((await gateway.askAll("/maybe/1")).map(({ status }) => status)).toEqual([200, 200]);
  }
  const backSoon = (cookie: string) =>
    soon(async () => expect(await statuses(cookie)).toEqual([200, 200]), 10_000, 50);

  test("Redis frozen: sessions are 503 in time, tokens and strangers are served, and it comes back", async () => {
    const cookie = await signIn("frozen");
    redis.freeze();
    try {
      await refusedInTime("frozen");
      await refusedInTime("frozen for a while");
      const made = await gateway.admin("POST", "/v1/sessions", { subject: "ada" });
      expect(made.json()).toMatchObject({ status: 503, code: "session-store-unavailable" });
      const text = await (await fetch(`${gateway.probes[0]}/readyz?verbose`)).text();
      expect(text).toMatch(/\[\+\] sessions ok, kept in Redis at 127\.0\.0\.1:\d+\/3, degraded: /);
      expect(text).toMatch(/\nok\n$/);
    } finally {
      redis.thaw();
    }
    await backSoon(cookie);
  });

  test("a network that swallows everything: the same", async () => {
    const cookie = await signIn("cut off");
    relay.hold();
    await refusedInTime("out of reach");
    relay.cut();
    relay.pass();
    await backSoon(cookie);
  });

  test("Redis killed and back: the same without a restart of anything; what it lost is signed out, nobody is let in", async () => {
    const cookie = await signIn("killed");
    expect(await statuses(cookie)).toEqual([200, 200]);
    await redis.kill();
    await soon(
      async () => expect(await codes(cookie)).toEqual(Array(2).fill("session-store-unavailable")),
      10_000,
      50,
    );
    await refusedInTime("killed");
    // An order does not need the store: its answer says what the store still has.
    const sid = cookie.split(".")[0]!;
    const ended = await gateway.tocsin("sessions", "end", sid);
    expect(ended.code).toBe(0);
    expect(ended.stderr).toContain("still in the store");
    await redis.restart();
    const again = await soon(() => signIn("killed"), 10_000, 50);
    await backSoon(again);
    expect(await codes(cookie)).toEqual(["credential-revoked", "credential-revoked"]);
    const metrics = await (await fetch(`${gateway.probes[0]}/metrics`)).text();
    expect(metrics).toMatch(/tocsin_session_lookups_total\{outcome="failed"\} [1-9]/);
    expect(metrics).toMatch(/tocsin_session_store_seconds_count [1-9]/);
  });

  test("no secret of a session stands in a log, a journal, or Redis", async () => {
    const cookie = await signIn("grep");
    expect(await statuses(cookie)).toEqual([200, 200]);
    const names = [...gateway.names.controlPlanes, ...gateway.names.proxies];
    const texts = names.flatMap((name) => {
      const program = gateway.node(name);
      return [program.log(), ...filesIn(program.environment["TOCSIN_STATE_DIR"]!)];
    });
    texts.push(...filesIn(gateway.nats!.storeDirectory), await dumpOf(redis));
    const all = texts.join("\n");
    expect(all).toContain(cookie.split(".")[0]!);
    expect(secrets.length).toBeGreaterThan(5);
    for (const secret of secrets) expect(all).not.toContain(secret);
    expect(all).not.toContain("redis-password");
  });
});

describe("standalone", () => {
  test("a restart signs nobody out, an end stays one, and no secret is written down", async () => {
    await using origin = await startOrigin();
    await using gateway = await startGateway("standalone", { config: config(origin) });
    const made = async (subject: string) =>
      String((await gateway.admin("POST", "/v1/sessions", { subject })).json()["cookie"]);
    const [kept, ended] = [await made("ada"), await made("ada")];
    const status = async (cookie: string) =>
      (await gateway.ask("/api/1", { headers: { cookie: `sid=${cookie}` } })).status;
    expect([await status(kept), await status(ended)]).toEqual([200, 200]);
    const command = await gateway.tocsin("sessions", "end", ended.split(".")[0]!);
    expect(command.stdout).toMatch(/^applied +1\/1 proxies/m);
    expect([await status(kept), await status(ended)]).toEqual([200, 401]);
    await gateway.restartAll("SIGKILL");
    expect([await status(kept), await status(ended)]).toEqual([200, 401]);
    const program = gateway.controlPlane();
    const all = [...filesIn(program.environment["TOCSIN_STATE_DIR"]!), program.log()].join("\n");
    expect(all).toContain(kept.split(".")[0]!);
    for (const cookie of [kept, ended]) expect(all).not.toContain(secretOf(cookie));
  }, 60_000);
});

/** The contents of all files below a directory, byte for byte as text. */
function filesIn(directory: string): string[] {
  // A control plane of a cluster that was given its token keeps nothing.
  if (!existsSync(directory)) return [];
  return readdirSync(directory, { recursive: true, encoding: "utf8" })
    .map((name) => join(directory, name))
    .filter((file) => statSync(file).isFile())
    .map((file) => readFileSync(file, "latin1"));
}

async function dumpOf(redis: RedisServer): Promise<string> {
  const { connectRedis } = await import("@tocsin/shared/redis");
  const { Secret, silentLog, systemClock, systemRandom } = await import("@tocsin/shared");
  await using connection = connectRedis({
    url: new Secret(`redis://:redis-password@127.0.0.1:${redis.port}/3`),
    timeoutMs: 5_000,
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
  });
  await connection.ready();
  const [keys] = (await connection.ask(["KEYS", "*"])) as [string[]];
  const values = await connection.ask(...keys.map((key) => ["DUMP", key] as const));
  return JSON.stringify([keys, values]);
}
