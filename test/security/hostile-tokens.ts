/** Tokens that must not be let in, for an issuer of any algorithm. Who adds an attack to the gateway's worries adds it here. */
import { base64url, compact, type Json } from "../../proxy/src/identity/testing/issuer.ts";

/** An issuer, and what an attacker knows of it. */
export interface Kit {
  readonly algorithm: string;
  readonly issuer: string;
  readonly kid: string;
  /** Signs as the issuer does, whatever is said. */
  readonly sign: (input: string) => Uint8Array;
  /** Signs with a key of the attacker's own. */
  readonly forge: (input: string) => Uint8Array;
  /** What is public of the issuer's key, in every form that might be taken for a secret. */
  readonly publicTexts: readonly (string | Uint8Array)[];
  readonly hmac: (secret: string | Uint8Array) => (input: string) => Uint8Array;
  /** A key of the attacker's, and where he publishes such. */
  readonly ownJwk: Json;
  readonly canary: string;
}

export interface Attack {
  readonly what: string;
  readonly token: string;
  /** Default credential-invalid. */
  readonly code?: string;
}

export function claimsOf(kit: Kit, changed: Json = {}): Json {
  const now = Math.floor(Date.now() / 1_000);
  return {
    iss: kit.issuer,
    aud: "api",
    sub: "alice",
    jti: `token-of-${kit.algorithm}`,
    iat: now - 10,
    exp: now + 600,
    roles: ["user"],
    ...changed,
  };
}

/** A token as the issuer makes them. */
export function goodToken(kit: Kit, changed: Json = {}, header: Json = {}): string {
  const head = { alg: kit.algorithm, kid: kit.kid, typ: "JWT", ...header };
  return compact(head, claimsOf(kit, changed), kit.sign);
}

export function attacks(kit: Kit): readonly Attack[] {
  const { algorithm, kid, sign, forge } = kit;
  const now = Math.floor(Date.now() / 1_000);
  const claims = claimsOf(kit);
  const text = JSON.stringify(claims);
  const head = { alg: algorithm, kid, typ: "JWT" };
  const good = goodToken(kit);
  const [h = "", c = "", s = ""] = good.split(".");
  const without = (name: string) =>
    compact(head, Object.fromEntries(Object.entries(claims).filter(([key]) => key !== name)), sign);
  const header = (changed: Json, by = sign) => compact({ ...head, ...changed }, claims, by);
  const change = (changed: Json) => goodToken(kit, changed);
  const list: [string, string, string?][] = [
    ["alg none, no signature", `${base64url('{"alg":"none"}')}.${c}.`],
    ["alg none, the signature of the issuer", header({ alg: "none" })],
    ["alg None", `${base64url('{"alg":"None"}')}.${c}.`],
    ["alg in small letters", header({ alg: algorithm.toLowerCase() })],
    ["no alg", compact({ kid, typ: "JWT" }, claims, sign)],
    ["alg a list", header({ alg: [algorithm] })],
    [
      "alg that the issuer does not use",
      header({ alg: algorithm === "RS256" ? "RS384" : "RS256" }),
    ],
    ...kit.publicTexts.map((secret, index): [string, string] => [
      `HS256 with the public key as the secret, form ${index + 1}`,
      compact({ ...head, alg: "HS256" }, claims, kit.hmac(secret)),
    ]),
    ["HS256 with an empty secret", compact({ ...head, alg: "HS256" }, claims, kit.hmac(""))],
    ["a stranger's signature", compact(head, claims, forge)],
    ["a stranger's signature, another kid", header({ kid: "unknown" }, forge)],
    ["a kid that is a number", header({ kid: 7 })],
    ["a kid that is a path", header({ kid: "../../dev/null" }, forge)],
    ["a kid that is long", header({ kid: "k".repeat(600) })],
    ["jku of the attacker", header({ jku: `${kit.canary}/jwks` }, forge)],
    ["jku and a new kid", header({ kid: "theirs", jku: `${kit.canary}/jwks` }, forge)],
    ["x5u of the attacker", header({ x5u: `${kit.canary}/cert.pem` }, forge)],
    ["a key in the header", header({ jwk: kit.ownJwk }, forge)],
    ["a signature of zeros", compact(head, claims, (input) => sign(input).map(() => 0))],
    ["no signature", `${h}.${c}.`],
    ["a signature cut short", `${h}.${c}.${s.slice(0, -4)}`],
    [
      "a signature with more bytes",
      compact(head, claims, (input) => Buffer.concat([sign(input), Buffer.of(0)])),
    ],
    ["a signature with padding", `${good}=`],
    ["a signature with a blank in it", `${h}.${c}.${s.slice(0, 9)} ${s.slice(9)}`],
    [
      "claims of somebody else under a good signature",
      `${h}.${base64url(text.replace("alice", "root"))}.${s}`,
    ],
    [
      "a header of somebody else over a good signature",
      `${base64url(JSON.stringify({ alg: algorithm, kid }))}.${c}.${s}`,
    ],
    ["crit", header({ crit: ["exp"] })],
    ["b64", header({ b64: false })],
    ["typ of a logout token", header({ typ: "logout+jwt" })],
    [
      "two alg in the header",
      compact(`{"alg":"none","alg":"${algorithm}","kid":"${kid}"}`, claims, sign),
    ],
    ["a byte order mark", compact(`\ufeff${JSON.stringify(head)}`, claims, sign)],
    ["two sub in the claims", compact(head, text.replace("{", '{"sub":"root",'), sign)],
    ["another issuer", change({ iss: "https://evil.example" })],
    ["the issuer with a slash more", change({ iss: `${kit.issuer}/` })],
    ["a list of issuers", change({ iss: [kit.issuer] })],
    ["another audience", change({ aud: "other" })],
    ["no audience", without("aud")],
    ["no exp", without("exp")],
    ["exp as a text", change({ exp: String(now + 600) })],
    ["exp beyond all numbers", compact(head, text.replace(/"exp":\d+/, '"exp":1e999'), sign)],
    ["a life that is too long", change({ exp: now + 90_000 })],
    ["no iat", without("iat")],
    ["iat in the future", change({ iat: now + 120 })],
    ["nbf in the future", change({ nbf: now + 120 })],
    ["no sub", without("sub")],
    ["an empty sub", change({ sub: "" })],
    ["a sub with a line end", change({ sub: "alice\r\nX-User-Roles: admin" })],
    ["a jti that is a number", change({ jti: 1 })],
    ["claims that are a list", compact(head, [claims], sign)],
    ["two parts", `${h}.${c}`],
    ["four parts", `${good}.${s}`],
    ["two tokens", `${good} ${good}`],
    ["expired", change({ iat: now - 700, exp: now - 60 }), "credential-expired"],
  ];
  return list.map(([what, token, code]) => ({
    what: `${algorithm}: ${what}`,
    token,
    ...(code === undefined ? {} : { code }),
  }));
}
