/**
 * `npm run bench:propagation`: how fast an order is in force on every proxy, and what following costs.
 *
 *     node bench/propagation/main.ts [--replicas 1,10,100,1000] [--orders 200] [--revocations 1000000] [--rate 1000]
 *                                    [--seconds 10] [--json] [--keep NAME]
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { machine, versions } from "../machine.ts";
import { launch } from "../processes.ts";
import { fillStream, startNats } from "../tocsin/cluster.ts";
import { startTocsin } from "../tocsin/gateway.ts";
import { adminToken, call, giveOrders, percentile, type OrderTimes } from "./orders.ts";
import { processorMs, residentMiB } from "./processor.ts";

const { values } = parseArgs({
  options: {
    replicas: { type: "string", default: "1,10,100,1000" },
    orders: { type: "string", default: "200" },
    revocations: { type: "string", default: "1000000" },
    rate: { type: "string", default: "1000" },
    seconds: { type: "string", default: "10" },
    json: { type: "boolean", default: false },
    keep: { type: "string" },
  },
});
const counts = values.replicas.split(",").map(Number);
const orders = Number(values.orders);
const revocations = Number(values.revocations);
const rate = Number(values.rate);
const seconds = Number(values.seconds);
for (const number of [...counts, orders, revocations, rate, seconds]) {
  if (Number.isSafeInteger(number) && number >= 0) continue;
  process.stderr.write("Every number is a whole one: --replicas 1,10,100 --orders 200\n");
  process.exit(64);
}

/** Proxies in one process: more would wait for each other's turn of the event loop. */
const perWorker = 250;
const warmUp = 20;
/** How long a control plane is watched while nothing is ordered, in milliseconds. */
const idleMs = 6_000;
const say = (line: string) => process.stderr.write(`${line}\n`);
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const replicas = join(import.meta.dirname, "replicas.ts");
const round = (value: number, digits = 1) => Number(value.toFixed(digits));

interface Row {
  readonly what: string;
  readonly proxies: number;
  readonly durableP50: number;
  readonly appliedP50: number;
  readonly appliedP99: number;
  readonly appliedMax: number;
  /** Processor time of the control plane while nothing is ordered, in percent of a core. */
  readonly controlPlanePercent?: number;
  readonly load: number;
}

function rowOf(what: string, proxies: number, { durable, applied }: OrderTimes): Row {
  return {
    what,
    proxies,
    durableP50: round(percentile(durable, 0.5), 2),
    appliedP50: round(percentile(applied, 0.5), 2),
    appliedP99: round(percentile(applied, 0.99), 2),
    appliedMax: round(Math.max(...applied), 2),
    load: round(loadavg()[0]!, 2),
  };
}

const directory = mkdtempSync(join(tmpdir(), "tocsin-propagation-"));
const rows: Row[] = [];
const figures: Record<string, unknown> = {};

async function cluster<T>(
  work: (parts: {
    readonly admin: string;
    readonly controlPlane: number;
    readonly address: (user: string) => string;
    readonly stack: AsyncDisposableStack;
    readonly directory: string;
  }) => Promise<T>,
  filled = 0,
): Promise<T> {
  await using stack = new AsyncDisposableStack();
  const place = mkdtempSync(join(directory, "cluster-"));
  const port = await startNats(stack, place, undefined);
  const address = (user: string) => `nats://${user}:bench@127.0.0.1:${port}`;
  if (filled > 0) {
    say(`writing ${filled} revocations …`);
    await fillStream(address("control-plane"), filled);
  }
  const config = join(place, "tocsin.yaml");
  writeFileSync(config, "version: 1\n");
  const startedAt = performance.now();
  const program = stack.use(
    await startTocsin({
      args: ["control-plane", "--config", config],
      core: undefined,
      directory: place,
      environment: {
        TOCSIN_NATS_URL: address("control-plane"),
        TOCSIN_ADMIN_TOKEN: adminToken,
      },
    }),
  );
  if (filled > 0) figures["controlPlaneStartMs"] = Math.round(performance.now() - startedAt);
  return await work({
    admin: program.bound["admin"]!,
    controlPlane: program.pid,
    address,
    stack,
    directory: place,
  });
}

async function live(admin: string, proxies: number): Promise<void> {
  const until = performance.now() + 60_000;
  for (;;) {
    const { proxies: heard } = JSON.parse(await call(admin, "GET", "/v1/proxies")) as {
      proxies: { live: boolean }[];
    };
    const found = heard.filter((proxy) => proxy.live).length;
    if (found === proxies) return;
    if (performance.now() > until) throw new Error(`${found} of ${proxies} proxies are live`);
    await pause(100);
  }
}

async function measureFanOut(): Promise<void> {
  await cluster(async ({ admin, address, stack, controlPlane }) => {
    let running = 0;
    for (const count of counts) {
      say(`${count} proxies …`);
      while (running < count) {
        const more = Math.min(perWorker, count - running);
        stack.use(
          await launch({
            command: [process.execPath, replicas, address("proxy"), String(running), String(more)],
            core: undefined,
          }),
        );
        running += more;
      }
      await live(admin, count);
      await giveOrders(admin, warmUp, count);
      const row = rowOf("cluster", count, await giveOrders(admin, orders, count));
      const before = processorMs(controlPlane);
      await pause(idleMs);
      const controlPlanePercent = round(((processorMs(controlPlane) - before) / idleMs) * 100, 1);
      rows.push({ ...row, controlPlanePercent });
    }
  });
}

async function measureStandalone(): Promise<void> {
  say("standalone …");
  const place = mkdtempSync(join(directory, "standalone-"));
  const config = join(place, "tocsin.yaml");
  writeFileSync(config, "version: 1\n");
  await using program = await startTocsin({
    args: ["standalone", "--config", config],
    core: undefined,
    directory: place,
    environment: { TOCSIN_ADMIN_TOKEN: adminToken },
  });
  const admin = program.bound["admin"]!;
  await live(admin, 1);
  await giveOrders(admin, warmUp, 1);
  rows.push(rowOf("standalone", 1, await giveOrders(admin, orders, 1)));
}

/** Processor time of a real proxy while entries pass, against the same proxy when none do. */
async function measureFollowing(): Promise<void> {
  if (rate === 0) return;
  say(`a proxy while ${rate} entries per second pass …`);
  await cluster(async ({ admin, address, directory: place, stack }) => {
    const proxy = stack.use(
      await startTocsin({
        args: ["proxy"],
        core: undefined,
        directory: place,
        environment: { TOCSIN_NATS_URL: address("proxy"), TOCSIN_PROXY_ID: "proxy-1" },
      }),
    );
    await live(admin, 1);
    await pause(3_000);
    const share = async (during: () => Promise<void>) => {
      const before = processorMs(proxy.pid);
      const begunAt = performance.now();
      await during();
      const tookMs = performance.now() - begunAt;
      return { percent: ((processorMs(proxy.pid) - before) / tookMs) * 100, tookMs };
    };
    const idle = await share(async () => void (await pause(seconds * 1_000)));
    let sent = 0;
    const busy = await share(async () => {
      const begunAt = performance.now();
      const open = new Set<Promise<unknown>>();
      while (sent < rate * seconds) {
        const due = Math.floor(((performance.now() - begunAt) / 1_000) * rate);
        for (; sent < due && open.size < 256; sent++) {
          const order = call(admin, "POST", "/v1/revocations?wait=0", {
            kind: "token",
            issuer: "https://issuer.example",
            jti: `passing-${sent}`,
          }).finally(() => open.delete(order));
          open.add(order);
        }
        await pause(2);
      }
      await Promise.all(open);
    });
    figures["following"] = {
      perSecond: Math.round((sent / busy.tookMs) * 1_000),
      idlePercentOfACore: round(idle.percent, 2),
      busyPercentOfACore: round(busy.percent, 2),
      microsecondsPerEntry: round(
        ((busy.percent - idle.percent) / 100 / (sent / busy.tookMs)) * 1_000,
        1,
      ),
    };
  });
}

/** A proxy that starts with nothing, in a fleet that has revoked many tokens. */
async function measureBootstrap(filled: number): Promise<void> {
  await cluster(async ({ controlPlane, address, directory: place, stack }) => {
    say(`a proxy starts where ${filled} tokens are revoked …`);
    const begunAt = performance.now();
    const proxy = stack.use(
      await startTocsin({
        args: ["proxy"],
        core: undefined,
        directory: place,
        environment: { TOCSIN_NATS_URL: address("proxy"), TOCSIN_PROXY_ID: "proxy-1" },
      }),
    );
    const boundMs = performance.now() - begunAt;
    const probe = proxy.bound["probe"]!;
    let readyMs: number | undefined;
    while (readyMs === undefined) {
      const response = await fetch(`${probe}/readyz`).catch(() => undefined);
      if (response?.status === 200) readyMs = performance.now() - begunAt;
      else await pause(5);
    }
    figures[`bootstrap of ${filled}`] = {
      processUpMs: Math.round(boundMs),
      readyMs: Math.round(readyMs),
      proxyMiB: Math.round(residentMiB(proxy.pid)),
      controlPlaneMiB: Math.round(residentMiB(controlPlane)),
    };
  }, filled);
}

try {
  await measureStandalone();
  await measureFanOut();
  await measureFollowing();
  await measureBootstrap(0);
  if (revocations > 0) await measureBootstrap(revocations);
} finally {
  rmSync(directory, { recursive: true, force: true });
}
const result = {
  date: new Date().toISOString().slice(0, 10),
  machine: machine(),
  versions: versions(),
  orders,
  rows,
  figures,
};
if (values.keep !== undefined) {
  const results = join(import.meta.dirname, "..", "results");
  mkdirSync(results, { recursive: true });
  const file = join(results, `${result.date}-${values.keep}.json`);
  writeFileSync(file, `${JSON.stringify(result, undefined, 2)}\n`);
  say(`kept in ${file}`);
}
if (values.json) process.stdout.write(`${JSON.stringify(result)}\n`);
else {
  console.table(rows);
  console.table(figures);
}
// What was started is gone; connections that are kept alive would keep this process.
process.exit(0);
