import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { soon } from "../harness/soon.ts";
import { modes, startGateway, type Gateway } from "../harness/gateway.ts";
import { startOrigin, type Origin } from "../harness/origin.ts";
import { issuerConfig, token } from "../harness/tokens.ts";

const config = `version: 1
environment: development
${issuerConfig}
services:
  users: { health: { path: /health, interval: 1s } }
  content: {}
routes:
  - { id: users, match: { path: "/api/users/*" }, service: users, auth: required }
  - { id: admin, match: { path: "/api/admin/*" }, service: users, auth: { mode: required, roles: { any: [admin] } } }
  - { id: public, match: { path: "/api/public/*", methods: [GET] }, service: users, auth: none }
  - { id: mixed, match: { path: "/api/mixed" }, service: users, auth: optional }
  - { id: content, match: { path: "/api/content/*" }, service: content, auth: none }
`;

describe.each(modes)("access, %s", (mode) => {
  let gateway: Gateway;
  let origin: Origin;
  beforeAll(async () => {
    gateway = await startGateway(mode, { config });
    origin = await startOrigin();
  }, 60_000);
  afterAll(async () => {
    await gateway?.[Symbol.asyncDispose]();
    await origin?.[Symbol.asyncDispose]();
  });

  test("a path that no route matches is 404, a service without an instance 503, both as problem documents", async () => {
    for (const answer of await gateway.askAll("/api/nothing")) {
      expect(answer.status).toBe(404);
      expect(answer.headers["content-type"]).toBe("application/problem+json");
      expect(answer.json()).toMatchObject({
        type: "urn:tocsin:problem:route-not-found",
        status: 404,
        code: "route-not-found",
      });
      expect(answer.headers["x-request-id"]).toBe(answer.json()["instance"]);
    }
    for (const answer of await gateway.askAll("/api/content/x")) {
      expect(answer.status).toBe(503);
      expect(answer.headers["retry-after"]).toBeDefined();
    }
  });

  test("a service that registers is reachable through every proxy within 100 ms of its first good probe", async () => {
    const answer = await gateway.admin("PUT", "/v1/services/users/instances/users-1", {
      url: origin.url,
      health: { path: "/health" },
    });
    expect(answer.status).toBe(200);
    expect(answer.json()).toMatchObject({ lease: "10s", renew: "3s" });
    let reachable = 0;
    await soon(
      async () => {
        for (const each of await gateway.askAll("/api/public/x")) expect(each.status).toBe(200);
        reachable = performance.now();
      },
      2_000,
      2,
    );
    expect(reachable - origin.probed[0]!).toBeLessThan(100);
    const view = await gateway.admin("GET", "/v1/services/users");
    expect(view.json()).toMatchObject({
      service: "users",
      instances: [{ instance: "users-1", verdict: "healthy" }],
    });
  });

  test("no token 401, wrong role 403, valid 200, and the upstream is told who it is", async () => {
    for (const answer of await gateway.askAll("/api/users/42")) {
      expect(answer.status).toBe(401);
      expect(answer.headers["www-authenticate"]).toBe('Bearer realm="tocsin"');
    }
    const user = await token({ subject: "alice", roles: ["user", "editor"] });
    for (const answer of await gateway.askAll("/api/admin/x", { token: user })) {
      expect(answer.status).toBe(403);
      expect(answer.headers["www-authenticate"]).toContain('error="insufficient_scope"');
    }
    origin.seen.length = 0;
    for (const answer of await gateway.askAll("/api/users/42?full=1", { token: user }))
      expect(answer.status).toBe(200);
    expect(origin.seen).toHaveLength(gateway.urls.length);
    for (const seen of origin.seen) {
      expect(seen.url).toBe("/api/users/42?full=1");
      expect(seen.headers).toMatchObject({
        "x-user-id": "alice",
        "x-user-roles": "user,editor",
        "x-auth-method": "jwt",
        via: "1.1 tocsin",
      });
      expect(seen.headers["x-request-id"]).toMatch(/^[A-Za-z0-9_-]{1,64}$/);
      expect(seen.headers["traceparent"]).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]$/);
    }
    const admin = await token({ roles: ["admin"] });
    for (const answer of await gateway.askAll("/api/admin/x", { token: admin }))
      expect(answer.status).toBe(200);
  });

  test("a bad token is 401 on an optional route too, and a public route does not look at it", async () => {
    expect((await gateway.ask("/api/mixed")).status).toBe(200);
    expect((await gateway.ask("/api/mixed", { token: "rubbish" })).status).toBe(401);
    expect((await gateway.ask("/api/public/x", { token: "rubbish" })).status).toBe(200);
    const expired = await token({
      issuedAt: Math.floor(Date.now() / 1000) - 7200,
      lifetimeSeconds: 60,
    });
    expect((await gateway.ask("/api/users/42", { token: expired })).json()).toMatchObject({
      code: "credential-expired",
    });
  });

  test("identity headers from outside never arrive, in any spelling, on any route", async () => {
    origin.seen.length = 0;
    const forged = {
      "X-User-ID": "root",
      "x-user-roles": "admin",
      "X-USER-SCOPES": "all",
      X_User_ID: "root",
      x_auth_method: "jwt",
      "X-User_Roles": "admin",
    };
    expect((await gateway.ask("/api/public/x", { headers: forged })).status).toBe(200);
    expect(
      (await gateway.ask("/api/mixed", { headers: { ...forged, connection: "x-auth-method" } }))
        .status,
    ).toBe(200);
    for (const { headers } of origin.seen) {
      const values = Object.entries(headers).filter(([name]) => /^x[-_](user|auth)/i.test(name));
      expect(values).toEqual([["x-auth-method", "none"]]);
    }
    expect(origin.seen).toHaveLength(2);
  });

  test("a method that the route does not allow is 405 with Allow", async () => {
    const answer = await gateway.ask("/api/public/x", { method: "POST" });
    expect(answer.status).toBe(405);
    expect(answer.headers["allow"]).toContain("GET");
  });

  test("the instance that stops renewing its lease leaves the rotation", async () => {
    await soon(
      async () => {
        const answer = await gateway.ask("/api/public/x");
        expect(answer.status).toBe(503);
      },
      16_000,
      200,
    );
  }, 30_000);
});
