/** A proxy of several processes, on a real bus: it is one proxy, whatever happens to one of them. */
import { connect } from "node:net";
import { expect, test } from "vitest";
import { everyWorker, isAlive, Parking, workersOf } from "../harness/crew.ts";
import { startGateway, type Gateway } from "../harness/gateway.ts";
import { startOrigin } from "../harness/origin.ts";
import { soon } from "../harness/soon.ts";
import { issuerConfig, token } from "../harness/tokens.ts";

const environment = { TOCSIN_WORKERS: "2" };

const configFor = (url: string) => `version: 1
environment: development
${issuerConfig}
services:
  # Requests are parked there.
  users: { instances: [{ url: "${url}" }], timeouts: { firstByte: 60s } }
routes:
  - { id: users, match: { path: "/api/*" }, service: users, auth: required }
  - { id: open, match: { path: "/open" }, service: users, auth: none }
`;

async function start(proxies = 1) {
  const stack = new AsyncDisposableStack();
  const parking = new Parking();
  const origin = stack.use(await startOrigin(parking.handler));
  const gateway = stack.use(
    await startGateway("cluster", { proxies, environment, config: configFor(origin.url) }),
  );
  const good = await token();
  await soon(async () =>
    expect((await gateway.ask("/api/x", { token: good, proxy: 0 })).status).toBe(200),
  );
  return {
    gateway,
    parking,
    good,
    everywhere: (proxy = 0) =>
      everyWorker(gateway.urls[proxy]!, gateway.probes[proxy]!, parking, good),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

const statuses = (answers: readonly { readonly status: number }[]) => [
  ...new Set(answers.map(({ status }) => status)),
];

/** New connections, one request each, one after another until it is told to stop. */
function hammer(gateway: Gateway) {
  const failures: string[] = [];
  let asked = 0;
  const over = new AbortController();
  const run = async () => {
    while (!over.signal.aborted) {
      asked += 1;
      try {
        const { status } = await gateway.ask("/open", { timeoutMs: 3_000 });
        if (status !== 200) failures.push(String(status));
      } catch (error) {
        failures.push((error as NodeJS.ErrnoException).code ?? String(error));
      }
    }
  };
  const running = Promise.all([run(), run(), run()]);
  return {
    failures,
    get asked() {
      return asked;
    },
    async stop() {
      over.abort();
      await running;
    },
  };
}

test("an order that is acknowledged is in force in every worker of every proxy", async () => {
  await using stage = await start(2);
  const { gateway, good } = stage;
  using first = await stage.everywhere(0);
  using second = await stage.everywhere(1);
  for (let round = 0; round < 20; round += 1) {
    const next = await token({ subject: `mallory-${round}` });
    expect(
      statuses([...(await first.ask("/api/x", next)), ...(await second.ask("/api/x", next))]),
    ).toEqual([200]);
    const answer = await gateway.admin("POST", "/v1/revocations", { token: next });
    expect(answer.json()).toMatchObject({ applied: { expected: 2, count: 2 } });
    const after = await Promise.all([first.ask("/api/x", next), second.ask("/api/x", next)]);
    expect(statuses(after.flat())).toEqual([401]);
  }
  expect(statuses(await first.ask("/api/x", good))).toEqual([200]);
}, 60_000);

test("a frozen worker holds up acknowledgements, is replaced, and the new one lets nobody in who was revoked meanwhile", async () => {
  await using stage = await start();
  const { gateway, good } = stage;
  const [frozen] = await workersOf(gateway.probes[0]!);
  process.kill(frozen!.pid, "SIGSTOP");
  const revoked = await token({ subject: "mallory" });
  const answer = await gateway.admin("POST", "/v1/revocations?wait=500ms", { token: revoked });
  expect(answer.json()).toMatchObject({ applied: { count: 0, missing: [{ proxy: "proxy-1" }] } });
  // The other one serves, and knows.
  expect((await gateway.ask("/api/x", { token: good })).status).toBe(200);
  expect((await gateway.ask("/api/x", { token: revoked })).status).toBe(401);
  await soon(async () => {
    const workers = await workersOf(gateway.probes[0]!);
    expect(workers.map(({ pid }) => pid)).not.toContain(frozen!.pid);
    expect(workers.map(({ phase }) => phase)).toEqual(["serving", "serving"]);
  }, 15_000);
  expect(isAlive(frozen!.pid)).toBe(false);
  using everywhere = await stage.everywhere();
  expect(statuses(await everywhere.ask("/api/x", revoked))).toEqual([401]);
  expect(statuses(await everywhere.ask("/api/x", good))).toEqual([200]);
  const next = await token({ subject: "mallory-2" });
  const later = await gateway.admin("POST", "/v1/revocations", { token: next });
  expect(later.json()).toMatchObject({ applied: { expected: 1, count: 1 } });
  expect(statuses(await everywhere.ask("/api/x", next))).toEqual([401]);
}, 60_000);

test("a worker that is killed is replaced at once: no connection is refused, the proxy stays ready, nothing counted is lost", async () => {
  await using stage = await start();
  const { gateway } = stage;
  const probe = gateway.probes[0]!;
  const counted = async () => {
    const text = await (await fetch(`${probe}/metrics`)).text();
    const lines = [...text.matchAll(/^http_requests_total\{[^}]*\} (\d+)$/gm)];
    return lines.reduce((sum, [, value]) => sum + Number(value), 0);
  };
  const load = hammer(gateway);
  const unready: string[] = [];
  for (let round = 0; round < 3; round += 1) {
    await soon(async () => {
      const workers = await workersOf(probe);
      expect(workers.map(({ phase }) => phase)).toEqual(["serving", "serving"]);
    }, 15_000);
    const [victim] = await workersOf(probe);
    const before = await counted();
    process.kill(victim!.pid, "SIGKILL");
    await soon(async () => {
      const ready = await fetch(`${probe}/readyz?verbose`);
      if (ready.status !== 200) unready.push(await ready.text());
      expect((await workersOf(probe)).map(({ pid }) => pid)).not.toContain(victim!.pid);
    });
    expect(await counted()).toBeGreaterThanOrEqual(before);
  }
  await load.stop();
  expect(unready).toEqual([]);
  // What the dead ones were answering at that moment was cut with them: at most what each of three clients had in flight.
  expect(load.failures.filter((failure) => failure === "ECONNREFUSED")).toEqual([]);
  expect(load.failures.length).toBeLessThanOrEqual(9);
  expect(load.asked).toBeGreaterThan(100);
}, 60_000);

test("a proxy that is killed the moment an order is answered, and starts while the bus is away, has the order in every worker", async () => {
  await using stage = await start();
  const { gateway, good } = stage;
  const revoked: string[] = [];
  for (let round = 0; round < 3; round += 1) {
    // After a restart of the bus the control plane may not count on the proxy for a moment: only what it acknowledged is asked for.
    await soon(async () => {
      const next = await token({ subject: `mallory-${round}` });
      const answer = await gateway.admin("POST", "/v1/revocations?wait=1s", { token: next });
      expect(answer.json()).toMatchObject({ applied: { expected: 1, count: 1 } });
      gateway.node("proxy-1").process.kill("SIGKILL");
      revoked.push(next);
    }, 15_000);
    await gateway.nats!.kill("SIGKILL");
    await gateway.restart("proxy-1");
    await soon(async () => {
      const workers = await workersOf(gateway.probes[0]!);
      expect(workers.map(({ phase }) => phase)).toEqual(["serving", "serving"]);
    }, 15_000);
    {
      using everywhere = await stage.everywhere();
      for (const text of revoked)
        expect(statuses(await everywhere.ask("/api/x", text))).toEqual([401]);
      expect(statuses(await everywhere.ask("/api/x", good))).toEqual([200]);
    }
    await gateway.nats!.restart();
  }
}, 120_000);

test("workers end with the process that has the bus, however that ends", async () => {
  await using stage = await start();
  const { gateway } = stage;
  const workers = await workersOf(gateway.probes[0]!);
  gateway.node("proxy-1").process.kill("SIGKILL");
  await soon(() => expect(workers.filter(({ pid }) => isAlive(pid))).toEqual([]), 1_000);
  // The system may take a moment longer to give up the socket than the process.
  await soon(() => expect(gateway.ask("/open")).rejects.toThrow(/ECONNREFUSED/), 1_000);
}, 60_000);

test("SIGHUP replaces all workers one by one, and no request notices", async () => {
  await using stage = await start();
  const { gateway } = stage;
  const before = (await workersOf(gateway.probes[0]!)).map(({ pid }) => pid);
  const load = hammer(gateway);
  gateway.node("proxy-1").process.kill("SIGHUP");
  await soon(async () => {
    const workers = await workersOf(gateway.probes[0]!);
    expect(workers.filter(({ pid }) => before.includes(pid))).toEqual([]);
    expect(workers.map(({ phase }) => phase)).toEqual(["serving", "serving"]);
  }, 30_000);
  await load.stop();
  expect(load.failures).toEqual([]);
  expect(load.asked).toBeGreaterThan(100);
}, 60_000);

test("a proxy whose port is taken ends with a word about it, and leaves no worker behind", async () => {
  await using stage = await start();
  const { gateway } = stage;
  const program = gateway.node("proxy-1");
  const { host } = new URL(gateway.urls[0]!);
  const { startProgram } = await import("../harness/program.ts");
  await expect(
    startProgram({
      args: ["proxy"],
      environment: {
        ...program.environment,
        TOCSIN_LISTEN: host,
        TOCSIN_PROXY_ID: "proxy-2",
        TOCSIN_STATE_DIR: `${program.environment["TOCSIN_STATE_DIR"]!}-2`,
      },
    }),
  ).rejects.toThrow(/ended with 1 .*cannot listen on .*: the port is taken/s);
}, 60_000);

test("a second signal ends it now, workers too, whatever is in flight", async () => {
  await using stage = await start();
  const { gateway, good } = stage;
  const workers = await workersOf(gateway.probes[0]!);
  const parked = gateway.ask("/api/parked", { token: good });
  const cut = expect(parked).rejects.toThrow(/ECONNRESET|hang up/);
  await soon(async () => {
    const active = (await workersOf(gateway.probes[0]!)).map(({ status }) => status?.active ?? 0);
    expect(Math.max(...active)).toBe(1);
  });
  const program = gateway.node("proxy-1").process;
  program.kill("SIGTERM");
  await soon(async () => expect((await fetch(`${gateway.probes[0]}/readyz`)).status).toBe(503));
  const { hostname, port } = new URL(gateway.urls[0]!);
  await soon(
    () =>
      new Promise<void>((resolve, reject) => {
        const socket = connect(Number(port), hostname, () => reject(new Error("still listening")));
        socket.on("error", () => resolve());
        socket.on("close", () => socket.destroy());
      }),
  );
  program.kill("SIGTERM");
  await soon(() => expect(program.exitCode).toBe(143), 1_000);
  await soon(() => expect(workers.filter(({ pid }) => isAlive(pid))).toEqual([]), 1_000);
  await cut;
}, 60_000);
