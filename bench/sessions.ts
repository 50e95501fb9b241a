/**
 * What finding out whom a session cookie speaks for costs a request, in this process, without a network.
 *
 *   node bench/sessions.ts
 */
import { Secret, silentLog, systemClock, systemRandom } from "@tocsin/shared";
import { SessionPolicy, type AuthPolicy } from "@tocsin/shared/contract";
import { connectRedis } from "@tocsin/shared/redis";
import { RevocationSet } from "@tocsin/shared/revocations";
import {
  freshCookieValue,
  hashOf,
  openSessions,
  redisSessions,
  writeCookieValue,
  type SessionStore,
} from "@tocsin/shared/sessions";
import { createIdentity } from "../proxy/src/identity/create.ts";
import type { Presented } from "../proxy/src/identity/identity.ts";
import { startRedis } from "../test/harness/index.ts";

const rounds = 7;
const requests = 200_000;
const sessionCount = 1_000;
const required: AuthPolicy = { mode: "required" };
const optional: AuthPolicy = { mode: "optional" };
const usual = [
  "Accept",
  "*/*",
  "User-Agent",
  "Mozilla/5.0",
  "Accept-Language",
  "en",
  "Accept-Encoding",
  "gzip",
];

const asking = (cookie?: string): Presented => ({
  method: "GET",
  head: {
    authorization: undefined,
    host: "api.example",
    forwardedHost: undefined,
    forwardedProto: undefined,
    passing: cookie === undefined ? [...usual] : [...usual, "Cookie", cookie],
  },
  origin: { trusted: false },
});

function identityWith(sessions: SessionStore | undefined, policy: object | undefined) {
  const revocations = new RevocationSet();
  const identity = createIdentity({
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
    revocations,
    sessions,
  });
  identity.configure(
    { issuers: [], sessions: policy && SessionPolicy.parse(policy) },
    { production: true },
  );
  return { identity, revocations };
}

async function fill(store: SessionStore): Promise<string[]> {
  const now = systemClock.wall();
  const cookies: string[] = [];
  for (let count = 0; count < sessionCount; count += 1) {
    const value = freshCookieValue();
    cookies.push(`theme=dark; lang=en; sid=${writeCookieValue(value)}`);
    await store.create(
      {
        v: 1,
        sid: value.sid,
        secretHash: hashOf(value.secret),
        subject: `user-${count}`,
        roles: ["user"],
        scopes: [],
        createdAt: now,
        expiresAt: now + 3_600_000,
        by: "admin",
      },
      3_600_000,
    );
  }
  return cookies;
}

function report(name: string, microseconds: number): void {
  console.log(`${name.padEnd(52)} ${microseconds.toFixed(2)} µs`);
}

/** The best of several rounds. */
function measure(name: string, run: (index: number) => unknown): void {
  let best = Infinity;
  for (let round = 0; round < rounds; round += 1) {
    const start = performance.now();
    for (let index = 0; index < requests; index += 1) run(index);
    best = Math.min(best, (performance.now() - start) / requests);
  }
  report(name, best * 1_000);
}

const kept = openSessions(":memory:", systemClock);
const cookies = await fill(kept);
const without = identityWith(undefined, undefined).identity;
const { identity, revocations } = identityWith(kept, { cacheFor: "1m" });
for (const cookie of cookies) await identity.identify(asking(cookie), required);

measure("no sessions in the config", () => without.identify(asking(), optional));
measure("no cookie", () => identity.identify(asking(), optional));
measure("other cookies alone", () => identity.identify(asking("theme=dark; lang=en"), optional));
measure("a session, looked up lately", (index) =>
  identity.identify(asking(cookies[index % sessionCount]), required),
);
let marks = 0;
measure("the same, with a revocation before each request", (index) => {
  revocations.addUser(`other-${(marks += 1)}`, undefined, 1, 1e10);
  return identity.identify(asking(cookies[index % sessionCount]), required);
});

await using server = await startRedis();
await using redis = connectRedis({
  url: new Secret(server.url),
  timeoutMs: 5_000,
  clock: systemClock,
  random: systemRandom,
  log: silentLog,
});
await redis.ready();
const remote = redisSessions(redis, systemClock);
const inRedis = await fill(remote);
const always = identityWith(remote, { cacheFor: "0s" }).identity;
for (const [name, atOnce] of [
  ["a session, asked of Redis, one by one", 1],
  ["a session, asked of Redis, 100 at once", 100],
] as const) {
  const start = performance.now();
  const count = 10_000;
  for (let index = 0; index < count; index += atOnce)
    await Promise.all(
      Array.from({ length: atOnce }, async (_, more) =>
        always.identify(asking(inRedis[(index + more) % sessionCount]), required),
      ),
    );
  report(name, ((performance.now() - start) / count) * 1_000);
}
await kept[Symbol.asyncDispose]();
