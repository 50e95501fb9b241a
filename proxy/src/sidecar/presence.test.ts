import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { sleep, systemClock } from "@tocsin/shared";
import { describe, expect, test } from "vitest";
import { get, soon, statusOf } from "../listener/gateway.fixture.ts";
import { everythingToUsers, startTestSidecar } from "./sidecar.fixture.ts";

/** A service with a health path that says what the test wants, and counts what it is asked. */
async function startService(port = 0) {
  const service = { health: 200, probes: 0, requests: 0 };
  const server = createServer((request, response) => {
    if (request.url === "/health") {
      service.probes += 1;
      response.statusCode = service.health;
    } else service.requests += 1;
    response.end("ok");
  });
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  return Object.assign(service, {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  });
}

const policyOf = (health: object) => ({
  ...everythingToUsers,
  services: { users: { health: { path: "/health", interval: "100ms", ...health } } },
});

describe("whether the service is in the gateway", () => {
  test("it is registered when the instance is well and the routes are in force, and not before", async () => {
    await using service = await startService();
    await using gateway = await startTestSidecar({ local: service.port, config: policyOf({}) });
    await soon(() => gateway.said.length > 0);
    expect(gateway.said).toEqual(["announce"]);
    await using unconfigured = await startTestSidecar({ local: service.port, config: "none" });
    await sleep(systemClock, 100);
    expect(unconfigured.sidecar.status().verdict).toBe("unknown");
    expect(unconfigured.said).toEqual([]);
  });

  test("a health path that says no counts as often in a row as the policy says, then the service is taken out", async () => {
    await using service = await startService();
    await using gateway = await startTestSidecar({
      local: service.port,
      config: policyOf({ unhealthyAfter: 3 }),
    });
    await soon(() => gateway.said.includes("announce"));
    service.health = 503;
    const before = service.probes;
    await soon(() => gateway.said.includes("withdraw"));
    expect(service.probes - before).toBeGreaterThanOrEqual(3);
    expect(gateway.sidecar.status()).toMatchObject({ verdict: "unhealthy", reason: "status 503" });
    service.health = 204;
    await soon(() => gateway.said.length === 3);
    expect(gateway.said).toEqual(["announce", "withdraw", "announce"]);
    expect(statusOf(await get(gateway.inbound, "/x"))).toBe(200);
  });

  test("an instance that still answers goes on getting requests until the gateway sends none any more", async () => {
    await using service = await startService();
    await using gateway = await startTestSidecar({
      local: service.port,
      config: policyOf({ unhealthyAfter: 1 }),
      slowWithdrawal: true,
    });
    await soon(() => gateway.said.includes("announce"));
    service.health = 503;
    await soon(() => gateway.said.includes("withdraw"));
    expect(statusOf(await get(gateway.inbound, "/x"))).toBe(200);
    gateway.withdrawn();
    await sleep(systemClock, 0);
    expect(statusOf(await get(gateway.inbound, "/x"))).toBe(503);
    expect(service.requests).toBe(1);
  });

  test("an instance that is gone is out after one refused connection, long before the next look, because a request found out", async () => {
    const service = await startService();
    await using gateway = await startTestSidecar({
      local: service.port,
      config: policyOf({ interval: "30s", unhealthyAfter: 100 }),
    });
    await soon(() => gateway.said.includes("announce"));
    await service[Symbol.asyncDispose]();
    expect(statusOf(await get(gateway.inbound, "/x"))).toBeGreaterThanOrEqual(502);
    await soon(() => gateway.said.includes("withdraw"));
    await using again = await startService(service.port);
    await soon(() => gateway.said.length === 3);
    expect(gateway.said[2]).toBe("announce");
    expect(statusOf(await get(gateway.inbound, "/x"))).toBe(200);
    expect(again.requests).toBe(1);
  });

  test("the first look goes by the health path, and a shorter interval counts at once", async () => {
    await using service = await startService();
    service.health = 503;
    let health: object = { interval: "1h" };
    await using gateway = await startTestSidecar({
      local: service.port,
      config: () => policyOf(health),
    });
    await soon(() => gateway.sidecar.status().verdict === "unhealthy");
    expect(service.probes).toBe(1);
    service.health = 200;
    await soon(() => gateway.said.includes("announce"));
    service.health = 503;
    health = { interval: "100ms", unhealthyAfter: 2 };
    gateway.reconfigure();
    await soon(() => gateway.sidecar.status().verdict === "unhealthy");
  });

  test("when the sidecar leaves, the service is taken out for good", async () => {
    await using service = await startService();
    await using gateway = await startTestSidecar({
      local: service.port,
      config: policyOf({ unhealthyAfter: 1 }),
      slowWithdrawal: true,
    });
    await soon(() => gateway.said.includes("announce"));
    // Nobody answers: it waits no longer than it was told to.
    await gateway.sidecar.leave(50);
    expect(gateway.said).toEqual(["announce", "withdraw"]);
    service.health = 503;
    await soon(() => gateway.sidecar.status().verdict === "unhealthy");
    service.health = 200;
    await soon(() => gateway.sidecar.status().verdict === "healthy");
    expect(gateway.said.filter((word) => word === "announce")).toHaveLength(1);
    expect(statusOf(await get(gateway.inbound, "/x"))).toBe(200);
  });
});
