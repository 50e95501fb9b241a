import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { describe, expect, test } from "vitest";
import {
  answering,
  codeOf,
  get,
  ok,
  soon,
  startRawOrigin,
  statusOf,
} from "../listener/gateway.fixture.ts";
import { handshakeText, switchingText } from "../listener/websocket.fixture.ts";
import { fleetInstance, startTestSidecar } from "./sidecar.fixture.ts";

const services = { users: null, orders: null };

/** A port where nobody listens. */
async function deadPort(): Promise<number> {
  const origin = await startRawOrigin(() => {});
  await origin[Symbol.asyncDispose]();
  return origin.port;
}

describe("the outbound side of a sidecar", () => {
  test("takes the service off the path, strips what only a gateway may say, and believes ids of its own service", async () => {
    await using orders = await startRawOrigin(answering(ok));
    await using gateway = await startTestSidecar({
      local: await deadPort(),
      fleet: [fleetInstance("orders", orders.port)],
      config: { services },
    });
    const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const answer = await get(gateway.outbound, "/orders/v1/list?of=me&x=%2F", [
      "Authorization: Bearer token-of-alice",
      "X-User-ID: root",
      "x_user_roles: admin",
      "X-Auth-Method: jwt",
      "X-Request-ID: my-own-id-1",
      `traceparent: ${trace}`,
      "Accept: text/x",
    ]);
    expect(statusOf(answer)).toBe(200);
    expect(answer).toMatch(/^x-request-id: my-own-id-1\r$/im);
    const lines = orders.received().split("\r\n");
    expect(lines[0]).toBe("GET /v1/list?of=me&x=%2F HTTP/1.1");
    expect(lines.slice(1).toSorted()).toEqual(
      [
        `Host: 127.0.0.1:${orders.port}`,
        "Authorization: Bearer token-of-alice",
        "Accept: text/x",
        "X-Request-ID: my-own-id-1",
        "X-Auth-Method: none",
        "X-Forwarded-For: 127.0.0.1",
        "X-Forwarded-Proto: http",
        "X-Forwarded-Host: gw.test",
        'Forwarded: for=127.0.0.1;proto=http;host="gw.test"',
        `traceparent: ${trace}`,
        "Via: 1.1 tocsin",
        "",
        "",
      ].toSorted(),
    );
  });

  test.each([
    ["/orders", "/"],
    ["/orders/", "/"],
    ["/orders?x=1", "/?x=1"],
    ["/orders/a/b", "/a/b"],
    ["/orders/orders", "/orders"],
    ["/%6Frders/a", "/a"],
    ["/orders/a;b=1/c", "/a;b=1/c"],
  ])("%s is %s at the service", async (target, there) => {
    await using orders = await startRawOrigin(answering(ok));
    await using gateway = await startTestSidecar({
      local: await deadPort(),
      fleet: [fleetInstance("orders", orders.port)],
      config: { services },
    });
    expect(statusOf(await get(gateway.outbound, target))).toBe(200);
    expect(orders.received()).toMatch(`GET ${there} HTTP/1.1\r\n`);
  });

  test.each([
    ["/", 404],
    ["/nobody/x", 404],
    ["/ORDERS/x", 404],
    ["/orders;v=1/x", 400],
    ["//orders/x", 400],
    ["/./orders/x", 400],
    ["/nobody/../orders/x", 400],
    ["/orders%2Fx/y", 400],
    ["/orders%00/x", 400],
    ["/toString/x", 404],
  ])("%s leads nowhere: %i", async (target, status) => {
    await using orders = await startRawOrigin(answering(ok));
    await using gateway = await startTestSidecar({
      local: await deadPort(),
      fleet: [fleetInstance("orders", orders.port)],
      config: { services },
    });
    const answer = await get(gateway.outbound, target);
    expect(statusOf(answer)).toBe(status);
    expect(answer).toMatch(/^content-type: application\/problem\+json/im);
    expect(codeOf(answer)).toBe(status === 404 ? "route-not-found" : "bad-request");
    expect(orders.connections).toEqual([]);
  });

  test("sends nothing to an instance that drains, and tries another where one does not listen", async () => {
    await using draining = await startRawOrigin(answering(ok));
    await using orders = await startRawOrigin(answering(ok));
    await using gateway = await startTestSidecar({
      local: await deadPort(),
      fleet: [
        fleetInstance("orders", await deadPort()),
        fleetInstance("orders", draining.port, { active: false, eligible: false }),
        fleetInstance("orders", orders.port),
      ],
      config: { services: { ...services, orders: { retry: { attempts: 3 } } } },
    });
    for (let count = 0; count < 6; count += 1)
      expect(statusOf(await get(gateway.outbound, "/orders/x"))).toBe(200);
    expect(draining.connections).toEqual([]);
    expect(orders.received().match(/GET \/x/g)).toHaveLength(6);
  });

  test("keeps calls from an instance whose circuit is open, as the policy of the called service says", async () => {
    await using orders = await startRawOrigin(
      answering("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"),
    );
    await using gateway = await startTestSidecar({
      local: await deadPort(),
      fleet: [fleetInstance("orders", orders.port)],
      config: { services: { ...services, orders: { circuit: { failures: 2 } } } },
    });
    const statuses: number[] = [];
    for (let count = 0; count < 3; count += 1)
      statuses.push(statusOf(await get(gateway.outbound, "/orders/x")));
    expect(statuses).toEqual([500, 500, 503]);
    expect(orders.received().match(/GET \/x/g)).toHaveLength(2);
  });

  test("its own service may be called as well, and goes to the fleet's instances and not past them to the one beside it", async () => {
    await using local = await startRawOrigin(answering(ok));
    await using other = await startRawOrigin(answering(ok));
    await using gateway = await startTestSidecar({
      local: local.port,
      fleet: [fleetInstance("users", other.port)],
    });
    expect(statusOf(await get(gateway.outbound, "/users/x"))).toBe(200);
    expect(other.received()).toMatch(/^GET \/x /);
    expect(local.received()).toBe("");
  });

  test("is counted and logged under a route of its own", async () => {
    await using orders = await startRawOrigin(answering(ok));
    await using gateway = await startTestSidecar({
      local: await deadPort(),
      fleet: [fleetInstance("orders", orders.port)],
      config: { services },
    });
    await get(gateway.outbound, "/orders/x");
    const [record] = await soon(() => gateway.records.length > 0 && gateway.records);
    expect(record).toMatchObject({ route: "outbound-orders", service: "orders", status: 200 });
  });

  test("a WebSocket comes through where a route of the called service takes one", async () => {
    const talk = ({ socket }: { socket: Socket }) =>
      void socket.once("data", () => socket.write(switchingText()));
    await using orders = await startRawOrigin(talk);
    const routeOf = (more: object) => [
      { id: "orders", match: { path: "/*" }, service: "orders", auth: "required", ...more },
    ];
    for (const [more, status] of [
      [{ websocket: true }, 101],
      [{}, 502],
    ] as const) {
      await using gateway = await startTestSidecar({
        local: await deadPort(),
        fleet: [fleetInstance("orders", orders.port)],
        config: { services, routes: routeOf(more) },
      });
      const client = connect(gateway.outbound, "127.0.0.1");
      client.write(handshakeText([], "/orders/chat"));
      const [answer] = (await once(client, "data")) as [Buffer];
      client.destroy();
      expect(statusOf(answer.toString())).toBe(status);
    }
    expect(orders.received()).toMatch(/^GET \/chat HTTP\/1\.1\r\n/);
  });

  test("is closed as long as there is no config", async () => {
    await using orders = await startRawOrigin(answering(ok));
    await using gateway = await startTestSidecar({
      local: await deadPort(),
      fleet: [fleetInstance("orders", orders.port)],
      config: "none",
    });
    expect(codeOf(await get(gateway.outbound, "/orders/x"))).toBe("service-unavailable");
    expect(orders.connections).toEqual([]);
  });

  test("what is under way finishes when it drains", async () => {
    await using orders = await startRawOrigin(({ socket }) => {
      socket.once("data", () => setTimeout(() => socket.write(ok), 200));
    });
    await using gateway = await startTestSidecar({
      local: await deadPort(),
      fleet: [fleetInstance("orders", orders.port)],
      config: { services },
    });
    const answer = get(gateway.outbound, "/orders/x");
    await soon(() => orders.received().includes("GET /x"));
    expect(await gateway.sidecar.drain(5_000)).toBe(true);
    expect(statusOf(await answer)).toBe(200);
    await expect(get(gateway.outbound, "/orders/x")).resolves.toBe("");
  });
});

describe("a sidecar as a whole", () => {
  test("says which outbound address is taken", async () => {
    await using taken = await startRawOrigin(() => {});
    const started = startTestSidecar({ local: await deadPort(), outboundPort: taken.port });
    await expect(started).rejects.toThrow(
      `cannot listen on 127.0.0.1:${taken.port}: the port is taken by another process`,
    );
  });

  test("ends once, however often it is told to", async () => {
    await using gateway = await startTestSidecar({ local: await deadPort() });
    await gateway.sidecar.drain(1_000);
    await gateway.sidecar[Symbol.asyncDispose]();
    await gateway.sidecar[Symbol.asyncDispose]();
    expect(await get(gateway.outbound, "/orders/x")).toBe("");
  });
});
