/**
 * Tokens that must not be let in. Every attack is a line in a list: who adds one to the gateway's worries adds it here.
 */
import { createPublicKey, sign, verify } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Refusal, silentLog } from "@tocsin/shared";
import { Issuer } from "@tocsin/shared/contract";
import type { AuthPolicy } from "@tocsin/shared/contract";
import { createIdentity } from "./create.ts";
import { RevocationSet } from "@tocsin/shared/revocations";
import { base64url, compact, hmac, signed, signingKey, startKeyServer } from "./testing/issuer.ts";
import type { Json, KeyServer } from "./testing/issuer.ts";
import { presenting } from "./testing/presented.ts";
import { ManualClock } from "./testing/manual-clock.ts";

const clock = new ManualClock();
const now = clock.seconds;
const secret = "the secret that the shop and the gateway share";
const required: AuthPolicy = { mode: "required", via: ["jwt"] };

const good = {
  iss: "https://shop.example",
  aud: "api",
  sub: "alice",
  iat: now - 10,
  exp: now + 600,
  jti: "token-1",
  roles: ["user"],
};
const bank = { ...good, iss: "https://bank.example" };

const rsa = signingKey("RS256", "rsa-1");
const second = signingKey("RS256", "rsa-2");
const elliptic = signingKey("ES256", "ec-1");
const edwards = signingKey("EdDSA", "ed-1");
const encryption = signingKey("RS256", "enc-1");
const wrapping = signingKey("RS256", "ops-1");
const pss = signingKey("RS256", "pss-1");
const weak = signingKey("RS256", "weak-1", 1024);
const stranger = signingKey("RS256", "rsa-1");
const strangerElliptic = signingKey("ES256", "ec-1");
const p384 = signingKey("ES384", "ec-1");

const header = { alg: "HS256", typ: "JWT" };
const shop = (claims: unknown, head: Json | string = header) => compact(head, claims, hmac(secret));
const change = (claims: Json) => shop({ ...good, ...claims });
const without = (claim: string) =>
  shop(Object.fromEntries(Object.entries(good).filter(([name]) => name !== claim)));
const json = (value: unknown) => JSON.stringify(value);

let keys: KeyServer;
const elsewhere: string[] = [];
let identity: ReturnType<typeof createIdentity>;

beforeAll(async () => {
  keys = await startKeyServer(
    rsa.jwk,
    second.jwk,
    elliptic.jwk,
    edwards.jwk,
    { ...encryption.jwk, use: "enc" },
    { ...wrapping.jwk, use: undefined, key_ops: ["wrapKey"] },
    { ...pss.jwk, alg: "PS256" },
    weak.jwk,
    { kty: "oct", kid: "oct-1", k: base64url(secret) },
  );
  identity = createIdentity({
    clock,
    random: () => 0.5,
    log: silentLog,
    revocations: new RevocationSet(),
    fetch: (url, init) => {
      if (url !== keys.url) elsewhere.push(url);
      return fetch(url, init);
    },
  });
  const issuers = [
    Issuer.parse({ issuer: good.iss, audience: "api", algorithms: ["HS256"], secret }),
    Issuer.parse({
      issuer: bank.iss,
      audience: ["api", "other-api"],
      algorithms: ["RS256", "ES256", "EdDSA"],
      jwks: { url: keys.url },
    }),
  ];
  identity.configure({ issuers }, { production: true });
});
afterAll(async () => {
  await identity[Symbol.asyncDispose]();
  await keys[Symbol.asyncDispose]();
});

async function answer(authorization: string | undefined, policy = required): Promise<string> {
  try {
    const principal = await identity.identify(presenting(authorization), policy);
    return `let in as ${principal.method === "jwt" ? principal.subject : "anonymous"}`;
  } catch (error) {
    if (error instanceof Refusal) return error.code;
    throw error;
  }
}

/** The other signature that a pair (r, s) has: (r, n - s). */
function twin(token: string): string {
  const order = BigInt("0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");
  const [head, claims, signature] = token.split(".");
  const bytes = Buffer.from(signature!, "base64url");
  const s = BigInt(`0x${bytes.subarray(32).toString("hex")}`);
  const other = Buffer.from((order - s).toString(16).padStart(64, "0"), "hex");
  return `${head}.${claims}.${base64url(Buffer.concat([bytes.subarray(0, 32), other]))}`;
}

/** The same bytes with an unused bit of the last character set. */
function unusedBit(part: string): string {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const last = alphabet.indexOf(part.at(-1)!);
  const other = part.slice(0, -1) + alphabet[last + 1]!;
  expect(Buffer.from(other, "base64url")).toEqual(Buffer.from(part, "base64url"));
  return other;
}

function respell(token: string, index: 0 | 1 | 2, spell: (part: string) => string): string {
  const parts = token.split(".");
  parts[index] = spell(parts[index]!);
  return parts.join(".");
}

/** Another spelling of header or claims that the issuer itself has signed: only the form is wrong. */
function resigned(token: string, index: 0 | 1, spell: (part: string) => string): string {
  const [head, claims] = respell(token, index, spell).split(".");
  const input = `${head}.${claims}`;
  return `${input}.${base64url(hmac(secret)(input))}`;
}

const pem = rsa.publicKey.export({ type: "spki", format: "pem" });
const der = rsa.publicKey.export({ type: "spki", format: "der" });
// A signature has 32 bytes: 43 characters with two unused bits in the last. The parts of this one have such an end, too.
const padded = shop(
  `${json(good)} `.padEnd(2 + Math.ceil(json(good).length / 3) * 3 - 1),
  '{"alg":"HS256"} ',
);

test("the tokens that the hostile ones are made of are good", async () => {
  for (const token of [
    shop(good),
    rsa.token(bank),
    elliptic.token(bank),
    edwards.token(bank),
    twin(elliptic.token(bank)),
    padded,
    shop(good, { alg: "HS256" }),
    shop(good, { alg: "HS256", typ: "at+jwt" }),
    shop(good, { alg: "HS256", typ: "application/AT+JWT" }),
    shop(good, { alg: "HS256", typ: "jwt", kid: "whatever" }),
    change({ aud: ["someone-else", "api"] }),
    change({ iat: now + 29, nbf: now + 29 }),
    change({ exp: now - 29 }),
    without("jti"),
  ])
    expect(await answer(`Bearer ${token}`)).toBe("let in as alice");
  expect(await answer(`bEaReR   ${shop(good)}`)).toBe("let in as alice");
});

const refused: Readonly<Record<string, () => string>> = {
  // The algorithm
  "alg none without signature": () => `${base64url('{"alg":"none"}')}.${base64url(json(good))}.`,
  "alg none with the signature of HS256": () => shop(good, { alg: "none" }),
  "alg NONE, in other letters": () => shop(good, { alg: "nOnE" }),
  "alg absent": () => shop(good, { typ: "JWT" }),
  "alg empty": () => shop(good, { alg: "" }),
  "alg a list": () => shop(good, { alg: ["HS256"] }),
  "alg in small letters": () => shop(good, { alg: "hs256" }),
  "alg of the same family that the issuer does not use": () =>
    compact({ alg: "HS512" }, good, hmac(secret, 512)),
  "HS256 with the public key as PEM": () =>
    compact({ alg: "HS256", kid: "rsa-1" }, bank, hmac(pem)),
  "HS256 with the public key as DER": () =>
    compact({ alg: "HS256", kid: "rsa-1" }, bank, hmac(der)),
  "HS256 with the modulus of the public key": () =>
    compact(
      { alg: "HS256", kid: "rsa-1" },
      bank,
      hmac(Buffer.from(rsa.jwk["n"] as string, "base64url")),
    ),
  "HS256 with a secret that the key set publishes": () =>
    compact({ alg: "HS256", kid: "oct-1" }, bank, hmac(secret)),
  "RS256 at an issuer that signs with HS256": () => rsa.token(good),
  "PS256 at an issuer that signs with RS256": () =>
    compact({ alg: "PS256", kid: "rsa-1" }, bank, signed(rsa.privateKey, "PS256")),
  "ES384 under the name of an ES256 key": () => p384.token(bank),
  "ES256 said, ES384 signed": () => p384.token(bank, { alg: "ES256" }),
  "RS256 said, signature of ES256": () =>
    compact({ alg: "RS256", kid: "rsa-1" }, bank, signed(elliptic.privateKey, "ES256")),
  "ES256 with a signature in DER": () =>
    compact({ alg: "ES256", kid: "ec-1" }, bank, (input) =>
      sign("sha256", Buffer.from(input), elliptic.privateKey),
    ),
  "ES256 with a signature of zeros": () =>
    compact({ alg: "ES256", kid: "ec-1" }, bank, () => Buffer.alloc(64)),
  "EdDSA with a signature of zeros": () =>
    compact({ alg: "EdDSA", kid: "ed-1" }, bank, () => Buffer.alloc(64)),
  // The key
  "another secret": () =>
    compact(header, good, hmac("a secret that somebody made up for the occasion")),
  "an empty secret": () => compact(header, good, hmac("")),
  "somebody else's RSA key": () => stranger.token(bank),
  "somebody else's EC key": () => strangerElliptic.token(bank),
  "a key that is not in the set": () => rsa.token(bank, { kid: "unknown" }),
  "no kid while several keys fit": () =>
    compact({ alg: "RS256" }, bank, signed(rsa.privateKey, "RS256")),
  "a kid that is a path": () => stranger.token(bank, { kid: "../../../../dev/null" }),
  "a kid that is a question to a database": () => stranger.token(bank, { kid: "' OR 1=1 --" }),
  "a kid that is a number": () => rsa.token(bank, { kid: 1 }),
  "a kid that is very long": () => rsa.token(bank, { kid: "k".repeat(600) }),
  "a key for encryption": () => encryption.token(bank),
  "a key that may only wrap keys": () => wrapping.token(bank),
  "a key that is for PS256 only": () => pss.token(bank),
  "an RSA key of 1024 bits": () => weak.token(bank),
  "jku to a key set of the attacker": () =>
    stranger.token(bank, { jku: "http://127.0.0.1:9/jwks" }),
  "jku beside an unknown kid": () =>
    stranger.token(bank, { kid: "x", jku: "https://evil.example/jwks" }),
  "x5u to a certificate of the attacker": () =>
    stranger.token(bank, { x5u: "https://evil.example/c.pem" }),
  "x5c with a certificate of the attacker": () =>
    stranger.token(bank, { x5c: [base64url("certificate")] }),
  "a key in the header": () => stranger.token(bank, { jwk: stranger.jwk }),
  "a key in the header, no kid": () =>
    compact({ alg: "RS256", jwk: stranger.jwk }, bank, signed(stranger.privateKey, "RS256")),
  // The header
  "crit with an extension": () => shop(good, { alg: "HS256", crit: ["exp"], exp: now + 600 }),
  "crit that is empty": () => shop(good, { alg: "HS256", crit: [] }),
  "crit that is null": () => shop(good, { alg: "HS256", crit: null }),
  "b64 false": () => shop(good, { alg: "HS256", b64: false, crit: ["b64"] }),
  "b64 without crit": () => shop(good, { alg: "HS256", b64: true }),
  "typ of a logout token": () => shop(good, { alg: "HS256", typ: "logout+jwt" }),
  "typ of a proof of possession": () => shop(good, { alg: "HS256", typ: "dpop+jwt" }),
  "typ that is a list": () => shop(good, { alg: "HS256", typ: ["JWT"] }),
  "two alg in the header": () => shop(good, '{"alg":"none","alg":"HS256"}'),
  "two alg, one of them escaped": () => shop(good, '{"alg":"none","\\u0061lg":"HS256"}'),
  "two kid in the header": () => shop(good, '{"alg":"HS256","kid":"a","kid":"b"}'),
  "a header that is a list": () => shop(good, '[{"alg":"HS256"}]'),
  "a header that is null": () => shop(good, "null"),
  "a header that is a text": () => shop(good, '"HS256"'),
  "a header that is not JSON": () => shop(good, "{alg:HS256}"),
  "a header with a byte order mark": () => shop(good, '\ufeff{"alg":"HS256"}'),
  "a header that is not UTF-8": () => {
    const input = `${base64url(Buffer.from('{"alg":"HS256","x":"\xff"}', "latin1"))}.${base64url(json(good))}`;
    return `${input}.${base64url(hmac(secret)(input))}`;
  },
  // The claims
  "claims that are a list": () => shop([good]),
  "claims that are null": () => shop("null"),
  "claims that are another token": () => shop(shop(good)),
  "two sub in the claims": () => shop(json(good).replace("{", '{"sub":"root",')),
  "two exp in the claims": () => shop(json(good).replace("{", `{"exp":${now + 999},`)),
  "two roles deep in the claims": () =>
    shop(`{"a":{"roles":[],"roles":["admin"]},${json(good).slice(1)}`),
  "another issuer": () => change({ iss: "https://evil.example" }),
  "an issuer with a slash more": () => change({ iss: `${good.iss}/` }),
  "an issuer in other letters": () => change({ iss: good.iss.toUpperCase() }),
  "an issuer that is a list": () => change({ iss: [good.iss] }),
  "no issuer": () => without("iss"),
  "an issuer that an object inherits": () => change({ iss: "__proto__" }),
  "the token of one issuer signed by another": () => shop(bank, header),
  "another audience": () => change({ aud: "other" }),
  "an audience that contains ours as a part": () => change({ aud: "api-internal" }),
  "an audience that is an object": () => change({ aud: { api: true } }),
  "an empty list of audiences": () => change({ aud: [] }),
  "no audience": () => without("aud"),
  "no exp": () => without("exp"),
  "exp as a text": () => change({ exp: String(now + 600) }),
  "exp null": () => change({ exp: null }),
  "exp beyond all numbers": () => shop(json(good).replace(/"exp":\d+/, '"exp":1e999')),
  "a life longer than the issuer's tokens have": () => change({ exp: good.iat + 86_401 }),
  "no iat": () => without("iat"),
  "iat in the future": () => change({ iat: now + 31 }),
  "iat as a text": () => change({ iat: "0" }),
  "iat before all numbers": () => shop(json(good).replace(/"iat":\d+/, '"iat":-1e999')),
  "nbf in the future": () => change({ nbf: now + 31 }),
  "nbf as a text": () => change({ nbf: "1" }),
  "no sub": () => without("sub"),
  "sub empty": () => change({ sub: "" }),
  "sub a number": () => change({ sub: 0 }),
  "sub a list": () => change({ sub: ["alice"] }),
  "sub with a new line": () => change({ sub: "alice\r\nX-User-Roles: admin" }),
  "sub with a null": () => change({ sub: "alice\u0000" }),
  "sub that has no UTF-8": () => shop(json(good).replace('"alice"', '"\\ud800"')),
  "sub too long to be revoked": () => change({ sub: "a".repeat(513) }),
  "jti empty": () => change({ jti: "" }),
  "jti a number": () => change({ jti: 7 }),
  "jti too long to be revoked": () => change({ jti: "j".repeat(513) }),
  // The form
  "one part": () => base64url(json(good)),
  "two parts": () => shop(good).split(".").slice(0, 2).join("."),
  "four parts": () => `${shop(good)}.${base64url("more")}`,
  "five parts, an encrypted one": () =>
    [1, 2, 3, 4, 5].map((part) => base64url(String(part))).join("."),
  "an empty header": () => respell(shop(good), 0, () => ""),
  "an empty signature": () => respell(shop(good), 2, () => ""),
  "a signature cut short": () => respell(shop(good), 2, (part) => part.slice(0, -4)),
  "a signature with a byte more": () =>
    compact(header, good, (input) => Buffer.concat([hmac(secret)(input), Buffer.of(0)])),
  "the signature of other claims": () =>
    respell(change({ sub: "root" }), 2, () => shop(good).split(".")[2]!),
  "claims in the alphabet of base64": () =>
    resigned(change({ x: "???>>>ÿÿÿ" }), 1, (part) =>
      part.replaceAll("-", "+").replaceAll("_", "/"),
    ),
  "a signature with padding": () => `${shop(good)}=`,
  "a header with padding": () => resigned(padded, 0, (part) => `${part}=`),
  "unused bits in the signature": () => respell(padded, 2, unusedBit),
  "unused bits in the claims": () => resigned(padded, 1, unusedBit),
  "unused bits in the header": () => resigned(padded, 0, unusedBit),
  "a lone last character": () => respell(shop(good), 2, (part) => `${part}AA`),
  "twenty thousand characters": () => change({ filler: "x".repeat(15_000) }),
  "sixteen thousand open brackets": () => shop("[".repeat(11_000)),
};

describe("a token is refused", () => {
  test.each(Object.entries(refused))("%s", async (_, make) => {
    expect(await answer(`Bearer ${make()}`)).toBe("credential-invalid");
  });

  test("that has expired, by its own code", async () => {
    expect(await answer(`Bearer ${change({ exp: now - 30 })}`)).toBe("credential-expired");
    expect(await answer(`Bearer ${rsa.token({ ...bank, exp: now - 31 })}`)).toBe(
      "credential-expired",
    );
  });

  test("that has expired and was signed by somebody else, without a word about its age", async () => {
    const token = compact(header, { ...good, exp: now - 3600 }, hmac("x".repeat(32)));
    expect(await answer(`Bearer ${token}`)).toBe("credential-invalid");
  });
});

test("there are at least sixty of them, and none of them makes the gateway ask anybody but the issuer", () => {
  expect(Object.keys(refused).length).toBeGreaterThanOrEqual(60);
  expect(elsewhere).toEqual([]);
  // The first one, and one for all the unknown keys.
  expect(keys.fetches).toBe(2);
});

describe("an Authorization field is refused", () => {
  const fields: Readonly<Record<string, (token: string) => string>> = {
    empty: () => "",
    "a blank": () => " ",
    "a scheme alone": () => "Bearer",
    "a scheme and a blank": () => "Bearer ",
    "a scheme and a token in one": (token) => `Bearer${token}`,
    "a tab between": (token) => `Bearer\t${token}`,
    "a blank before": (token) => ` Bearer ${token}`,
    "a blank after": (token) => `Bearer ${token} `,
    "a line after": (token) => `Bearer ${token}\n`,
    "a null after": (token) => `Bearer ${token}\u0000`,
    "two tokens": (token) => `Bearer ${token} ${token}`,
    "two credentials": (token) => `Bearer ${token},Bearer ${token}`,
    "two schemes": (token) => `Bearer ${token}, Basic YTpi`,
    "a quoted token": (token) => `Bearer "${token}"`,
    "a token as a parameter": (token) => `Bearer token=${token}`,
    "a character that is in no token": (token) => `Bearer ${token}é`,
    "another scheme": () => `Basic ${base64url("alice:secret")}`,
    "another scheme with parameters": () => 'Digest username="alice"',
    "a scheme that needs a proof": (token) => `DPoP ${token}`,
    "a scheme of somebody's own": (token) => `JWT ${token}`,
    "no scheme": (token) => token,
  };
  test.each(Object.entries(fields))("%s", async (_, make) => {
    const field = make(shop(good));
    expect(await answer(field)).toBe("credential-invalid");
    // A bad credential is not better than none.
    expect(await answer(field, { mode: "optional", via: ["jwt"] })).toBe("credential-invalid");
    expect(await answer(field, { mode: "none", via: ["jwt"] })).toBe("let in as anonymous");
  });

  test("missing where it is required, and only there", async () => {
    expect(await answer(undefined)).toBe("credential-missing");
    expect(await answer(undefined, { mode: "optional", via: ["jwt"] })).toBe("let in as anonymous");
  });
});

test("the other signature of an ES256 token verifies, so that it must be the revocation that stops it", () => {
  const token = twin(elliptic.token(bank));
  const [head, claims, signature] = token.split(".");
  const key = createPublicKey(elliptic.privateKey);
  expect(
    verify(
      "sha256",
      Buffer.from(`${head}.${claims}`),
      { key, dsaEncoding: "ieee-p1363" },
      Buffer.from(signature!, "base64url"),
    ),
  ).toBe(true);
});
