/**
 * What reads the whole journal of revocations: lifting one, and the leader's look for what has to be written again. How long each takes,
 * and how orders fare meanwhile, on NATS and embedded.
 *
 *   node bench/lifting.ts [tokens] [of them in entries of one] [what holds for long]
 *
 * 1,000,000, 200,000 and 2,000 by default; the other tokens are in entries of 500. A control plane runs in this process, orders come over
 * HTTP from a thread of their own, one every 25 ms, and nats-server is another process.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { startControlPlane } from "@tocsin/control-plane";
import { Secret, silentLog, systemClock, systemRandom, type Clock } from "@tocsin/shared";
import type { Bus } from "@tocsin/shared/bus";
import { protocolVersion, type Revocation, type RevocationEntry } from "@tocsin/shared/contract";
import { createEmbeddedBus, openEmbeddedStore } from "@tocsin/shared/embedded";
import type { Journals } from "@tocsin/shared/journal";
import { connectNats, openNatsJournals } from "@tocsin/shared/nats";
import { startNats } from "./tocsin/cluster.ts";

const tokens = Number(process.argv[2] ?? 1_000_000);
const singles = Number(process.argv[3] ?? 200_000);
const lasting = Number(process.argv[4] ?? 2_000);
const perEntry = 500;
const orderEveryMs = 25;
const renewalEveryMs = 6 * 3_600_000;
const issuer = "https://issuer.example/realms/main";
const token = "a-token-of-the-benchmark-that-is-long-enough";

/** When orders were sent, and how long each took until its answer, in milliseconds. */
type Timed = readonly [sentAt: number, tookMs: number];

if (!isMainThread) void orderOnAndOn(workerData as string);
else await main();

async function main(): Promise<void> {
  const rows = [...(await onNats()), ...(await embedded())];
  console.table(rows);
}

async function onNats() {
  await using stack = new AsyncDisposableStack();
  const directory = temporaryDirectory(stack);
  const port = await startNats(stack, directory, undefined);
  const shared = { clock: systemClock, log: silentLog };
  const bus = stack.use(
    await connectNats({
      ...shared,
      servers: [`nats://control-plane:bench@127.0.0.1:${port}`],
      node: "bench",
      role: "control-plane",
      signal: AbortSignal.timeout(10_000),
    }),
  );
  const opened = await openNatsJournals({ ...shared, bus });
  stack.use(opened);
  return await measure("NATS", bus, opened.journals);
}

async function embedded() {
  await using stack = new AsyncDisposableStack();
  const bus = stack.use(createEmbeddedBus({ log: silentLog }));
  const store = stack.use(
    await openEmbeddedStore(temporaryDirectory(stack), { bus, clock: systemClock, log: silentLog }),
  );
  return await measure("embedded", bus, store.journals);
}

async function measure(store: string, bus: Bus, journals: Journals) {
  await using stack = new AsyncDisposableStack();
  await fill(journals);
  let renew: (() => void) | undefined;
  // The moment of the renewal is ours to choose; all else goes by the time that there is.
  const clock: Clock = {
    ...systemClock,
    every(everyMs, run) {
      if (everyMs !== renewalEveryMs) return systemClock.every(everyMs, run);
      renew = run;
      return () => {};
    },
  };
  const { promise: renewed, resolve: isRenewed } = Promise.withResolvers<void>();
  let written = 0;
  const log = {
    ...silentLog,
    child: () => log,
    info(fields: { count?: number }, message: string) {
      if (!message.startsWith("revocations written again")) return;
      written = fields.count!;
      isRenewed();
    },
    warn: (fields: object, message: string) => console.error(message, fields),
  };
  const { adminUrl } = stack.use(
    await startControlPlane({
      node: "bench",
      version: "0.0.0",
      bus,
      journals,
      clock,
      random: systemRandom,
      log,
      admin: { host: "127.0.0.1", port: 0, token: new Secret(token) },
      environment: {},
    }),
  );
  const orders: Timed[] = [];
  const worker = new Worker(new URL(import.meta.url), { workerData: adminUrl });
  worker.on("message", (timed: Timed) => void orders.push(timed));
  stack.defer(async () => void (await worker.terminate()));
  const lift = async (id: string) => {
    const answer = await call(adminUrl, "DELETE", `/v1/revocations/${id}`);
    if (answer.status !== 200) throw new Error(await answer.text());
  };
  // It leads after a moment.
  await sleep(3_000);
  const rows = [];
  for (const [what, run] of [
    ["nothing", () => sleep(5_000)],
    ["lifting a token", () => lift("token-9")],
    ["lifting a user", () => lift("user")],
    [
      "writing again",
      async () => {
        renew!();
        await renewed;
      },
    ],
  ] as const) {
    rows.push({ store, what, ...(await watched(run, orders)) });
    console.error(rows.at(-1));
    await sleep(500);
  }
  if (written !== lasting) throw new Error(`${written} were written again`);
  return rows;
}

async function watched(run: () => Promise<unknown>, orders: readonly Timed[]) {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  const cpu = process.cpuUsage();
  let mostBytes = 0;
  const watching = setInterval(
    () => (mostBytes = Math.max(mostBytes, process.memoryUsage.rss())),
    50,
  );
  const beganBytes = process.memoryUsage.rss();
  delay.enable();
  const from = performance.timeOrigin + performance.now();
  await run();
  const until = performance.timeOrigin + performance.now();
  delay.disable();
  clearInterval(watching);
  const { user, system } = process.cpuUsage(cpu);
  // What was sent meanwhile may be answered a little later.
  await sleep(500);
  const times = orders
    .filter(([sentAt, tookMs]) => sentAt + tookMs >= from && sentAt <= until)
    .map(([, tookMs]) => tookMs)
    .toSorted((one, other) => one - other);
  const at = (share: number) => times[Math.floor((times.length - 1) * share)]?.toFixed(1) ?? "none";
  return {
    "took, s": ((until - from) / 1_000).toFixed(2),
    "CPU, s": ((user + system) / 1e6).toFixed(2),
    "memory more, MB": Math.max(0, (mostBytes - beganBytes) / 1e6).toFixed(0),
    "longest pause, ms": (delay.max / 1e6).toFixed(0),
    orders: times.length,
    "p50, ms": at(0.5),
    "p99, ms": at(0.99),
    "slowest, ms": at(1),
  };
}

/** Tokens of half a day, and before and behind them what holds until it is lifted and was ordered twenty days ago. */
async function fill({ revocations }: Journals): Promise<void> {
  const at = Date.now() - 20 * 86_400_000;
  const soon = Math.floor(Date.now() / 1_000) + 43_200;
  const tokenOf = (index: number): Revocation => ({
    v: protocolVersion,
    id: `token-${index}`,
    kind: "token",
    issuer,
    jti: `3f2b8c1e-0000-4000-8000-${String(index).padStart(12, "0")}`,
    expiresAt: soon,
    at,
  });
  let waiting: Promise<unknown>[] = [];
  const append = async (entry: RevocationEntry) => {
    waiting.push(revocations.append({ key: entry.kind, body: JSON.stringify(entry) }));
    if (waiting.length < 500) return;
    await Promise.all(waiting);
    waiting = [];
  };
  const common = { v: protocolVersion, at } as const;
  await append({
    ...common,
    id: "user",
    kind: "user",
    subject: "ada",
    issuedBefore: 1,
    expiresAt: soon,
  });
  for (let index = 0; index < lasting; index += 1)
    await append({
      ...common,
      id: `client-${index}`,
      kind: "client",
      clientId: `client-${index}`,
      expiresAt: 1e11,
    });
  for (let index = 0; index < singles; index += 1) await append(tokenOf(index));
  for (let index = singles; index < tokens; index += perEntry) {
    const items = Array.from({ length: Math.min(perEntry, tokens - index) }, (_, of) =>
      tokenOf(index + of),
    );
    await append({ v: protocolVersion, kind: "batch", items });
  }
  await Promise.all(waiting);
}

/** In a thread of its own: an order every so often, whatever became of the ones before. */
async function orderOnAndOn(adminUrl: string): Promise<void> {
  const tell: (timed: Timed) => void = parentPort!.postMessage.bind(parentPort!);
  for (let index = 0; ; index += 1) {
    const sentAt = performance.timeOrigin + performance.now();
    void (async () => {
      const body = {
        kind: "token",
        issuer,
        jti: `ordered-${index}`,
        expiresAt: Math.floor(Date.now() / 1_000) + 3_600,
      };
      const answer = await call(adminUrl, "POST", "/v1/revocations?wait=0", body);
      await answer.arrayBuffer();
      if (!answer.ok) throw new Error(`an order was answered with ${answer.status}`);
      tell([sentAt, performance.timeOrigin + performance.now() - sentAt]);
    })();
    await sleep(orderEveryMs);
  }
}

function call(adminUrl: string, method: string, path: string, body?: object): Promise<Response> {
  return fetch(new URL(path, adminUrl), {
    method,
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    ...(body && { body: JSON.stringify(body) }),
  });
}

function temporaryDirectory(stack: AsyncDisposableStack): string {
  const directory = mkdtempSync(join(tmpdir(), "tocsin-bench-"));
  stack.defer(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}
