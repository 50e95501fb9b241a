/**
 * Many proxies without their HTTP side, in one process: each with a connection of its own, three replicas, heartbeats and
 * acknowledgements, by the code of the proxy.
 *
 *     node bench/propagation/replicas.ts SERVER FIRST COUNT
 *
 * Prints `ready` when all have a snapshot of everything.
 */
import { silentLog, systemClock, systemRandom } from "@tocsin/shared";
import { connectNats } from "@tocsin/shared/nats";
import { startFleet } from "../../proxy/src/state/fleet.ts";

const [server = "", first = "0", count = "1"] = process.argv.slice(2);
const common = { clock: systemClock, log: silentLog };
/** Connections that are opened at the same time. */
const atOnce = 25;

await using stack = new AsyncDisposableStack();

async function startOne(index: number): Promise<void> {
  const node = `proxy-${index}`;
  const bus = stack.use(await connectNats({ ...common, servers: [server], node, role: "proxy" }));
  const fleet = stack.use(
    await startFleet({ ...common, random: systemRandom, node, boot: node, version: "bench", bus }),
  );
  await new Promise<void>((resolve) => {
    if (fleet.ready().ok) resolve();
    else fleet.onReady(resolve);
  });
}

const end = Number(first) + Number(count);
for (let at = Number(first); at < end; at += atOnce)
  await Promise.all(
    Array.from({ length: Math.min(atOnce, end - at) }, (_, offset) => startOne(at + offset)),
  );
process.stdout.write("ready\n");
await new Promise<void>((resolve) => void process.once("SIGTERM", () => resolve()));
process.exit(0);
