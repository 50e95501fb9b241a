/** A service without an SDK, a sidecar beside it, an edge proxy, a control plane, all on a NATS server with the rights of nats.conf. */
import { Agent } from "node:http";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ask } from "../harness/client.ts";
import { startGateway, type Gateway } from "../harness/gateway.ts";
import { freePort, startProcess, type Process } from "../harness/index.ts";
import { startOrigin } from "../harness/origin.ts";
import { root, temporaryDirectory, type Program } from "../harness/program.ts";
import { natsConfigWithSidecars, startSidecar } from "../harness/sidecar.ts";
import { soon, timed } from "../harness/soon.ts";
import { issuerConfig, token } from "../harness/tokens.ts";

const config = `version: 1
environment: development
listen: { trustedProxies: ["127.0.0.1"] }
${issuerConfig}
services:
  users:
    health: { path: /health, interval: 200ms, unhealthyAfter: 2 }
    retry: { attempts: 3 }
  orders: { health: { interval: 200ms } }
routes:
  - { id: users, match: { path: "/api/users/*" }, service: users, auth: { mode: required, roles: { any: [user] } } }
  - { id: users-open, match: { path: "/open/*" }, service: users, auth: none }
  - { id: orders, match: { path: "/api/orders/*" }, service: orders, auth: none }
`;

const open = new AsyncDisposableStack();
const directory = open.use(temporaryDirectory()).path;
let gateway: Gateway;

beforeAll(async () => {
  gateway = open.use(
    await startGateway("cluster", {
      config,
      proxies: 1,
      natsConfig: natsConfigWithSidecars(directory, ["users"]),
    }),
  );
}, 30_000);
afterAll(() => open.disposeAsync());

interface Beside extends AsyncDisposable {
  readonly name: string;
  service: Process;
  readonly sidecar: Program;
  /** Public URL of the sidecar. */
  readonly url: string;
  readonly outbound: string;
  /** Starts the service again where it was. */
  revive(): Promise<void>;
}

let started = 0;

/** A service and the sidecar beside it. */
async function startBeside(): Promise<Beside> {
  await using stack = new AsyncDisposableStack();
  const port = await freePort();
  started += 1;
  const name = `users-${started}`;
  const startService = () =>
    startProcess({
      command: process.execPath,
      args: [join(root, "test/harness/plain-service.ts"), name, String(port)],
      ready: (output) => output.includes("listening"),
    });
  const service = await startService();
  const sidecar = stack.use(
    await startSidecar(gateway, {
      service: "users",
      url: `http://127.0.0.1:${port}`,
      directory,
      name: `sidecar-${started}`,
    }),
  );
  const owned = stack.move();
  const beside: Beside = {
    name,
    service,
    sidecar,
    url: sidecar.bound["proxy"]!,
    outbound: sidecar.bound["outbound"]!,
    async revive() {
      beside.service = await startService();
    },
    async [Symbol.asyncDispose]() {
      // Out of the gateway, so that what follows begins without it.
      await sidecar.end("SIGTERM");
      await owned.disposeAsync();
      await beside.service.kill();
    },
  };
  return beside;
}

/** Ports of the registered instances. */
async function instances(service = "users"): Promise<string[]> {
  const view = (await gateway.admin("GET", `/v1/services/${service}`)).json() as {
    instances?: { url: string; verdict?: string }[];
  };
  return (view.instances ?? []).map(({ url }) => new URL(url).port);
}

/** Which services answer through the edge. */
async function answering(): Promise<string[]> {
  const names = new Set<string>();
  for (let count = 0; count < 8; count += 1) {
    const answer = await gateway.ask("/open/who");
    expect(answer.status).toBe(200);
    names.add(String(answer.json()["name"]));
  }
  return [...names].toSorted();
}

interface Load {
  readonly failed: readonly string[];
  answered(): number;
  /** Requests that are not answered yet. */
  inFlight(): number;
  stop(): Promise<void>;
}

/** 50 requests a second, each of which takes 50 ms at the service, over connections that are kept. */
function startLoad(url: string, path: string, method = "GET"): Load {
  const agent = new Agent({ keepAlive: true, maxSockets: 50 });
  const failed: string[] = [];
  const pending = new Set<Promise<void>>();
  let answered = 0;
  const send = async () => {
    try {
      const { status, text } = await ask(url, `${path}?ms=50`, { agent, method });
      if (status === 200) answered += 1;
      else failed.push(`${status} ${text}`);
    } catch (error) {
      failed.push(String(error));
    }
  };
  const timer = setInterval(() => {
    const one: Promise<void> = send().finally(() => pending.delete(one));
    pending.add(one);
  }, 20);
  return {
    failed,
    answered: () => answered,
    inFlight: () => pending.size,
    async stop() {
      clearInterval(timer);
      await Promise.all(pending);
      agent.destroy();
    },
  };
}

const enough = (load: Load, more: number) => {
  const goal = load.answered() + more;
  return soon(() => expect(load.answered()).toBeGreaterThanOrEqual(goal), 10_000);
};

describe("a sidecar", () => {
  test("puts a service that knows nothing of it into the gateway within 2 s of its start, and enforces its routes", async () => {
    await using beside = await startBeside();
    const reached = await timed(() =>
      soon(async () => expect((await gateway.ask("/open/x")).status).toBe(200)),
    );
    expect(reached.ms).toBeLessThan(2_000);

    const alice = await token({ subject: "alice" });
    for (const base of [gateway.urls[0]!, beside.url]) {
      const answer = await ask(base, "/api/users/7?x=1", {
        token: alice,
        headers: { "x-user-id": "root", "x-request-id": "id-from-a-trusted-peer" },
      });
      expect(answer.status).toBe(200);
      const { path, headers } = answer.json() as { path: string; headers: Record<string, string> };
      expect(path).toBe("/api/users/7?x=1");
      expect(headers).toMatchObject({
        "x-user-id": "alice",
        "x-user-roles": "user",
        "x-auth-method": "jwt",
        "x-request-id": "id-from-a-trusted-peer",
        via: base === beside.url ? "1.1 tocsin" : "1.1 tocsin, 1.1 tocsin",
      });
      expect((await ask(base, "/api/users/7")).status).toBe(401);
      const guest = await token({ roles: ["guest"] });
      expect((await ask(base, "/api/users/7", { token: guest })).status).toBe(403);
    }
    expect((await ask(beside.url, "/api/orders/1")).json()).toMatchObject({
      status: 404,
      code: "route-not-found",
    });
    const view = await gateway.admin("GET", "/v1/services/users");
    expect(view.text).toContain(beside.url);
    const { text } = await ask(beside.sidecar.bound["probe"]!, "/status");
    expect(JSON.parse(text)).toMatchObject({
      sidecar: { service: "users", verdict: "healthy", registration: "registered" },
    });
  }, 60_000);

  test("a token that is revoked is refused at the edge and at the sidecar itself", async () => {
    await using beside = await startBeside();
    const mallory = await token({ subject: "mallory" });
    const bases = [gateway.urls[0]!, beside.url];
    for (const base of bases)
      await soon(async () =>
        expect((await ask(base, "/api/users/1", { token: mallory })).status).toBe(200),
      );
    const order = await gateway.admin("POST", "/v1/revocations?wait=5s", {
      kind: "user",
      subject: "mallory",
    });
    expect(order.json()).toMatchObject({ applied: { expected: 2, count: 2, missing: [] } });
    for (const base of bases) {
      const answer = await ask(base, "/api/users/1", { token: mallory });
      expect(answer.json()).toMatchObject({ status: 401, code: "credential-revoked" });
    }
  }, 60_000);

  test("a service that is killed leaves the rotation and loses no more than what it had in hand; back again, it gets requests", async () => {
    await using first = await startBeside();
    await using second = await startBeside();
    await soon(async () => expect(await answering()).toEqual([first.name, second.name]));
    const load = startLoad(gateway.urls[0]!, "/open/load");
    await enough(load, 50);
    const inFlight = load.inFlight();
    await first.service.kill("SIGKILL");
    await soon(async () => expect(await instances()).toEqual([new URL(second.url).port]), 2_000);
    await enough(load, 50);
    expect(load.failed.length).toBeLessThanOrEqual(inFlight);
    expect(await answering()).toEqual([second.name]);

    const before = load.failed.length;
    await first.revive();
    await soon(async () => expect(await answering()).toEqual([first.name, second.name]), 3_000);
    await enough(load, 50);
    await load.stop();
    expect(load.failed.slice(before)).toEqual([]);
  }, 60_000);

  test("a service that says on its health path that it is about to go loses no request, not even of those that nobody may repeat", async () => {
    await using first = await startBeside();
    await using second = await startBeside();
    await soon(async () => expect(await answering()).toEqual([first.name, second.name]));
    const load = startLoad(gateway.urls[0]!, "/open/load", "POST");
    await enough(load, 50);
    await first.service.kill("SIGTERM");
    expect(await instances()).toEqual([new URL(second.url).port]);
    await enough(load, 50);
    await load.stop();
    expect(load.failed).toEqual([]);
  }, 60_000);

  test("a sidecar that gets SIGTERM under 50 requests a second loses none, and ends with 0", async () => {
    await using first = await startBeside();
    await using second = await startBeside();
    await soon(async () => expect(await answering()).toEqual([first.name, second.name]));
    const load = startLoad(gateway.urls[0]!, "/open/load");
    await enough(load, 50);
    expect(await first.sidecar.end("SIGTERM")).toBe(0);
    expect(await instances()).toEqual([new URL(second.url).port]);
    await enough(load, 50);
    await load.stop();
    expect(load.failed).toEqual([]);
  }, 60_000);

  test("an instance that somebody removes by hand is registered again by its sidecar", async () => {
    await using beside = await startBeside();
    await soon(async () => expect(await answering()).toEqual([beside.name]));
    const view = (await gateway.admin("GET", "/v1/services/users")).json() as {
      instances: { instance: string }[];
    };
    const path = `/v1/services/users/instances/${view.instances[0]!.instance}`;
    expect((await gateway.admin("DELETE", path)).status).toBe(200);
    expect((await gateway.ask("/open/x")).status).toBe(503);
    // The lease is renewed every 3 s, and by that the sidecar learns that it has none.
    await soon(async () => expect((await gateway.ask("/open/x")).status).toBe(200), 6_000);
  }, 60_000);

  test("its service calls others through it, and loses nothing when an instance of those drains", async () => {
    await using beside = await startBeside();
    await using one = await startOrigin();
    await using two = await startOrigin();
    for (const [name, origin] of Object.entries({ one, two })) {
      const registered = await gateway.admin("PUT", `/v1/services/orders/instances/${name}`, {
        url: `http://127.0.0.1:${(origin.server.address() as { port: number }).port}`,
      });
      expect(registered.status).toBe(200);
    }
    await soon(async () =>
      expect((await ask(beside.outbound, "/orders/api/orders/1")).status).toBe(200),
    );
    const load = startLoad(beside.outbound, "/orders/load");
    await enough(load, 50);
    expect((await gateway.admin("DELETE", "/v1/services/orders/instances/one")).status).toBe(200);
    await one[Symbol.asyncDispose]();
    await enough(load, 50);
    await load.stop();
    expect(load.failed).toEqual([]);
    expect((await ask(beside.outbound, "/nobody/x")).json()).toMatchObject({
      code: "route-not-found",
    });
    const metrics = await ask(beside.sidecar.bound["probe"]!, "/metrics");
    expect(metrics.text).toMatch(/http_requests_total\{[^}]*route="outbound-orders"[^}]*\} \d+/);
  }, 60_000);

  test("goes on without the control plane, and without the bus", async () => {
    await using beside = await startBeside();
    const alice = await token();
    const bases = [gateway.urls[0]!, beside.url];
    const served = async () => {
      for (const base of bases)
        expect((await ask(base, "/api/users/1", { token: alice })).status).toBe(200);
    };
    await soon(served);
    gateway.controlPlane().freeze();
    await served();
    gateway.nats!.freeze();
    await served();
    // What the probe of the sidecar finds counts, whoever can be told.
    await beside.service.kill("SIGKILL");
    await soon(async () =>
      expect((await ask(beside.url, "/open/x")).json()).toMatchObject({
        code: "service-unavailable",
      }),
    );
    await beside.revive();
    await soon(async () => expect((await ask(beside.url, "/open/x")).status).toBe(200));
    gateway.nats!.thaw();
    gateway.controlPlane().thaw();
    await soon(served, 15_000);
  }, 60_000);

  test("starts without the bus with what is on its disk, and registers when the bus is there", async () => {
    await using beside = await startBeside();
    await soon(async () => expect(await answering()).toEqual([beside.name]));
    await gateway.nats!.kill();
    await beside.sidecar.end("SIGKILL");
    await using again = await beside.sidecar.again();
    const direct = () => ask(again.bound["proxy"]!, "/open/x");
    await soon(async () => expect((await direct()).status).toBe(200), 10_000);
    const { text } = await ask(again.bound["probe"]!, "/readyz?verbose");
    expect(text).toMatch(/users healthy, (?:registering|deregistered|unreachable)/);
    await gateway.nats!.restart();
    await soon(async () => expect((await gateway.ask("/open/x")).status).toBe(200), 15_000);
    await soon(async () =>
      expect((await ask(again.bound["probe"]!, "/readyz?verbose")).text).toContain(
        "users healthy, registered",
      ),
    );
  }, 60_000);
});
