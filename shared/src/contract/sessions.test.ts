import { describe, expect, test } from "vitest";
import { Config } from "./config.ts";

const read = (sessions: unknown, more: object = {}) =>
  Config.safeParse({ version: 1, identity: { sessions }, ...more });
const problems = (result: ReturnType<typeof read>) =>
  (result.error?.issues ?? []).map(({ path, message }) => `${path.join(".")}: ${message}`);

test("what is not said has a default", () => {
  expect(read({}).data?.identity.sessions).toEqual({
    cookie: "sid",
    ttl: 43_200_000,
    lifetime: 2_592_000_000,
    sameSite: "lax",
    secure: undefined,
    origins: [],
    withoutOrigin: "deny",
    cacheFor: 5_000,
  });
});

test.each([
  [{ cookie: "__Host-sid" }, true],
  [{ cookie: "__Secure-sid" }, true],
  [{ sameSite: "none" }, true],
  [{ secure: true }, true],
  [{}, undefined],
])("%j is a secure cookie whatever the environment: %s", (sessions, secure) => {
  expect(read(sessions).data?.identity.sessions?.secure).toBe(secure);
});

describe("what browsers would drop, and what makes no sense, is refused with its place", () => {
  test.each([
    [{ cookie: "s;id" }, /^identity\.sessions\.cookie: "s;id" is not the name of a cookie/],
    [{ cookie: "" }, /cookie/],
    [{ ttl: "31d" }, /^identity\.sessions\.ttl: .*longer than lifetime/],
    [{ ttl: "0s" }, /out of range/],
    [{ cookie: "__Host-sid", domain: "example.com" }, /domain: browsers drop/],
    [{ cookie: "__host-sid", secure: false }, /secure: browsers drop/],
    [{ sameSite: "none", secure: false }, /secure: browsers drop/],
    [{ secure: false }, /secure: in production/],
    [{ domain: "example" }, /domain/],
    [{ domain: "example.com; Secure" }, /domain/],
    [{ origins: ["*"] }, /origins\.0: "\*" is not an origin/],
    [{ origins: ["https://a.example/"] }, /is not an origin/],
    [{ origins: ["https://A.example"] }, /lower case/],
    [{ origins: ["null"] }, /is not an origin/],
    [{ cacheFor: "2m" }, /out of range/],
    [{ cookies: "sid" }, /cookies/],
  ])("%j", (sessions, message) => {
    expect(problems(read(sessions)).join("\n")).toMatch(message);
  });

  test("in development a cookie may go over http", () => {
    expect(problems(read({ secure: false }, { environment: "development" }))).toEqual([]);
  });
});

test("a route that takes sessions needs them to be there", () => {
  const service = { users: { instances: [{ url: "http://127.0.0.1:1" }] } };
  const more = {
    services: service,
    routes: [
      {
        id: "one",
        match: { path: "/" },
        service: "users",
        auth: { mode: "required", via: ["jwt", "session"] },
      },
    ],
  };
  expect(problems(read({}, more))).toEqual([]);
  expect(problems(read(undefined, more))).toEqual([
    "routes.0.auth.via.1: there are no sessions: identity.sessions is not set",
  ]);
  const auto = { discovery: { autoRoutes: { auth: { mode: "optional", via: ["session"] } } } };
  expect(problems(read(undefined, auto))).toEqual([
    "discovery.autoRoutes.auth.via.0: there are no sessions: identity.sessions is not set",
  ]);
});
