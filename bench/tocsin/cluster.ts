/** `tocsin proxy` alone, beside a control plane and NATS on other cores: what one node of a cluster costs. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { silentLog, systemClock } from "@tocsin/shared";
import { connectNats, openNatsJournal } from "@tocsin/shared/nats";
import { journals } from "@tocsin/shared/journal";
import type { Started, Surroundings } from "../contender.ts";
import { freePort, launch } from "../processes.ts";
import { configOf } from "./config.ts";
import { contend, startTocsin } from "./gateway.ts";
import { fill } from "./revocations.ts";

const natsConfig = join(import.meta.dirname, "..", "..", "nats.conf");

/**
 * @param revocations how many are loaded; undefined: the route wants no token
 * @param workers processes that take requests, on whichever cores there are; undefined: one, on the core of the program
 */
export async function startProxyNode(
  { placement, upstream, directory }: Surroundings,
  revocations: number | undefined,
  workers?: number,
): Promise<Started> {
  await using stack = new AsyncDisposableStack();
  const port = await startNats(stack, directory, placement.load);
  const address = (user: string) => `nats://${user}:bench@127.0.0.1:${port}`;
  const revoked =
    revocations === undefined ? undefined : await fillStream(address("control-plane"), revocations);
  const config = join(directory, "tocsin.yaml");
  writeFileSync(config, configOf(upstream, revocations !== undefined));
  stack.use(
    await startTocsin({
      args: ["control-plane", "--config", config],
      core: placement.load,
      directory,
      environment: { TOCSIN_NATS_URL: address("control-plane") },
    }),
  );
  const program = stack.use(
    await startTocsin({
      args: ["proxy"],
      core: workers === undefined ? placement.program : undefined,
      directory,
      environment: {
        TOCSIN_NATS_URL: address("proxy"),
        TOCSIN_WORKERS: String(workers ?? 1),
      },
    }),
  );
  const contender = await contend(program, directory, revoked);
  const owned = stack.move();
  return { ...contender, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** nats-server with the permissions of the repository's nats.conf. */
export async function startNats(
  stack: AsyncDisposableStack,
  directory: string,
  core: number | undefined,
): Promise<number> {
  const port = await freePort();
  const store = join(directory, "nats");
  mkdirSync(store, { recursive: true });
  const passwords = [...readFileSync(natsConfig, "utf8").matchAll(/\$(TOCSIN_NATS_\w+_PASSWORD)/g)];
  stack.use(
    await launch({
      command: [
        "nats-server",
        `--config=${natsConfig}`,
        "--addr=127.0.0.1",
        `--port=${port}`,
        `--store_dir=${store}`,
      ],
      core,
      environment: Object.fromEntries(passwords.map(([, name]) => [name!, "bench"])),
      ready: () => accepts(port),
    }),
  );
  return port;
}

async function accepts(port: number): Promise<boolean> {
  try {
    await using _ = await connectNats({
      servers: [`nats://control-plane:bench@127.0.0.1:${port}`],
      node: "bench",
      role: "control-plane",
      clock: systemClock,
      log: silentLog,
      signal: AbortSignal.timeout(500),
    });
    return true;
  } catch {
    return false;
  }
}

export async function fillStream(server: string, revocations: number): Promise<string> {
  const shared = { clock: systemClock, log: silentLog };
  await using bus = await connectNats({
    ...shared,
    servers: [server],
    node: "bench",
    role: "control-plane",
    signal: AbortSignal.timeout(10_000),
  });
  await using journal = await openNatsJournal(journals.revocations, { ...shared, bus });
  return await fill(journal, revocations);
}
