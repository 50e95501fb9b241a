import { once } from "node:events";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Refusal, silentLog } from "@tocsin/shared";
import type { Log } from "@tocsin/shared";
import { Issuer } from "@tocsin/shared/contract";
import { Tokens } from "./tokens.ts";
import { RevocationSet } from "@tocsin/shared/revocations";
import { signingKey, startKeyServer } from "./testing/issuer.ts";
import type { KeyServer } from "./testing/issuer.ts";
import { ManualClock } from "./testing/manual-clock.ts";

const first = signingKey("ES256", "first");
const second = signingKey("ES256", "second");
const third = signingKey("RS256", "third");

let clock: ManualClock;
let server: KeyServer;
let identity: Tokens;
let lines: { readonly message: string; readonly fields: object }[];
let unique = 0;

beforeEach(async () => {
  clock = new ManualClock();
  lines = [];
  server = await startKeyServer(first.jwk);
  const log: Log = {
    ...silentLog,
    warn: (fields, message) => void lines.push({ fields, message }),
    error: (fields, message) => void lines.push({ fields, message }),
  };
  identity = new Tokens({ clock, random: () => 0, log, revocations: new RevocationSet() });
  trust(server.url);
});
afterEach(async () => {
  await identity[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

function trust(url: string, production = true, more: object = {}) {
  const issuer = {
    issuer: "bank",
    audience: "api",
    algorithms: ["ES256", "RS256"],
    jwks: { url, maxAge: "10m" },
    ...more,
  };
  identity.configure([Issuer.parse(issuer)], { production });
}

/** A token that no cache has seen. */
const claims = () => ({
  iss: "bank",
  aud: "api",
  sub: "alice",
  jti: `token-${(unique += 1)}`,
  iat: clock.seconds,
  exp: clock.seconds + 7_200,
});

async function answer(token: string): Promise<string> {
  try {
    await identity.identify(`Bearer ${token}`);
    return "let in";
  } catch (error) {
    if (error instanceof Refusal) return error.code;
    throw error;
  }
}

const causes = () => lines.map(({ fields }) => (fields as { cause?: string }).cause);

test("nothing is fetched until a token asks for it, and then once for all who ask at the same time", async () => {
  expect(server.fetches).toBe(0);
  const answers = await Promise.all(
    Array.from({ length: 50 }, () => answer(first.token(claims()))),
  );
  expect(new Set(answers)).toEqual(new Set(["let in"]));
  expect(server.fetches).toBe(1);
});

test("a token of another issuer makes nobody fetch", async () => {
  expect(await answer(first.token({ ...claims(), iss: "other" }))).toBe("credential-invalid");
  expect(server.fetches).toBe(0);
});

describe("a new key", () => {
  test("is fetched when a token names it", async () => {
    await answer(first.token(claims()));
    server.publish(first.jwk, second.jwk);
    expect(await answer(second.token(claims()))).toBe("let in");
    expect(await answer(first.token(claims()))).toBe("let in");
    expect(server.fetches).toBe(2);
  });

  test("that is made up a thousand times causes one fetch per cool-down", async () => {
    await answer(first.token(claims()));
    const flood = () =>
      Promise.all(
        Array.from({ length: 1_000 }, (_, index) =>
          answer(second.token(claims(), { kid: `made-up-${index}` })),
        ),
      );
    const answers = [...(await flood()), ...(await flood())];
    expect(new Set(answers)).toEqual(new Set(["credential-invalid"]));
    expect(server.fetches).toBe(2);
    clock.advance(30_000);
    await flood();
    expect(server.fetches).toBe(3);
  });
});

describe("a key that is gone", () => {
  test("verifies nothing after the next regular fetch, not even a token that was verified before", async () => {
    const old = first.token(claims());
    expect(await answer(old)).toBe("let in");
    server.publish(second.jwk);
    expect(await answer(old)).toBe("let in");
    clock.advance(9 * 60_000);
    await expect.poll(() => server.fetches).toBe(2);
    await expect.poll(() => answer(old)).toBe("credential-invalid");
    expect(await answer(second.token(claims()))).toBe("let in");
  });
});

describe("an issuer that is down", () => {
  test("from the start means that nobody can tell: 503, and never in", async () => {
    await server.down();
    expect(await answer(first.token(claims()))).toBe("stale-state");
    expect(await answer(first.token(claims()))).toBe("stale-state");
    expect(lines).toHaveLength(1);
    await server.up();
    // Asked again after a moment, not for each token.
    expect(await answer(first.token(claims()))).toBe("stale-state");
    clock.advance(1_000);
    expect(await answer(first.token(claims()))).toBe("let in");
  });

  test("later leaves the keys that are there, and is asked again", async () => {
    await answer(first.token(claims()));
    await server.down();
    for (let hour = 0; hour < 3; hour += 1) {
      clock.advance(1_800_000);
      expect(await answer(first.token(claims()))).toBe("let in");
    }
    await expect.poll(() => lines.length).toBeGreaterThan(0);
    server.publish(second.jwk);
    await server.up();
    await expect
      .poll(() => {
        clock.advance(30_000);
        return answer(second.token(claims()));
      })
      .toBe("let in");
    expect(await answer(first.token(claims()))).toBe("credential-invalid");
  });

  test("and mute is given three seconds", async () => {
    server.answer(() => {});
    const asked = answer(first.token(claims()));
    await expect.poll(() => server.fetches).toBe(1);
    clock.advance(2_999);
    clock.advance(1);
    expect(await asked).toBe("stale-state");
    expect(causes()).toEqual(["no whole answer in 3000 ms"]);
  });

  test("and drips its answer is given three seconds for all of it", async () => {
    const dripping = Promise.withResolvers<void>();
    server.answer((_, response) => {
      response.write('{"keys":[');
      dripping.resolve();
    });
    const asked = answer(first.token(claims()));
    await dripping.promise;
    clock.advance(3_000);
    expect(await asked).toBe("stale-state");
  });
});

describe("an answer is not believed", () => {
  const filler = "x".repeat(300_000);
  const bad: Readonly<Record<string, Parameters<KeyServer["answer"]>[0]>> = {
    "that is an error": (_, response) =>
      response.writeHead(500).end(JSON.stringify({ keys: [second.jwk] })),
    "that is empty": (_, response) => response.end(),
    "that is a page": (_, response) => response.end("<html>sign in</html>"),
    "that is no key set": (_, response) => response.end("[]"),
    "whose keys are no list": (_, response) => response.end('{"keys":{}}'),
    "without a key": (_, response) => response.end('{"keys":[]}'),
    "with keys for other purposes only": (_, response) =>
      response.end(JSON.stringify({ keys: [{ ...second.jwk, use: "enc" }] })),
    "with keys that are none": (_, response) =>
      response.end(
        JSON.stringify({ keys: [null, 1, "key", { kty: "EC", crv: "P-256", x: "AA", y: "AA" }] }),
      ),
    "with hundreds of keys": (_, response) =>
      response.end(JSON.stringify({ keys: Array.from({ length: 101 }, () => second.jwk) })),
    "that is huge": (_, response) => response.end(JSON.stringify({ keys: [second.jwk], filler })),
    "that is cut short": (_, response) => {
      response.writeHead(200, { "content-length": "1000" });
      response.write(JSON.stringify({ keys: [second.jwk] }), () => response.destroy());
    },
    "that points elsewhere": (request, response) =>
      request.url === "/jwks"
        ? response.writeHead(302, { location: "/elsewhere" }).end()
        : response.end(JSON.stringify({ keys: [second.jwk] })),
  };

  test.each(Object.entries(bad))("%s", async (_, listener) => {
    expect(await answer(first.token(claims()))).toBe("let in");
    server.answer(listener);
    expect(await answer(second.token(claims()))).toBe("credential-invalid");
    expect(server.fetches).toBe(2);
    expect(lines.map(({ message }) => message)).toContain("key set not fetched");
    // What was there stays.
    expect(await answer(first.token(claims()))).toBe("let in");
  });

  test.each(Object.entries(bad))("%s, as the first one either", async (_, listener) => {
    server.answer(listener);
    expect(await answer(first.token(claims()))).toBe("stale-state");
    expect(await answer(second.token(claims()))).toBe("stale-state");
  });
});

describe("a key in the set", () => {
  test("that is private by mistake is used as the public one", async () => {
    server.publish({ ...first.privateKey.export({ format: "jwk" }), kid: "first" });
    expect(await answer(first.token(claims()))).toBe("let in");
  });

  test("that lets everybody sign is not used", async () => {
    // 2048 bits, and an exponent of 1: the padded hash is its own signature.
    server.publish(first.jwk, { ...third.jwk, e: "AQ" });
    expect(await answer(third.token(claims()))).toBe("credential-invalid");
    expect(lines.map(({ message }) => message)).toContain("key not usable");
  });

  test("with a small exponent is not used", async () => {
    const small = signingKey("RS256", "small", 2048, 3);
    server.publish(first.jwk, small.jwk);
    expect(await answer(small.token(claims()))).toBe("credential-invalid");
    expect(causes()).toContain("an RSA key with the exponent 3");
  });

  test("may be one of several of its name", async () => {
    server.publish({ ...second.jwk, kid: "same" }, { ...first.jwk, kid: "same" });
    expect(await answer(first.token(claims(), { kid: "same" }))).toBe("let in");
    expect(await answer(second.token(claims(), { kid: "same" }))).toBe("let in");
  });

  test("needs no name when it is the only one for its algorithm", async () => {
    server.publish({ ...first.jwk, kid: undefined }, third.jwk);
    expect(await answer(first.token(claims(), { kid: undefined }))).toBe("let in");
  });

  test("signs only with algorithms that the issuer is trusted for", async () => {
    trust(server.url, true, { algorithms: ["RS256"] });
    server.publish(first.jwk, third.jwk);
    expect(await answer(first.token(claims()))).toBe("credential-invalid");
    expect(await answer(third.token(claims()))).toBe("let in");
  });
});

describe("where keys are fetched from", () => {
  test("is https in production, but on this machine", async () => {
    const asked: string[] = [];
    const stubbed = new Tokens({
      clock,
      random: () => 0,
      log: silentLog,
      revocations: new RevocationSet(),
      fetch: (url) => {
        asked.push(url);
        return Promise.resolve(Response.json({ keys: [first.jwk] }));
      },
    });
    const tryOne = async (url: string, production: boolean) => {
      const issuer = { issuer: "bank", audience: "api", algorithms: ["ES256"], jwks: { url } };
      stubbed.configure([Issuer.parse(issuer)], { production });
      return Promise.resolve(stubbed.identify(`Bearer ${first.token(claims())}`)).then(
        () => "let in",
        (error: unknown) => (error as Refusal).code,
      );
    };
    for (const url of [
      "http://bank.example/jwks",
      "http://localhost.evil.example/jwks",
      "http://127.0.0.1.evil.example/",
      "http://10.0.0.1/",
    ]) {
      expect(await tryOne(url, true)).toBe("stale-state");
    }
    expect(asked).toEqual([]);
    for (const url of [
      "https://bank.example/jwks",
      "http://localhost:1/",
      "http://127.0.0.2:1/",
      "http://[::1]:1/",
    ])
      expect(await tryOne(url, true)).toBe("let in");
    expect(await tryOne("http://bank.example/jwks", false)).toBe("let in");
    await stubbed[Symbol.asyncDispose]();
  });
});

describe("a new config", () => {
  test("keeps the keys of an issuer that stays", async () => {
    await answer(first.token(claims()));
    trust(server.url, true, { clockTolerance: "1s" });
    expect(await answer(first.token(claims()))).toBe("let in");
    expect(server.fetches).toBe(1);
  });

  test("without the issuer takes its tokens out, at once", async () => {
    const token = first.token(claims());
    expect(await answer(token)).toBe("let in");
    identity.configure([], { production: true });
    expect(await answer(token)).toBe("credential-invalid");
  });

  test("that comes while a token is being verified counts for that token", async () => {
    const asked = Promise.withResolvers<() => void>();
    server.answer((_, response) =>
      asked.resolve(() => response.end(JSON.stringify({ keys: [first.jwk] }))),
    );
    const answered = answer(first.token(claims()));
    const goOn = await asked.promise;
    identity.configure([], { production: true });
    goOn();
    expect(await answered).toBe("credential-invalid");
  });
});

test("disposal ends a fetch that hangs", async () => {
  const aborted = Promise.withResolvers<void>();
  server.answer((request, response) => {
    void once(response, "close").then(() => aborted.resolve());
    request.resume();
  });
  const asked = answer(first.token(claims()));
  await expect.poll(() => server.fetches).toBe(1);
  await identity[Symbol.asyncDispose]();
  await identity[Symbol.asyncDispose]();
  expect(await asked).toBe("stale-state");
  await aborted.promise;
});
