/** What it costs to know whom a request speaks for and whether he may: the stages `identify` and `authorize`, with nothing around them. */
import { silentLog, systemClock } from "@tocsin/shared";
import { Config, Issuer } from "@tocsin/shared/contract";
import { RevocationSet } from "@tocsin/shared/revocations";
import { createIdentity } from "../proxy/src/identity/create.ts";
import { compact, hmac, signingKey } from "../proxy/src/identity/testing/issuer.ts";
import { Exchange } from "../proxy/src/pipeline/exchange.ts";
import type { Routed } from "../proxy/src/pipeline/exchange.ts";
import type { Reply } from "../proxy/src/pipeline/reply.ts";
import { authorize } from "../proxy/src/stages/authorize.ts";
import { identify } from "../proxy/src/stages/identify.ts";
import { readHead } from "../proxy/src/upstream/request-head.ts";

const secret =
  "a secret of the benchmark that is long enough for HS512, which wants 64 bytes of it";
const tokensInTurn = 1_000;
const rounds = 7;
const requests = 200_000;

const now = Math.floor(Date.now() / 1_000);
const claims = (name: string) => ({
  iss: "bench",
  aud: "api",
  sub: `user-${name}`,
  jti: `token-${name}`,
  iat: now,
  exp: now + 36_000,
  roles: ["user"],
});

function identityOf(revocations: RevocationSet, issuers: readonly object[]) {
  const identity = createIdentity({
    clock: systemClock,
    random: Math.random,
    log: silentLog,
    revocations,
    fetch: (url) => Promise.resolve(Response.json({ keys: keySets.get(url) ?? [] })),
  });
  const { identity: config } = Config.parse({ version: 1, identity: { issuers } });
  identity.configure(config, { production: false });
  return identity;
}
const keySets = new Map<string, object[]>();

const hs256 = { issuer: "bench", audience: "api", algorithms: ["HS256"], secret };
const reply: Reply = { status: 200, headers: [], body: undefined };
const auth = { mode: "required", via: ["jwt"], roles: { any: ["user"] } };
const route = { auth, revocation: { maxStalenessMs: 60_000, denyWhenStale: false } };

function handlerOf(revocations: RevocationSet) {
  const identity = identityOf(revocations, [hs256]);
  const permit = authorize();
  const stage = identify(identity, { revocationsMs: () => 0 });
  return (exchange: Routed) =>
    stage(exchange, (identified) => permit(identified, () => reply as never));
}

function exchangeOf(token: string): Routed {
  const head = readHead(["Host", "a", "Accept", "*/*", "Authorization", `Bearer ${token}`]);
  const origin = { address: "127.0.0.1", trusted: false, forwardedNode: "" };
  const exchange = new Exchange("id", "GET", head, origin, "127.0.0.1", "00-0-0-00", 0);
  exchange.route = route as never;
  return exchange as Routed;
}

const cpuMicros = () => {
  const { user, system } = process.cpuUsage();
  return user + system;
};
const median = (values: readonly number[]) =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;

type Between = (set: RevocationSet, at: number) => void;

/** Microseconds of a request, the making of its text and what happens between two requests included. */
async function perRequest(
  revoked: number,
  between: Between,
  handleOf: (set: RevocationSet) => (exchange: Routed) => unknown,
): Promise<number> {
  const set = new RevocationSet();
  for (let index = 0; index < revoked; index += 1)
    set.addToken(set.fingerprint("bench", `revoked-${index}`), now + 36_000);
  const handle = handleOf(set);
  const tokens = Array.from({ length: tokensInTurn }, (_, index) =>
    compact({ alg: "HS256" }, claims(String(index)), hmac(secret)),
  );
  const exchanges = tokens.map(exchangeOf);
  for (const exchange of exchanges) await handle(exchange);
  // A request brings its own text, whose hash nobody has made yet.
  const fields = tokens.map((token) => Buffer.from(`Bearer ${token}`));
  const times = [];
  for (let round = 0; round < rounds; round += 1) {
    const from = cpuMicros();
    for (let at = 0; at < requests; at += 1) {
      between(set, round * requests + at);
      const exchange = exchanges[at % tokensInTurn]!;
      (exchange.head as { authorization: string }).authorization =
        fields[at % tokensInTurn]!.toString("latin1");
      void handle(exchange);
    }
    times.push((cpuMicros() - from) / requests);
  }
  return median(times);
}

/** The two stages alone. */
async function warm(revoked: number, between: Between = () => {}): Promise<number> {
  const nothing = () => (exchange: Routed) => exchange.head.authorization;
  return (
    (await perRequest(revoked, between, handlerOf)) - (await perRequest(revoked, between, nothing))
  );
}

async function cold(algorithm: string): Promise<number> {
  const isShared = algorithm.startsWith("HS");
  const key = isShared ? undefined : signingKey(algorithm, "k");
  const url = `http://127.0.0.1/${algorithm}`;
  if (key !== undefined) keySets.set(url, [key.jwk]);
  const issuer = isShared
    ? { ...hs256, algorithms: [algorithm] }
    : {
        issuer: "bench",
        audience: "api",
        algorithms: [algorithm],
        jwks: { url },
      };
  Issuer.parse(issuer);
  const identity = identityOf(new RevocationSet(), [issuer]);
  const count = 2_000;
  const text = (name: string) =>
    key === undefined
      ? compact({ alg: algorithm }, claims(name), hmac(secret, Number(algorithm.slice(2))))
      : key.token(claims(name));
  const policy = { mode: "required", via: ["jwt"] } as const;
  const times = [];
  for (let round = 0; round < 5; round += 1) {
    const exchanges = Array.from({ length: count }, (_, at) => exchangeOf(text(`${round}-${at}`)));
    const from = cpuMicros();
    // So many at once, as they come from a loaded listener.
    for (let at = 0; at < count; at += 20)
      await Promise.all(
        exchanges
          .slice(at, at + 20)
          .map(async (exchange) => identity.identify(exchange, { ...policy, via: ["jwt"] })),
      );
    times.push((cpuMicros() - from) / count);
  }
  await identity[Symbol.asyncDispose]();
  return median(times);
}

// A revocation between two requests makes each ask again.
const revoke: Between = (set, at) =>
  set.addToken(set.fingerprint("bench", `more-${at}`), now + 36_000);
const rows: [string, number][] = [
  ["verified before, nothing revoked", await warm(0)],
  ["verified before, 1,000,000 revoked", await warm(1_000_000)],
  ["the same, a revocation before each, nothing else revoked", await warm(0, revoke)],
  ["the same, a revocation before each, 1,000,000 revoked", await warm(1_000_000, revoke)],
];
for (const algorithm of ["HS256", "RS256", "PS256", "ES256", "EdDSA"])
  rows.push([`verified for the first time, ${algorithm}`, await cold(algorithm)]);
console.table(rows.map(([what, micros]) => ({ what, "CPU µs": micros.toFixed(2) })));
