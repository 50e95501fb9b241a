import { describe, expect, test } from "vitest";
import { Config } from "./config.ts";
import { UserPolicy } from "./users.ts";

const policy = (more: object = {}) =>
  UserPolicy.safeParse({ service: "users", path: "/internal/users/{subject}", ...more });

test("what is left out has its default", () => {
  expect(policy().data).toEqual({
    service: "users",
    path: "/internal/users/{subject}",
    ttl: 300_000,
    timeout: 2_000,
    for: ["jwt", "session"],
  });
});

test.each(["/{subject}", "/a/{subject}/state", "/{issuer}/{subject}", "/a%20b/{subject}"])(
  "%s is a path",
  (path) => expect(policy({ path }).success).toBe(true),
);

test.each([
  "/internal/users",
  "internal/{subject}",
  "/users/{subject}/{subject}",
  "/users/u-{subject}",
  "/users/{name}",
  "/users/{subject",
  "/users/{subject}?full=1",
  "/users/../{subject}",
  "/users/%2E%2e/{subject}",
  "//users/{subject}",
  "/users/{subject}/",
  "/users/%zz/{subject}",
  "/users/ä/{subject}",
  "/users/a b/{subject}",
])("%s is none", (path) => {
  const { error } = policy({ path });
  expect(error?.issues[0]?.message).toContain(JSON.stringify(path));
});

test.each([{ ttl: "0s" }, { ttl: "25h" }, { timeout: "1m" }, { for: [] }, { for: ["none"] }])(
  "%j is refused",
  (more) => expect(policy(more).success).toBe(false),
);

describe("across the config", () => {
  const messages = (config: object) =>
    Config.safeParse({ version: 1, ...config }).error?.issues.map(
      ({ path, message }) => `${path.join(".")}: ${message}`,
    );
  const users = { service: "users", path: "/u/{subject}" };
  const route = {
    id: "a",
    match: { path: "/a" },
    service: "users",
    auth: { mode: "required", users: { onUnavailable: "stale" } },
  };

  test("a service that is not there is named", () => {
    expect(messages({ identity: { users } })).toEqual([
      'identity.users.service: unknown service "users"',
    ]);
    expect(messages({ identity: { users }, services: { users: null }, routes: [route] })).toBe(
      undefined,
    );
  });

  test("a route that says what to do without answers, where nobody is asked, is a mistake", () => {
    const autoRoutes = { auth: { mode: "required", users: {} } };
    expect(
      messages({ services: { users: null }, routes: [route], discovery: { autoRoutes } }),
    ).toEqual([
      "routes.0.auth.users: nobody is asked: identity.users is not set",
      "discovery.autoRoutes.auth.users: nobody is asked: identity.users is not set",
    ]);
  });
});
