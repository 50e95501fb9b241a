import { Config } from "@tocsin/shared/contract";
import type { Refusal } from "@tocsin/shared";
import { describe, expect, test } from "vitest";
import { bodyWanted } from "./candidates.ts";
import { nothingAsked, type Asked } from "./conditions.ts";
import { hostList } from "./hosts.ts";
import type { Route } from "./route.ts";
import { createRouter } from "./router.ts";

const route = (id: string, path: string, more: object = {}) => ({
  id,
  match: { path },
  service: "a",
  ...more,
});

function routerOf(config: object, services: readonly string[] = ["a"]) {
  const router = createRouter(
    Config.parse({ version: 1, services: { a: null }, ...config }),
    () => ({ of: (service) => (services.includes(service) ? [] : undefined) }),
  );
  return {
    find(path: string, method: string, asked: Partial<Asked> = {}): Route {
      const route = router.find(path, method, { ...nothingAsked, ...asked });
      if (route === bodyWanted) throw new Error("the body is wanted");
      return route;
    },
  };
}

function refusalOf(find: () => unknown): Refusal {
  try {
    find();
  } catch (thrown) {
    return thrown as Refusal;
  }
  throw new Error("nothing was refused");
}

test("what no route matches is route-not-found", () => {
  const router = routerOf({ routes: [route("one", "/one")] });
  expect(refusalOf(() => router.find("/two", "GET")).code).toBe("route-not-found");
});

test("a method that no matching route has is method-not-allowed, with all that are", () => {
  const router = routerOf({
    routes: [
      { id: "one", match: { path: "/one", methods: ["POST", "GET"] }, service: "a" },
      { id: "any", match: { path: "/{x}", methods: ["DELETE"] }, service: "a" },
    ],
  });
  const refusal = refusalOf(() => router.find("/one", "PUT"));
  expect(refusal.code).toBe("method-not-allowed");
  expect(refusal.headers).toEqual({ allow: "GET, HEAD, POST, DELETE" });
});

test("what happens with old revocations is resolved when the route is made", () => {
  const router = routerOf({
    routes: [
      route("default", "/1"),
      route("strict", "/2", { revocation: { strict: true } }),
      route("told", "/3", { revocation: { strict: true, onStale: "allow", maxStaleness: "5s" } }),
      route("deny", "/4", { revocation: { onStale: "deny" } }),
    ],
  });
  expect(["/1", "/2", "/3", "/4"].map((path) => router.find(path, "GET").revocation)).toEqual([
    { maxStalenessMs: 60_000, denyWhenStale: false },
    { maxStalenessMs: 60_000, denyWhenStale: true },
    { maxStalenessMs: 5_000, denyWhenStale: false },
    { maxStalenessMs: 60_000, denyWhenStale: true },
  ]);
});

test("without routes every service that has instances is at /api/{service}, with authentication", () => {
  const router = routerOf({}, ["a", "users"]);
  expect(router.find("/api/users/42", "GET")).toMatchObject({
    id: "auto-users",
    service: "users",
    auth: { mode: "required" },
  });
  expect(router.find("/api/users", "POST").id).toBe("auto-users");
  expect(router.find("/api/users/", "POST")).toBe(router.find("/api/users/1/2", "GET"));
  for (const path of [
    "/api/unknown/1",
    "/api",
    "/api/",
    "/users/1",
    "/apiusers",
    "/api//users",
    "/api/constructor",
  ])
    expect(refusalOf(() => router.find(path, "GET")).code, path).toBe("route-not-found");
});

test("a service that appears gets its route without a new config, and loses it when it goes", () => {
  const services: string[] = [];
  const router = routerOf({ services: {} }, services);
  expect(refusalOf(() => router.find("/api/late/1", "GET")).code).toBe("route-not-found");
  services.push("late");
  expect(router.find("/api/late/1", "GET").service).toBe("late");
  services.pop();
  expect(refusalOf(() => router.find("/api/late/1", "GET")).code).toBe("route-not-found");
});

test("with routes there are automatic ones only when the config says so, and written ones go first", () => {
  expect(
    refusalOf(() => routerOf({ routes: [route("one", "/one")] }).find("/api/a/1", "GET")).code,
  ).toBe("route-not-found");
  const router = routerOf({
    routes: [route("one", "/auto/a/*")],
    discovery: { autoRoutes: { prefix: "/auto/", auth: "none" } },
  });
  expect(router.find("/auto/a/1", "GET").id).toBe("one");
  expect(
    routerOf({ discovery: { autoRoutes: { prefix: "/", auth: "none" } } }).find("/a/1", "GET"),
  ).toMatchObject({
    id: "auto-a",
    auth: { mode: "none" },
  });
});

test.each([
  ["gw.test", true],
  ["GW.Test:8080", true],
  ["gw.test.", true],
  ["other.test", false],
  ["a.example.test", true],
  ["a.b.example.test:1", true],
  ["example.test", false],
  ["evilexample.test", false],
  [".example.test", false],
  ["127.0.0.1:80", true],
  ["[::1]:80", true],
  ["[::2]", false],
])("the host list decides on %s", (host, served) => {
  const serves = hostList(["gw.test", "*.example.test", "127.0.0.1", "[::1]"]);
  expect(serves(host)).toBe(served);
  expect(serves(host)).toBe(served);
});

test("without a list every host is served", () => {
  expect(hostList(undefined)("anything")).toBe(true);
});

describe("routes of one path", () => {
  const asked = (more: { host?: string; fields?: string[]; target?: string } = {}) => ({
    host: "localhost",
    fields: [],
    target: "/x",
    ...more,
  });
  const router = routerOf({
    routes: [
      { id: "plain", match: { path: "/x" }, service: "a" },
      { id: "get", match: { path: "/x/get", methods: ["GET"] }, service: "a" },
      { id: "v2", match: { path: "/x", headers: { "Accept-Version": "2" } }, service: "a" },
      {
        id: "v2-beta",
        match: { path: "/x", headers: { "accept-version": "2", "x-beta": "*" } },
        service: "a",
      },
      { id: "preview", match: { path: "/x", query: { preview: "on" } }, service: "a" },
      {
        id: "post",
        match: { path: "/x", methods: ["POST"], query: { preview: "off" } },
        service: "a",
      },
      { id: "only", match: { path: "/only", headers: { "x-key": "é" } }, service: "a" },
      { id: "specific", match: { path: "/only/{id}", headers: { "x-key": "1" } }, service: "a" },
      { id: "fallback", match: { path: "/only/*" }, service: "a" },
    ],
  });
  const id = (more: Parameters<typeof asked>[0], path = "/x", method = "GET") =>
    router.find(path, method, asked(more)).id;

  test.each([
    ["nothing asked for", {}, "plain"],
    [
      "a field with its value, whatever the case of its name",
      { fields: ["ACCEPT-version", "2"] },
      "v2",
    ],
    ["a field with another value", { fields: ["accept-version", "22"] }, "plain"],
    ["another field with that value", { fields: ["accept-versio", "2", "x", "2"] }, "plain"],
    ["more conditions", { fields: ["accept-version", "2", "x-beta", "whatever"] }, "v2-beta"],
    ["a parameter", { target: "/x?a=1&preview=on" }, "preview"],
    ["a parameter that is percent-encoded", { target: "/x?%70review=%6fn" }, "preview"],
    ["a parameter of another case", { target: "/x?Preview=on" }, "plain"],
    [
      "a field before a parameter",
      { target: "/x?preview=on", fields: ["accept-version", "2"] },
      "v2",
    ],
  ])("%s", (_what, more, expected) => {
    expect(id(more)).toBe(expected);
  });

  test("a condition counts for the methods of its route", () => {
    expect(id({ target: "/x?preview=off" }, "/x", "POST")).toBe("post");
    expect(id({ target: "/x?preview=off" }, "/x", "GET")).toBe("plain");
    expect(id({ target: "/x?preview=on" }, "/x", "POST")).toBe("preview");
  });

  test("a route whose conditions are not met gives way to a less specific path, else there is none", () => {
    expect(id({ fields: ["x-key", "1"] }, "/only/7")).toBe("specific");
    expect(id({}, "/only/7")).toBe("fallback");
    expect(refusalOf(() => id({ fields: ["x-key", "e"] }, "/only-this")).code).toBe(
      "route-not-found",
    );
    expect(refusalOf(() => id({}, "/nowhere")).code).toBe("route-not-found");
  });

  test.each([
    ["a field", { fields: ["accept-version", "2", "Accept-Version", "1"] }],
    ["the same value of a field", { fields: ["accept-version", "2", "accept-version", "2"] }],
    ["a parameter", { target: "/x?preview=off&preview=on" }],
    ["a parameter in another spelling", { target: "/x?preview=on&%70review=off" }],
  ])("%s that is there twice and decides is refused", (_what, more) => {
    expect(refusalOf(() => id(more)).code).toBe("bad-request");
  });

  test("what decides nothing may be there twice", () => {
    expect(id({ fields: ["cookie", "a", "cookie", "b"], target: "/x?a=1&a=2" })).toBe("plain");
  });
});

describe("routes of a host", () => {
  const router = routerOf({
    routes: [
      { id: "any", match: { path: "/*" }, service: "a" },
      { id: "any-deep", match: { path: "/deep/er" }, service: "a" },
      { id: "shop", match: { path: "/*", hosts: ["Shop.example", "[::1]"] }, service: "a" },
      { id: "below", match: { path: "/*", hosts: ["*.example"] }, service: "a" },
      { id: "far-below", match: { path: "/*", hosts: ["*.shop.example"] }, service: "a" },
      { id: "get", match: { path: "/get", hosts: ["only.test"], methods: ["GET"] }, service: "a" },
    ],
  });
  test.each([
    ["shop.example", "shop"],
    ["SHOP.EXAMPLE:8080", "shop"],
    ["shop.example.", "shop"],
    ["[::1]:80", "shop"],
    ["a.example", "below"],
    ["a.shop.example", "far-below"],
    ["a.b.shop.example", "far-below"],
    ["example", "any"],
    ["myshop.example.com", "any"],
    ["xexample", "any"],
  ])("%s", (host, expected) => {
    expect(router.find("/deep/er", "GET", { host, fields: [], target: "/deep/er" }).id).toBe(
      expected === "any" ? "any-deep" : expected,
    );
  });

  test("a host whose routes do not fit has those of every host", () => {
    const find = (path: string, method: string) =>
      router.find(path, method, { host: "only.test", fields: [], target: path }).id;
    expect(find("/get", "GET")).toBe("get");
    expect(find("/get", "HEAD")).toBe("get");
    expect(find("/get", "POST")).toBe("any");
    expect(find("/else", "GET")).toBe("any");
  });
});
