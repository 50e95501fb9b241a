/** `tocsin standalone`: control plane and proxy in one process, so that both are charged. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { silentLog, systemClock } from "@tocsin/shared";
import { createEmbeddedBus, openEmbeddedStore } from "@tocsin/shared/embedded";
import type { Started, Surroundings } from "../contender.ts";
import { configOf } from "./config.ts";
import { contend, startTocsin } from "./gateway.ts";
import { fill } from "./revocations.ts";

/** @param revocations how many are loaded; undefined: the route wants no token */
export async function startStandalone(
  { placement, upstream, directory }: Surroundings,
  revocations: number | undefined,
): Promise<Started> {
  const config = join(directory, "tocsin.yaml");
  writeFileSync(config, configOf(upstream, revocations !== undefined));
  const revoked =
    revocations === undefined
      ? undefined
      : await fillStore(join(directory, "standalone-state", "journal"), revocations);
  await using stack = new AsyncDisposableStack();
  const program = stack.use(
    await startTocsin({
      args: ["standalone", "--config", config],
      core: placement.program,
      directory,
    }),
  );
  const contender = await contend(program, directory, revoked);
  const owned = stack.move();
  return { ...contender, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

async function fillStore(journal: string, revocations: number): Promise<string> {
  await using bus = createEmbeddedBus({ log: silentLog });
  await using store = await openEmbeddedStore(journal, { bus, clock: systemClock });
  return await fill(store.journals.revocations, revocations);
}
