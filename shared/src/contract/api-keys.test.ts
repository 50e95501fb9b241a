import { describe, expect, test } from "vitest";
import { ApiKeyEntry } from "./entries.ts";
import { Config } from "./config.ts";
import { NewApiKey, RotateApiKey } from "./api-key-api.ts";
import { assertCatalogueKey } from "./placement.ts";

const read = (apiKeys: unknown, more: object = {}) =>
  Config.safeParse({ version: 1, identity: { apiKeys }, ...more });
const problems = (result: ReturnType<typeof read>) =>
  (result.error?.issues ?? []).map(({ path, message }) => `${path.join(".")}: ${message}`);

test("the field is x-api-key when nothing is said, and lower case whatever is said", () => {
  expect(read({}).data?.identity.apiKeys).toEqual({ header: "x-api-key" });
  expect(read({ header: "X-Service-Key" }).data?.identity.apiKeys).toEqual({
    header: "x-service-key",
  });
  expect(read(undefined).data?.identity.apiKeys).toBeUndefined();
});

test.each([
  "authorization",
  "Authorization",
  "proxy-authorization",
  "host",
  "cookie",
  "set-cookie",
  "x-user-id",
  "X-User-Roles",
  "x-user-scopes",
  "x-auth-method",
  "x-auth-session",
  "x-request-id",
  "x-forwarded-for",
  "x-forwarded-anything",
  "x-real-ip",
  "x-original-url",
  "forwarded",
  "via",
  "connection",
  "keep-alive",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "expect",
  "http2-settings",
  "content-length",
  "content-type",
  "accept",
  "accept-version",
  "origin",
  "referer",
  "traceparent",
  "tracestate",
  "if-match",
  "sec-websocket-key",
  "access-control-request-headers",
  "idempotency-key",
])("%s means something else already", (header) => {
  expect(problems(read({ header })).join("\n")).toMatch(
    /^identity\.apiKeys\.header: ".*" means something else already/,
  );
});

test.each(["", "x api", "x_api_key", "x-api-key:", "-x", "x-", "schlüssel", "x".repeat(65)])(
  "%j is no name for the field",
  (header) => {
    expect(problems(read({ header })).join("\n")).toMatch(/is not a name for this field/);
  },
);

test("a route that takes API keys needs them to be there", () => {
  const service = { users: { instances: [{ url: "http://127.0.0.1:1" }] } };
  const route = {
    id: "users",
    match: { path: "/users" },
    service: "users",
    auth: { mode: "required", via: ["jwt", "api-key"] },
  };
  const discovery = { autoRoutes: { auth: { mode: "optional", via: ["api-key"] } } };
  const more = { services: service, routes: [route], discovery };
  expect(problems(read(undefined, more))).toEqual([
    "routes.0.auth.via.1: there are no API keys: identity.apiKeys is not set",
    "discovery.autoRoutes.auth.via.0: there are no API keys: identity.apiKeys is not set",
  ]);
  expect(problems(read({}, more))).toEqual([]);
});

describe("an order for a key", () => {
  test.each([
    [{}, "principal"],
    [{ principal: "" }, "principal"],
    [{ principal: "a\r\nb" }, "principal"],
    [{ principal: "\ud800" }, "principal"],
    [{ principal: "p", roles: ["a\nb"] }, "roles.0"],
    [{ principal: "p", scopes: ["a b"] }, "scopes.0"],
    [{ principal: "p", scopes: ['"'] }, "scopes.0"],
    [{ principal: "p", limits: ["Not A Name"] }, "limits.0"],
    [{ principal: "p", expiresAt: "tomorrow" }, "expiresAt"],
    [{ principal: "p", description: "x".repeat(201) }, "description"],
    [{ principal: "p", role: "admin" }, ""],
  ])("%j is refused at %s", (order, place) => {
    const issue = NewApiKey.safeParse(order).error?.issues[0];
    expect(issue?.path.join(".")).toBe(place);
  });

  test("an overlap is a duration of a day when nothing is said", () => {
    expect(RotateApiKey.parse({})).toEqual({ overlap: 86_400_000 });
    expect(RotateApiKey.parse({ overlap: "0s" })).toEqual({ overlap: 0 });
    expect(RotateApiKey.safeParse({ overlap: "91d" }).success).toBe(false);
    expect(RotateApiKey.safeParse({ overlap: "-1h" }).success).toBe(false);
  });
});

describe("an entry of the catalogue", () => {
  const entry = {
    v: 1,
    kind: "api-key",
    id: "abcdefgh2345",
    revision: 1,
    principal: "billing",
    roles: [],
    scopes: [],
    limits: [],
    createdAt: 1,
    secrets: [{ hash: "A".repeat(43), issuedAt: 1 }],
  };

  test("stands under its id and no other key", () => {
    const read = ApiKeyEntry.parse(entry);
    assertCatalogueKey("api-key.abcdefgh2345", read);
    for (const key of ["api-key.abcdefgh2346", "config", "instance.a.b"])
      expect(() => assertCatalogueKey(key, read)).toThrow(key);
  });

  test.each([
    { key: "tocsin_secret" },
    { secrets: [] },
    { secrets: Array.from({ length: 3 }, () => entry.secrets[0]) },
    { id: "ABCDEFGH2345" },
    { id: "a.b.c.d.e.f." },
    { expiresAt: "never" },
  ])("with %j is refused: what is not understood could be a condition", (more) => {
    expect(ApiKeyEntry.safeParse({ ...entry, ...more }).success).toBe(false);
  });
});
