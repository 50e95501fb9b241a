import { describe, expect, test } from "vitest";
import { Refusal, silentLog } from "@tocsin/shared";
import { Issuer } from "@tocsin/shared/contract";
import { Tokens } from "./tokens.ts";
import { identityHeaders } from "./identity-headers.ts";
import type { Principal } from "./principal.ts";
import { RevocationSet } from "@tocsin/shared/revocations";
import { base64url, compact, hmac, signingKey, startKeyServer } from "./testing/issuer.ts";
import type { Json } from "./testing/issuer.ts";
import { ManualClock } from "./testing/manual-clock.ts";
import { VerifiedTokens } from "./verified.ts";
import type { Verified } from "./admission.ts";

const secret = "the secret that the shop and the gateway share";

function start(more: object = {}) {
  const clock = new ManualClock();
  const revocations = new RevocationSet();
  const identity = new Tokens({ clock, random: () => 0, log: silentLog, revocations });
  const issuer = { issuer: "shop", audience: "api", algorithms: ["HS256"], secret, ...more };
  identity.configure([Issuer.parse(issuer)], { production: true });
  const claims = (changed: Json = {}) => ({
    iss: "shop",
    aud: "api",
    sub: "alice",
    jti: "token-1",
    iat: clock.seconds,
    exp: clock.seconds + 600,
    ...changed,
  });
  const token = (changed?: Json, header: Json | string = { alg: "HS256" }) =>
    compact(header, claims(changed), hmac(secret));
  const ask = (text: string, scheme = "Bearer") => identity.identify(`${scheme} ${text}`);
  const answer = async (text: string, scheme?: string) => {
    try {
      const principal = await ask(text, scheme);
      return principal.method === "jwt" ? principal.subject : "anonymous";
    } catch (error) {
      if (error instanceof Refusal) return error.code;
      throw error;
    }
  };
  return { clock, revocations, identity, claims, token, ask, answer };
}

describe("a verified token", () => {
  test("is answered at once the next time, with the same principal, however the scheme is written", async () => {
    const { ask, token } = start();
    const text = token();
    const first = await ask(text);
    expect(ask(text)).toBe(first);
    expect(ask(text, "bearer")).toBe(first);
    expect(ask(text, "BEARER  ")).toBe(first);
  });

  test("is verified once when many bring it at the same time", async () => {
    const { ask, token } = start();
    const text = token();
    const principals = await Promise.all(Array.from({ length: 20 }, async () => ask(text)));
    expect(new Set(principals).size).toBe(1);
  });

  test("is refused when its issuer is dropped while it is being verified", async () => {
    const { answer, identity, token } = start();
    const answered = answer(token());
    identity.configure([], { production: true });
    expect(await answered).toBe("credential-invalid");
  });

  test("ends when it expires, tolerance included", async () => {
    const { ask, answer, clock, token } = start({ clockTolerance: "5s" });
    const text = token();
    await ask(text);
    clock.advance(604_999);
    expect(await answer(text)).toBe("alice");
    clock.advance(1);
    expect(() => ask(text)).toThrow(expect.objectContaining({ code: "credential-expired" }));
    expect(await answer(text)).toBe("credential-expired");
  });
});

describe("a revoked token", () => {
  test("is refused at once, although it was let in before", async () => {
    const { ask, revocations, clock, token } = start();
    const text = token();
    await ask(text);
    revocations.addToken(revocations.fingerprint("shop", "token-1"), clock.seconds + 600);
    expect(() => ask(text)).toThrow(expect.objectContaining({ code: "credential-revoked" }));
    expect(() => ask(text)).toThrow(expect.objectContaining({ code: "credential-revoked" }));
  });

  test("is refused in every other spelling, seen before or not", async () => {
    const { answer, revocations, clock, claims, token } = start();
    const spellings = [
      token(),
      token({}, '{ "alg": "HS256" }'),
      token({}, { typ: "JWT", alg: "HS256", kid: "new" }),
      compact({ alg: "HS256" }, JSON.stringify(claims(), null, 1), hmac(secret)),
      compact(
        { alg: "HS256" },
        JSON.stringify(claims()).replace("token-1", "\\u0074oken-1"),
        hmac(secret),
      ),
      token({ exp: clock.seconds + 500 }),
    ];
    const respelled = [
      `${token()}=`,
      token().replace(/.$/, (last) => String.fromCharCode(last.charCodeAt(0) + 1)),
    ];
    for (const text of spellings.slice(0, 3)) expect(await answer(text)).toBe("alice");
    revocations.addToken(revocations.fingerprint("shop", "token-1"), clock.seconds + 600);
    for (const text of spellings) expect(await answer(text)).toBe("credential-revoked");
    for (const text of spellings) expect(await answer(text, "bearer")).toBe("credential-revoked");
    for (const text of respelled) expect(await answer(text)).toBe("credential-invalid");
  });

  test("is refused with the other signature of ES256 as well", async () => {
    const key = signingKey("ES256", "k");
    await using server = await startKeyServer(key.jwk);
    const { answer, revocations, claims, clock } = start({
      algorithms: ["ES256"],
      secret: undefined,
      jwks: { url: server.url },
    });
    const text = key.token(claims());
    const [head, body, signature] = text.split(".");
    const order = BigInt("0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");
    const bytes = Buffer.from(signature!, "base64url");
    const s = order - BigInt(`0x${bytes.subarray(32).toString("hex")}`);
    bytes.set(Buffer.from(s.toString(16).padStart(64, "0"), "hex"), 32);
    const twin = `${head}.${body}.${base64url(bytes)}`;
    expect(await answer(twin)).toBe("alice");
    revocations.addToken(revocations.fingerprint("shop", "token-1"), clock.seconds + 600);
    expect(await answer(text)).toBe("credential-revoked");
    expect(await answer(twin)).toBe("credential-revoked");
  });

  test("does not take the others with it", async () => {
    const { answer, revocations, clock, token } = start();
    revocations.addToken(revocations.fingerprint("shop", "token-2"), clock.seconds + 600);
    revocations.addToken(revocations.fingerprint("bank", "token-1"), clock.seconds + 600);
    expect(await answer(token())).toBe("alice");
    expect(await answer(token({ jti: undefined }))).toBe("alice");
  });

  test("is refused when it is revoked while it is being verified", async () => {
    const { answer, revocations, clock, token } = start();
    const answered = answer(token());
    revocations.addToken(revocations.fingerprint("shop", "token-1"), clock.seconds + 600);
    expect(await answered).toBe("credential-revoked");
  });
});

describe("a revoked user", () => {
  test("loses the tokens issued until now, and gets in with a new one", async () => {
    const { answer, revocations, clock, token } = start();
    const old = token();
    expect(await answer(old)).toBe("alice");
    revocations.addUser("alice", undefined, clock.seconds, clock.seconds + 86_400);
    expect(await answer(old)).toBe("credential-revoked");
    expect(await answer(token({ jti: "same-second" }))).toBe("credential-revoked");
    expect(await answer(token({ jti: "fraction", iat: clock.seconds + 0.9 }))).toBe(
      "credential-revoked",
    );
    clock.advance(1_000);
    expect(await answer(token({ jti: "token-2" }))).toBe("alice");
    expect(await answer(old)).toBe("credential-revoked");
    expect(await answer(token({ sub: "bob", iat: clock.seconds - 9 }))).toBe("bob");
  });
});

describe("roles and scopes", () => {
  const granted = async (claims: Json, paths: object = {}) => {
    const { ask, token } = start({ claims: paths });
    const { roles, scopes } = (await ask(token(claims))) as Extract<Principal, { method: "jwt" }>;
    return { roles, scopes };
  };

  test("are lists of texts, or one text with blanks", async () => {
    expect(await granted({ roles: ["user", "admin"], scope: "read  write read" })).toEqual({
      roles: ["user", "admin"],
      scopes: ["read", "write"],
    });
    expect(await granted({ roles: "user admin", scope: ["read"] })).toEqual({
      roles: ["user", "admin"],
      scopes: ["read"],
    });
  });

  test("may stand deep in the claims", async () => {
    const claims = { realm_access: { roles: ["admin"] } };
    expect(await granted(claims, { roles: "realm_access.roles" })).toMatchObject({
      roles: ["admin"],
    });
  });

  test.each([
    { roles: { admin: true } },
    { roles: [["admin"]] },
    { roles: ["admin", 1] },
    { roles: null },
    { roles: true },
    { roles: "" },
    { roles: [""] },
    { roles: ["\ud800"] },
    {},
  ])("in any other form grant nothing: %j", async (claims) => {
    expect(await granted(claims)).toEqual({ roles: [], scopes: [] });
  });

  test("are not what every object has", async () => {
    for (const roles of ["constructor.name", "__proto__", "toString", "realm.length"])
      expect(await granted({ realm: ["admin"] }, { roles })).toMatchObject({ roles: [] });
  });
});

describe("identity headers", () => {
  test("say who it is and what was granted", async () => {
    const { ask, token } = start();
    const principal = await ask(token({ roles: ["user", "admin"], scope: "read" }));
    expect(principal.headers).toEqual([
      "X-Auth-Method",
      "jwt",
      "X-User-ID",
      "alice",
      "X-User-Roles",
      "user,admin",
      "X-User-Scopes",
      "read",
    ]);
  });

  test.each([
    ["alice", "alice"],
    ["auth0|5f:a/b@c.example", "auth0|5f:a/b@c.example"],
    ["a,b", "a%2Cb"],
    ["50%", "50%25"],
    ["a b", "a%20b"],
    ['a;b"c\\d', "a%3Bb%22c%5Cd"],
    ["x\r\nX-User-Roles: admin", "x%0D%0AX-User-Roles:%20admin"],
    ["Zoë", "Zo%C3%AB"],
    ["火", "%E7%81%AB"],
    ["🔥", "%F0%9F%94%A5"],
    ["\u0000\u007f", "%00%7F"],
  ])("carry %j as one element that cannot be anything else", (value, expected) => {
    const headers = identityHeaders("jwt", value, [value, "user"], [value]);
    expect(headers).toEqual([
      "X-Auth-Method",
      "jwt",
      "X-User-ID",
      expected,
      "X-User-Roles",
      `${expected},user`,
      "X-User-Scopes",
      expected,
    ]);
    expect(decodeURIComponent(expected)).toBe(value);
  });
});

describe("the memory of verified tokens", () => {
  const verified = {} as Verified;

  test("is bounded by count and by length, and keeps what is used", () => {
    const tokens = new VerifiedTokens(100, 10_000);
    tokens.put("used", verified);
    for (let index = 0; index < 1_000; index += 1) {
      tokens.put(`token-${index}`, verified);
      expect(tokens.get("used")).toBe(verified);
      expect(tokens.size).toBeLessThanOrEqual(101);
    }
    expect(tokens.get("token-0")).toBeUndefined();
    expect(tokens.get("token-999")).toBe(verified);
    for (let index = 0; index < 20; index += 1) tokens.put(`${index}`.padEnd(4_000, "x"), verified);
    expect(tokens.size).toBeLessThanOrEqual(3);
  });

  test("forgets one, or all", () => {
    const tokens = new VerifiedTokens();
    tokens.put("one", verified);
    tokens.put("two", verified);
    tokens.forget("one");
    expect([tokens.get("one"), tokens.get("two")]).toEqual([undefined, verified]);
    tokens.clear();
    expect(tokens.get("two")).toBeUndefined();
  });
});
