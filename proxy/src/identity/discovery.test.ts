import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Refusal, silentLog } from "@tocsin/shared";
import { Config, Issuer } from "@tocsin/shared/contract";
import { RevocationSet } from "@tocsin/shared/revocations";
import { Tokens } from "./tokens.ts";
import { signingKey, startKeyServer } from "./testing/issuer.ts";
import type { Json, KeyServer } from "./testing/issuer.ts";
import { ManualClock } from "./testing/manual-clock.ts";

const key = signingKey("ES256", "first");
const other = signingKey("ES256", "second");

let clock: ManualClock;
let server: KeyServer;
let identity: Tokens;
let asked: string[];
let unique = 0;

const issuer = () => new URL(server.url).origin;
const honest = () => ({ issuer: issuer(), jwks_uri: `${issuer()}/keys` });

function serve(document: unknown, keys: readonly Json[] = [key.jwk]) {
  server.answer((request, response) => {
    asked.push(request.url!);
    if (request.url === "/.well-known/openid-configuration")
      response.end(typeof document === "string" ? document : JSON.stringify(document));
    else if (request.url === "/keys") response.end(JSON.stringify({ keys }));
    else response.writeHead(404).end();
  });
}

async function answer(kid = key): Promise<string> {
  const { seconds } = clock;
  const jti = `token-${(unique += 1)}`;
  const claims = { iss: issuer(), aud: "api", sub: "alice", jti, iat: seconds, exp: seconds + 600 };
  try {
    await identity.identify(`Bearer ${kid.token(claims)}`);
    return "let in";
  } catch (error) {
    if (error instanceof Refusal) return error.code;
    throw error;
  }
}

beforeEach(async () => {
  clock = new ManualClock();
  asked = [];
  server = await startKeyServer();
  identity = new Tokens({
    clock,
    random: () => 0,
    log: silentLog,
    revocations: new RevocationSet(),
  });
  const trusted = {
    issuer: issuer(),
    audience: "api",
    algorithms: ["ES256"],
    jwks: { discover: true },
  };
  identity.configure([Issuer.parse(trusted)], { production: true });
});
afterEach(async () => {
  await identity[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

describe("an issuer that says itself where its keys are", () => {
  test("is asked when the first token comes, and again when what it said has aged", async () => {
    serve(honest());
    expect(await answer()).toBe("let in");
    expect(await answer()).toBe("let in");
    expect(asked).toEqual(["/.well-known/openid-configuration", "/keys"]);
    serve(honest(), [key.jwk, other.jwk]);
    expect(await answer(other)).toBe("let in");
    expect(asked.slice(2)).toEqual(["/keys"]);
  });

  test("is asked for the place again when there are no keys any more", async () => {
    serve(honest());
    await answer();
    server.answer((_, response) => response.writeHead(404).end());
    expect(await answer(other)).toBe("credential-invalid");
    asked = [];
    serve(honest(), [other.jwk]);
    clock.advance(30_000);
    await expect.poll(() => asked).toEqual(["/.well-known/openid-configuration", "/keys"]);
    await expect.poll(() => answer(other)).toBe("let in");
  });

  const bad: Readonly<Record<string, () => unknown>> = {
    "another issuer": () => ({ ...honest(), issuer: "https://evil.example" }),
    "the issuer with a slash more": () => ({ ...honest(), issuer: `${issuer()}/` }),
    "no issuer": () => ({ jwks_uri: `${issuer()}/keys` }),
    "no place": () => ({ issuer: issuer() }),
    "a place that is no URL": () => ({ ...honest(), jwks_uri: "/keys" }),
    "a place without https": () => ({ ...honest(), jwks_uri: "http://keys.example/keys" }),
    "a file": () => ({ ...honest(), jwks_uri: "file:///etc/passwd" }),
    "a list": () => [honest()],
    nothing: () => "null",
    garbage: () => "<html>",
  };
  test.each(Object.entries(bad))("is not believed when it says %s", async (_, document) => {
    serve(document());
    expect(await answer()).toBe("stale-state");
    expect(asked).toEqual(["/.well-known/openid-configuration"]);
  });
});

describe("the config", () => {
  const parse = (changed: object) =>
    Issuer.safeParse({
      issuer: "https://id.example/realm",
      audience: "api",
      algorithms: ["ES256"],
      ...changed,
    }).success;

  test("names a place or says discover, and never both", () => {
    expect(parse({ jwks: { discover: true } })).toBe(true);
    expect(parse({ jwks: { url: "https://id.example/keys" } })).toBe(true);
    expect(parse({ jwks: { url: "https://id.example/keys", discover: true } })).toBe(false);
    expect(parse({ jwks: {} })).toBe(false);
    expect(parse({ jwks: { discover: false } })).toBe(false);
  });

  test("discovers only at a URL", () => {
    for (const issuer of ["shop", "https://id.example?tenant=1", "https://id.example#a", "ftp://x"])
      expect(parse({ issuer, jwks: { discover: true } })).toBe(false);
  });

  test("discovers over https in production, or on this machine", () => {
    const accepts = (issuer: string) =>
      Config.safeParse({
        version: 1,
        identity: {
          issuers: [{ issuer, audience: "api", algorithms: ["ES256"], jwks: { discover: true } }],
        },
      }).success;
    expect(accepts("https://id.example")).toBe(true);
    expect(accepts("http://127.0.0.1:8080/realm")).toBe(true);
    expect(accepts("http://id.example")).toBe(false);
  });
});
