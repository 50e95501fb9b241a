import { describe, expect, test } from "vitest";
import { RevocationOrder } from "./contract/api.ts";
import { apiKeyIdIn, sidIn } from "./pasted.ts";
import { credentialIn, shown, shownMessage, withoutCredentials } from "./shown.ts";

const token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEifQ.APl1OhH0pXfgVA-3UIAa2GtivTo6P6pfHBkDGnRzQ5I";
const apiKey = "tocsin_w45a2oqymso2_dmsXnfwIF92f0PAVGP2E4VUITNkdcQipzuHryDtc-PY1bmVbb";
const cookie = "znukWsP2x2Crycc1X00F6w.5fQRb8F7pTEsaqntirVaSqmF86GBum-vLjoLm-dJs1M";

describe("a credential in a text", () => {
  test.each([
    [`{"a":"${token}"}`, '{"a":"[redacted]"}'],
    [`\\n${token}\\n`, "\\n[redacted]\\n"],
    [token.slice(0, -43), "[redacted]"],
    [`/reset/${apiKey}/now`, "/reset/tocsin_w45a2oqymso2_[redacted]/now"],
    [`sid=${cookie}; a=1`, "sid=znukWsP2x2Crycc1X00F6w.[redacted]; a=1"],
    ["nats://user:p%40ss@127.0.0.1:4222", "nats://user:[redacted]@127.0.0.1:4222"],
    ["redis://:p@ss:word@[::1]:6379/0", "redis://:[redacted]@[::1]:6379/0"],
    ["Authorization: Bearer abcdefghijk==, x", "Authorization: Bearer [redacted], x"],
    ["basic dXNlcjpwYXNz", "basic [redacted]"],
  ])("%s", (text, safe) => {
    expect(withoutCredentials(text)).toBe(safe);
    expect(withoutCredentials(safe)).toBe(safe);
  });

  test.each([
    "connect ECONNREFUSED 127.0.0.1:4222",
    '"time":"2026-11-23T19:00:00.000Z","msg":"mail ada@example.org"',
    "http://10.0.0.0/8:*",
    "tocsin_w45a2oqymso2",
    "3ca29eaa-97a5-4816-aab5-cad0018000e5",
    "znukWsP2x2Crycc1X00F6w",
    "the bearer is gone",
  ])("is not seen in %s", (text) => {
    expect(withoutCredentials(text)).toBe(text);
    expect(credentialIn(text)).toBeUndefined();
  });

  test("is recognised, and reduced to its id where there is one", () => {
    expect([token, apiKey, cookie, "ada"].map(credentialIn)).toEqual([
      "token",
      "api-key",
      "session",
      undefined,
    ]);
    expect([apiKeyIdIn(apiKey), sidIn(cookie)]).toEqual(["w45a2oqymso2", "znukWsP2x2Crycc1X00F6w"]);
    expect([apiKeyIdIn("w45a2oqymso2"), apiKeyIdIn(` ${apiKey}`), sidIn("a.b")]).toEqual([
      "w45a2oqymso2",
      ` ${apiKey}`,
      "a.b",
    ]);
  });
});

test("a value is shown as JSON, without credentials, and of a long text the beginning", () => {
  expect(shown("5 minutes")).toBe('"5 minutes"');
  expect(shown(undefined)).toBe("nothing");
  expect(shown(7)).toBe("7");
  expect(shown("a secret for tests that is long enough")).toBe('"a secret for… (38 characters)"');
  expect(shown(token)).toBe('"[redacted]"');
  expect(shown("http://user:password@gateway.example:8080/path")).toBe(
    '"http://user:[redacted]@gateway.example:8080/path"',
  );
  expect(shown({ secret: "a secret for tests that is long enough" })).toBe(
    '{"secret":"a secret for… (38 characters)"}',
  );
  expect(shown(Array.from({ length: 60 }, (_, index) => index))).toHaveLength(60);
  expect(shownMessage(`Unresolved alias: ${"x1".repeat(20)} here`)).toBe(
    "Unresolved alias: x1x1x1x1x1x1… here",
  );
});

test("a text that was made to be hard to look through is not", () => {
  const size = 200_000;
  const from = performance.now();
  for (const text of ["eyJ", ":", "a:", "bearer ", "tocsin_", "a.", "eyJaaaa."])
    withoutCredentials(text.repeat(size / text.length));
  // A quadratic one takes minutes.
  expect(performance.now() - from).toBeLessThan(5_000);
});

describe("an order to revoke", () => {
  test("a session or an API key takes the whole of it, and keeps the id", () => {
    expect(RevocationOrder.parse({ kind: "session", sid: cookie })).toEqual({
      kind: "session",
      sid: "znukWsP2x2Crycc1X00F6w",
    });
    expect(RevocationOrder.parse({ kind: "api-key", id: apiKey, reason: `saw ${token}` })).toEqual({
      kind: "api-key",
      id: "w45a2oqymso2",
      reason: "saw [redacted]",
    });
    expect(RevocationOrder.parse({ kind: "session", sid: "of another issuer" })).toEqual({
      kind: "session",
      sid: "of another issuer",
    });
  });

  test.each([
    { kind: "token", issuer: "i", jti: token },
    { kind: "user", subject: token },
    { kind: "user", subject: apiKey },
    { kind: "session", sid: token },
    { kind: "session", sid: `sid=${cookie}` },
    { kind: "client", clientId: apiKey },
    { kind: "api-key", id: token },
    { kind: "api-key", id: apiKey.slice(0, -1) },
    { kind: "api-key", id: "what somebody calls it" },
    { kind: "signing-key", issuer: "i", kid: token },
  ])("$kind takes no other credential for a name, and does not hand it on", (order) => {
    const read = RevocationOrder.safeParse(order);
    expect(read.success).toBe(false);
    const said = JSON.stringify(read.error?.issues);
    for (const secret of [token.slice(-20), apiKey.slice(-20), cookie.slice(-20)])
      expect(said).not.toContain(secret);
  });
});
