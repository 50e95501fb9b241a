/**
 * What the audit costs an order, from the question to the answer of the admin API, and how fast the newest records are read, with the
 * store on disk: embedded, and on a nats-server.
 *
 *   node bench/audit.ts
 */
import { mkdtemp, rm } from "node:fs/promises";
import { Agent, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startControlPlane } from "@tocsin/control-plane";
import { Secret, silentLog, systemClock, systemRandom } from "@tocsin/shared";
import type { Bus } from "@tocsin/shared/bus";
import { createEmbeddedBus, openEmbeddedStore } from "@tocsin/shared/embedded";
import type { Journals, Ledger } from "@tocsin/shared/journal";
import { connectNats, openNatsJournals } from "@tocsin/shared/nats";
import { startNats } from "../test/harness/nats-server.ts";

const orders = 400;
const rounds = 5;
const token = "0123456789abcdef0123456789abcdef";
const common = { clock: systemClock, log: silentLog };

interface Store {
  readonly bus: Bus;
  readonly journals: Journals;
  readonly audit: Ledger;
}

/** One after the other on one connection, in milliseconds. */
async function answers(url: string, path: string, count: number, body?: object): Promise<number[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const times: number[] = [];
  for (let each = 0; each < count; each += 1) {
    const start = performance.now();
    await new Promise<void>((resolve, reject) => {
      const sent = request(
        new URL(path, url),
        {
          agent,
          method: body === undefined ? "GET" : "POST",
          headers: { authorization: `Bearer ${token}` },
        },
        (response) => response.resume().on("end", resolve).on("error", reject),
      );
      sent.on("error", reject);
      sent.end(body === undefined ? "" : JSON.stringify(body));
    });
    times.push(performance.now() - start);
  }
  agent.destroy();
  return times;
}

const at = (times: readonly number[], share: number) =>
  times.toSorted((one, other) => one - other)[Math.floor(times.length * share)]!;

async function measure(name: string, { bus, journals, audit }: Store): Promise<void> {
  const node = (ledger: Ledger | undefined, id: string) =>
    startControlPlane({
      ...common,
      node: id,
      version: "bench",
      bus,
      journals,
      audit: ledger,
      random: systemRandom,
      admin: { host: "127.0.0.1", port: 0, token: new Secret(token) },
      environment: {},
    });
  const times = { with: [] as number[], without: [] as number[] };
  await using kept = await node(audit, "with");
  await using lost = await node(undefined, "without");
  const path = "/v1/invalidations?wait=0";
  for (let round = 0; round <= rounds; round += 1) {
    for (const [which, { adminUrl }] of [
      ["with", kept],
      ["without", lost],
    ] as const) {
      const some = await answers(adminUrl, path, orders, { user: "ada" });
      // The first round warms up.
      if (round > 0) times[which].push(...some);
    }
  }
  const read = await answers(kept.adminUrl, "/v1/audit?limit=100", 50);
  const many = Array.from({ length: 64 }, () => answers(kept.adminUrl, path, 50, { user: "ada" }));
  const start = performance.now();
  await Promise.all(many);
  const seconds = (performance.now() - start) / 1_000;
  const line = (what: string, values: readonly number[]) =>
    console.log(
      `${name.padEnd(10)} ${what.padEnd(28)} median ${at(values, 0.5).toFixed(2).padStart(6)} ms   p99 ${at(values, 0.99).toFixed(2).padStart(6)} ms`,
    );
  line("an order, no audit", times.without);
  line("an order, with its record", times.with);
  line("the newest 100 records", read);
  console.log(
    `${name.padEnd(10)} ${"64 at once, with records".padEnd(28)} ${((64 * 50) / seconds).toFixed(0)} orders/s`,
  );
}

const directory = await mkdtemp(join(tmpdir(), "tocsin-bench-audit-"));
{
  await using bus = createEmbeddedBus();
  await using store = await openEmbeddedStore(directory, { bus, clock: systemClock });
  await measure("embedded", { bus, ...store });
}
await rm(directory, { recursive: true });
{
  await using nats = await startNats();
  await using bus = await connectNats({
    ...common,
    servers: [nats.url],
    node: "bench",
    role: "control-plane",
  });
  await using store = await openNatsJournals({ ...common, bus });
  await measure("nats", { bus, ...store });
}
