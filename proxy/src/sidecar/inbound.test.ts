import { Denial } from "@tocsin/shared";
import { describe, expect, test } from "vitest";
import {
  answering,
  codeOf,
  converse,
  get,
  ok,
  soon,
  startRawOrigin,
  statusOf,
} from "../listener/gateway.fixture.ts";
import { fleetInstance, startTestSidecar } from "./sidecar.fixture.ts";

const route = (id: string, path: string, service: string, more: object = {}) => ({
  id,
  match: { path },
  service,
  auth: "none",
  ...more,
});
const services = { users: null, orders: null, "users-next": null };

/** Waits until the instance was found well. */
async function well({ sidecar }: { sidecar: { status(): { verdict: string } } }): Promise<void> {
  await soon(() => sidecar.status().verdict === "healthy");
}

describe("the inbound side of a sidecar", () => {
  test("forwards to the instance beside it, whatever the catalogue says about others", async () => {
    await using local = await startRawOrigin(answering(ok));
    await using other = await startRawOrigin(answering(ok));
    await using gateway = await startTestSidecar({
      local: local.port,
      fleet: [
        fleetInstance("users", other.port),
        fleetInstance("users", local.port, { eligible: false }),
      ],
    });
    await well(gateway);
    for (let count = 0; count < 4; count += 1)
      expect(statusOf(await get(gateway.inbound, "/x"))).toBe(200);
    expect(local.received().match(/GET \/x/g)).toHaveLength(4);
    expect(other.connections).toEqual([]);
  });

  test("does not find the routes of other services, and a wildcard does not catch what they keep to themselves", async () => {
    await using local = await startRawOrigin(answering(ok));
    await using other = await startRawOrigin(answering(ok));
    await using gateway = await startTestSidecar({
      local: local.port,
      fleet: [fleetInstance("orders", other.port)],
      config: {
        services,
        routes: [
          route("users", "/users/*", "users"),
          route("users-audit", "/users/audit/*", "orders", { auth: "required" }),
          route("orders", "/orders/*", "orders"),
          {
            ...route("users-posts", "/posts", "users"),
            match: { path: "/posts", methods: ["POST"] },
          },
          {
            ...route("orders-gets", "/gets", "orders"),
            match: { path: "/gets", methods: ["PUT"] },
          },
        ],
      },
    });
    await well(gateway);
    const before = local.received();
    for (const target of ["/orders/1", "/users/audit/1", "/users/x/../audit/1", "/gets", "/none"]) {
      const answer = await get(gateway.inbound, target);
      expect([target, statusOf(answer)]).toEqual([target, target.includes("..") ? 400 : 404]);
    }
    const refused = await get(gateway.inbound, "/posts");
    expect(statusOf(refused)).toBe(405);
    expect(refused).toMatch(/^allow: POST\r$/im);
    expect(local.received()).toBe(before);
    expect(other.connections).toEqual([]);
    expect(statusOf(await get(gateway.inbound, "/users/1"))).toBe(200);
  });

  test("does not find automatic routes of other services", async () => {
    await using local = await startRawOrigin(answering(ok));
    await using gateway = await startTestSidecar({
      local: local.port,
      fleet: [fleetInstance("orders", 1)],
      config: { services: {}, routes: [], discovery: { autoRoutes: { auth: "none" } } },
    });
    await well(gateway);
    expect(statusOf(await get(gateway.inbound, "/api/users/1"))).toBe(200);
    expect(codeOf(await get(gateway.inbound, "/api/orders/1"))).toBe("route-not-found");
  });

  test("takes its share of a split, and what it stands in for: the draw was made at the edge", async () => {
    await using local = await startRawOrigin(answering(ok));
    await using gateway = await startTestSidecar({
      local: local.port,
      config: {
        services,
        routes: [
          route("canary", "/canary", "orders", { weights: { orders: 99, users: 1 } }),
          route("none", "/no-share", "orders", { weights: { orders: 1, users: 0 } }),
          route("stands-in", "/stands-in", "orders", { fallback: { service: "users" } }),
          route("own", "/own", "users", {
            weights: { users: 1, "users-next": 99 },
            fallback: { service: "orders" },
          }),
        ],
      },
    });
    await well(gateway);
    for (const target of ["/canary", "/stands-in", "/own"])
      expect([target, statusOf(await get(gateway.inbound, target))]).toEqual([target, 200]);
    expect(statusOf(await get(gateway.inbound, "/no-share"))).toBe(404);
  });

  test("asks for credentials as the edge does", async () => {
    await using local = await startRawOrigin(answering(ok));
    await using gateway = await startTestSidecar({
      local: local.port,
      config: { routes: [route("users", "/*", "users", { auth: "required" })] },
      identity: {
        identify: () => {
          throw new Denial("credential-missing", "credential-absent");
        },
      },
    });
    await well(gateway);
    const before = local.received();
    expect(codeOf(await get(gateway.inbound, "/x"))).toBe("credential-missing");
    expect(local.received()).toBe(before);
  });

  test("sends a request once: trying again and circuits are for who could go elsewhere", async () => {
    await using local = await startRawOrigin(
      answering("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"),
    );
    await using gateway = await startTestSidecar({
      local: local.port,
      config: {
        services: { ...services, users: { retry: { attempts: 3 }, circuit: { failures: 1 } } },
        routes: [
          route("users", "/*", "users"),
          route("split", "/two", "users", { weights: { users: 9, orders: 1 } }),
        ],
      },
    });
    await well(gateway);
    for (const target of ["/one", "/two", "/two"])
      expect(await get(gateway.inbound, target)).toMatch(/^HTTP\/1\.1 503 /);
    expect(local.received().match(/GET \/(one|two)/g)).toEqual([
      "GET /one",
      "GET /two",
      "GET /two",
    ]);
  });

  test("believes no identity header, and passes the token on for the service to read", async () => {
    await using local = await startRawOrigin(answering(ok));
    await using gateway = await startTestSidecar({ local: local.port });
    await well(gateway);
    await get(gateway.inbound, "/x", [
      "X-User-ID: root",
      "X_User_Roles: admin",
      "Authorization: Bearer t",
    ]);
    const text = local.received();
    expect(text).not.toMatch(/root|admin/);
    expect(text).toMatch(/^Authorization: Bearer t\r$/m);
    expect(text).toMatch(/^X-Auth-Method: none\r$/m);
  });

  test("matches the host that the client called, when a trusted proxy tells it, and nobody else", async () => {
    await using local = await startRawOrigin(answering(ok));
    const hosts = {
      services,
      routes: [{ ...route("users", "/*", "users"), match: { path: "/*", hosts: ["api.test"] } }],
    };
    const called = ["X-Forwarded-Host: api.test", "X-Forwarded-For: 192.0.2.7"];
    await using edge = await startTestSidecar({
      local: local.port,
      config: { ...hosts, listen: { hosts: ["api.test"], trustedProxies: ["127.0.0.1"] } },
    });
    await well(edge);
    expect(statusOf(await get(edge.inbound, "/x", called))).toBe(200);
    expect(local.received()).toMatch(/^X-Forwarded-For: 192\.0\.2\.7, 127\.0\.0\.1\r$/m);
    expect(statusOf(await get(edge.inbound, "/x", ["X-Forwarded-Host: api.test, x"]))).toBe(421);
    expect(statusOf(await get(edge.inbound, "/x", ['X-Forwarded-Host: api.test"']))).toBe(421);
    await using stranger = await startTestSidecar({ local: local.port, config: hosts });
    await well(stranger);
    expect(statusOf(await get(stranger.inbound, "/x", called))).toBe(404);
  });

  test("says 503 while the instance is not there, and why it is not in the gateway", async () => {
    const gone = await startRawOrigin(answering(ok));
    const { port } = gone;
    await gone[Symbol.asyncDispose]();
    await using gateway = await startTestSidecar({
      local: port,
      config: {
        routes: [
          route("users", "/*", "users"),
          // The edge goes to another instance first, and then does this.
          route("stood-in", "/y", "users", { fallback: { answer: { body: "{}" } } }),
        ],
      },
    });
    await soon(() => gateway.sidecar.status().verdict === "unhealthy");
    expect(codeOf(await get(gateway.inbound, "/y"))).toBe("service-unavailable");
    const answer = await get(gateway.inbound, "/x");
    expect(codeOf(answer)).toBe("service-unavailable");
    expect(answer).toMatch(/^retry-after: 1\r$/im);
    expect(gateway.said).toEqual(["withdraw"]);
    expect(gateway.sidecar.status()).toMatchObject({ service: "users", reason: "ECONNREFUSED" });
  });

  test("a body of any size is passed on as it comes", async () => {
    await using local = await startRawOrigin(({ socket }) => {
      let tail = "";
      socket.on("data", (bytes) => {
        tail = (tail + bytes.toString("latin1")).slice(-20);
        if (tail.endsWith("end-of-it")) socket.write(ok);
      });
    });
    await using gateway = await startTestSidecar({ local: local.port });
    await well(gateway);
    const body = `${"x".repeat(300_000)}end-of-it`;
    const answer = await converse(
      gateway.inbound,
      `POST /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
    expect(statusOf(answer)).toBe(200);
    expect(local.received()).toContain(`\r\n\r\n${body}`);
  });
});
