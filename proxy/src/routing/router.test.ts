import { Config } from "@tocsin/shared/contract";
import type { Refusal } from "@tocsin/shared";
import { expect, test } from "vitest";
import { hostList } from "./hosts.ts";
import { createRouter } from "./router.ts";

const route = (id: string, path: string, more: object = {}) => ({
  id,
  match: { path },
  service: "a",
  ...more,
});

function routerOf(config: object, services: readonly string[] = ["a"]) {
  return createRouter(Config.parse({ version: 1, services: { a: null }, ...config }), () => ({
    of: (service) => (services.includes(service) ? [] : undefined),
  }));
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
  const router = createRouter(Config.parse({ version: 1 }), () => ({
    of: (service) => (services.includes(service) ? [] : undefined),
  }));
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
