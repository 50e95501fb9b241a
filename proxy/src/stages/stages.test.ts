import { Denial } from "@tocsin/shared";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Identity } from "../identity/identity.ts";
import { anonymous } from "../identity/principal.ts";
import type { Principal, IdentifiedPrincipal } from "../identity/principal.ts";
import {
  answering,
  codeOf,
  converse,
  get,
  ok,
  soon,
  startRawOrigin,
  startTestGateway,
  statusOf,
} from "../listener/gateway.fixture.ts";
import type { RawOrigin, TestGatewayOptions } from "../listener/gateway.fixture.ts";

let stack: AsyncDisposableStack;
let origin: RawOrigin;
beforeEach(async () => {
  stack = new AsyncDisposableStack();
  origin = stack.use(await startRawOrigin(answering(ok)));
});
afterEach(() => stack.disposeAsync());

const gatewayWith = async (options: Omit<TestGatewayOptions, "to"> = {}) =>
  stack.use(await startTestGateway({ to: [origin.port], ...options }));

const holder = (roles: readonly string[], scopes: readonly string[] = []): IdentifiedPrincipal => ({
  method: "jwt",
  subject: "ada",
  issuer: "test",
  roles,
  scopes,
  expiresAt: 4e9,
  credential: {
    issuer: "test",
    subject: "ada",
    issuedAt: 0,
    jti: undefined,
    fingerprint: undefined,
  },
  headers: ["X-User-ID", "ada", "X-Auth-Method", "jwt"],
});

/** Reads the token as the principal's roles. */
const byRoles: Identity = {
  identify({ head: { authorization } }, policy): Principal | Promise<Principal> {
    if (authorization === undefined) {
      if (policy.mode === "optional") return anonymous;
      throw new Denial("credential-missing", "credential-absent");
    }
    const words = authorization.slice("Bearer ".length);
    if (words === "bad") throw new Denial("credential-invalid", "signature-wrong");
    if (words.startsWith("later:")) return Promise.resolve(holder(words.slice(6).split(",")));
    if (words.startsWith("scopes:")) return holder([], words.slice(7).split(","));
    return holder(words.split(","));
  },
};

const routes = (auth: unknown, revocation: object = {}) => ({
  config: { routes: [{ id: "r", match: { path: "/*" }, service: "a", auth, revocation }] },
  identity: byRoles,
});

describe("authentication", () => {
  test("none, bad, good, and one that takes its time", async () => {
    const { port } = await gatewayWith(routes("required"));
    const missing = await get(port);
    expect([statusOf(missing), codeOf(missing)]).toEqual([401, "credential-missing"]);
    expect(missing).toMatch(/\r\nwww-authenticate: Bearer realm="tocsin"\r\n/i);
    expect(codeOf(await get(port, "/", ["Authorization: Bearer bad"]))).toBe("credential-invalid");
    expect(origin.received()).toBe("");
    expect(statusOf(await get(port, "/", ["Authorization: Bearer user"]))).toBe(200);
    expect(statusOf(await get(port, "/", ["Authorization: Bearer later:user"]))).toBe(200);
  });

  test("optional lets nobody in with a bad credential", async () => {
    const { port } = await gatewayWith(routes("optional"));
    expect(statusOf(await get(port))).toBe(200);
    expect(statusOf(await get(port, "/", ["Authorization: Bearer bad"]))).toBe(401);
  });

  test("on a route without authentication credentials are not looked at", async () => {
    const { port } = await gatewayWith(routes("none"));
    expect(statusOf(await get(port, "/", ["Authorization: Bearer bad"]))).toBe(200);
    expect(origin.received()).toMatch(/x-auth-method: none/i);
    expect(origin.received()).not.toMatch(/x-user-id/i);
  });

  test("a client that leaves while it is identified never reaches the upstream", async () => {
    let finish: (principal: Principal) => void = () => {};
    const gateway = await gatewayWith({
      ...routes("required"),
      identity: { identify: () => new Promise((resolve) => (finish = resolve)) },
    });
    const { connect } = await import("node:net");
    const socket = connect(gateway.port, "127.0.0.1");
    socket.write("GET / HTTP/1.1\r\nHost: gw.test\r\n\r\n");
    await soon(() => gateway.listener.active === 1);
    socket.destroy();
    await soon(() => gateway.listener.active === 0);
    finish(holder(["user"]));
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(origin.connections).toHaveLength(0);
  });
});

describe("authorization", () => {
  test.each([
    [{ roles: { any: ["a", "b"] } }, "b", 200],
    [{ roles: { any: ["a", "b"] } }, "c", 403],
    [{ roles: { any: ["a"] } }, "A", 403],
    [{ roles: { any: ["a"] } }, "aa", 403],
    [{ roles: { all: ["a", "b"] } }, "b,a", 200],
    [{ roles: { all: ["a", "b"] } }, "a", 403],
    [{ roles: { any: ["a"], all: ["b"] } }, "a", 403],
    [{ roles: { any: ["a"], all: ["b"] } }, "a,b", 200],
    [{ scopes: { all: ["read"] } }, "scopes:read", 200],
    [{ scopes: { all: ["read"] } }, "read", 403],
    [{ scopes: { any: ["read", "write"] } }, "scopes:write", 200],
    [{ roles: { any: ["a"] }, scopes: { all: ["read"] } }, "a", 403],
  ])("%j with %s is %i", async (needs, token, status) => {
    const { port } = await gatewayWith(routes({ mode: "required", ...needs }));
    const answer = await get(port, "/", [`Authorization: Bearer ${token}`]);
    expect(statusOf(answer)).toBe(status);
    if (status === 403) {
      expect(codeOf(answer)).toBe("forbidden");
      expect(answer).toMatch(
        /www-authenticate: Bearer realm="tocsin", error="insufficient_scope", error_description="a (role|scope) is missing"/i,
      );
      expect(origin.received()).toBe("");
    }
  });
});

describe("old revocations", () => {
  const token = ["Authorization: Bearer user"];
  test.each([
    ["fresh enough", { onStale: "deny" }, 60_000, 200],
    ["too old, deny", { onStale: "deny" }, 60_001, 503],
    ["too old, strict", { strict: true }, 60_001, 503],
    ["too old, allow", { onStale: "allow" }, 3_600_000, 200],
    ["too old, by default", {}, 3_600_000, 200],
    ["a bound of its own", { onStale: "deny", maxStaleness: "5s" }, 5_001, 503],
    ["not since the start, and the route allows it", { onStale: "allow" }, undefined, 200],
    ["not since the start, and the route is strict", { strict: true }, undefined, 503],
  ])("%s", async (_name, revocation, ageMs, status) => {
    const { port } = await gatewayWith({
      ...routes("required", revocation),
      revocationsMs: () => ageMs,
    });
    const answer = await get(port, "/", token);
    expect(statusOf(answer)).toBe(status);
    if (status === 503) expect(codeOf(answer)).toBe("stale-state");
  });

  test("they do not matter where credentials do not", async () => {
    const open = await gatewayWith({
      ...routes("none", { strict: true }),
      revocationsMs: () => undefined,
    });
    expect(statusOf(await get(open.port, "/", token))).toBe(200);
    const optional = await gatewayWith({
      ...routes("optional", { strict: true }),
      revocationsMs: () => undefined,
    });
    expect(statusOf(await get(optional.port))).toBe(200);
    expect(statusOf(await get(optional.port, "/", token))).toBe(503);
  });

  test("a bad credential is refused for what it is", async () => {
    const { port } = await gatewayWith({
      ...routes("required", { strict: true }),
      revocationsMs: () => undefined,
    });
    expect(statusOf(await get(port, "/", ["Authorization: Bearer bad"]))).toBe(401);
  });
});

describe("routes", () => {
  test("no route, a wrong method, a foreign host", async () => {
    const { port } = await gatewayWith({
      config: {
        listen: { hosts: ["gw.test"] },
        routes: [
          { id: "r", match: { path: "/r/{id}", methods: ["GET"] }, service: "a", auth: "none" },
        ],
      },
    });
    expect(codeOf(await get(port, "/other"))).toBe("route-not-found");
    const wrong = await converse(
      port,
      "POST /r/1 HTTP/1.1\r\nHost: gw.test\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
    );
    expect([statusOf(wrong), codeOf(wrong)]).toEqual([405, "method-not-allowed"]);
    expect(wrong).toMatch(/\r\nallow: GET, HEAD\r\n/i);
    const foreign = await converse(
      port,
      "GET /r/1 HTTP/1.1\r\nHost: evil.test\r\nConnection: close\r\n\r\n",
    );
    expect([statusOf(foreign), codeOf(foreign)]).toEqual([421, "host-not-allowed"]);
    expect(origin.received()).toBe("");
    expect(statusOf(await get(port, "/r/1/"))).toBe(200);
  });

  test("a path that another reading brings to another route is refused, else it passes unchanged", async () => {
    const { port } = await gatewayWith({
      config: {
        routes: [
          { id: "open", match: { path: "/*" }, service: "a", auth: "none" },
          { id: "admin", match: { path: "/admin/*" }, service: "a", auth: "required" },
          { id: "dollar", match: { path: "/$admin" }, service: "a", auth: "required" },
        ],
      },
      identity: byRoles,
    });
    for (const path of [
      "//admin/x",
      "/;a/admin/x",
      "/admin;x/y",
      "/x;/..;/admin",
      "/%24admin",
      "/admin%3bx/y",
      "///admin",
    ])
      expect(statusOf(await get(port, path)), path).toBe(400);
    expect(origin.received()).toBe("");
    for (const path of ["/a//b", "/a;v=1/b", "//"])
      expect(statusOf(await get(port, path)), path).toBe(200);
    expect(origin.received()).toMatch(/^GET \/a\/\/b HTTP[^]*GET \/a;v=1\/b HTTP[^]*GET \/\/ HTTP/);
  });
});

describe("what clients and operators see", () => {
  test("a refusal is a problem document with the request's id, and HEAD has its head alone", async () => {
    const { port } = await gatewayWith({
      config: { routes: [{ id: "r", match: { path: "/r" }, service: "a" }] },
    });
    const answer = await get(port);
    const id = /\r\nX-Request-ID: (\S+)/i.exec(answer)?.[1];
    const [, body = ""] = answer.split("\r\n\r\n");
    expect(JSON.parse(body)).toEqual({
      type: "urn:tocsin:problem:route-not-found",
      title: "No route matches",
      status: 404,
      code: "route-not-found",
      instance: id,
    });
    const head = await converse(
      port,
      "HEAD / HTTP/1.1\r\nHost: gw.test\r\nConnection: close\r\n\r\n",
    );
    expect(head).toMatch(/^HTTP\/1\.1 404 [^]*content-length: [1-9][^]*\r\n\r\n$/i);
  });

  test("a defect is an internal error whose cause nobody outside hears", async () => {
    const { port } = await gatewayWith({
      ...routes("required"),
      identity: {
        identify() {
          throw new Error("the secret inner cause");
        },
      },
    });
    const answer = await get(port);
    expect([statusOf(answer), codeOf(answer)]).toEqual([500, "internal"]);
    expect(answer).not.toMatch(/secret/);
  });

  test("one record per exchange, the query left out", async () => {
    const gateway = await gatewayWith();
    await get(gateway.port, "/a/b?token=secret");
    const record = await soon(() => gateway.records[0]);
    expect(record).toMatchObject({
      method: "GET",
      host: "gw.test",
      path: "/a/b",
      route: "all",
      service: "a",
      status: 200,
      bytesOut: 2,
    });
    expect(record.upstreamMs).toBeGreaterThan(0);
    expect(record.overheadMs).toBeGreaterThan(0);
    expect(record.durationMs).toBeGreaterThanOrEqual(record.upstreamMs!);
    expect(gateway.records).toHaveLength(1);
  });

  test("metrics count by route, status and bounded method", async () => {
    const gateway = await gatewayWith(routes("required"));
    await get(gateway.port, "/some/secret/path");
    await get(gateway.port, "/x", ["Authorization: Bearer user"]);
    await converse(
      gateway.port,
      "PROPFIND / HTTP/1.1\r\nHost: gw.test\r\nConnection: close\r\nAuthorization: Bearer user\r\n\r\n",
    );
    await soon(() => gateway.records.length === 3);
    const { text } = await gateway.metrics.scrape();
    expect(text).toContain(
      'http_requests_total{method="GET",route="r",service="a",status_code="401"} 1',
    );
    expect(text).toContain(
      'http_requests_total{method="GET",route="r",service="a",status_code="200"} 1',
    );
    expect(text).toContain(
      'http_requests_total{method="_OTHER",route="r",service="a",status_code="200"} 1',
    );
    expect(text).toContain('tocsin_auth_failures_total{code="credential-missing"} 1');
    expect(text).toContain('tocsin_upstream_duration_seconds_count{route="r",service="a"} 2');
    expect(text).toMatch(/^gateway_active_connections \d$/m);
    expect(text).not.toMatch(/secret/);
  });
});
