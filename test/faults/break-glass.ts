/** Who may do what nobody should: for what happens when a server is handled by hand, or credentials have leaked. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { silentLog, systemClock } from "@tocsin/shared";
import { connectNats, type NatsBus } from "@tocsin/shared/nats";
import type { NatsServer } from "../harness/nats-server.ts";
import { root } from "../harness/program.ts";

const user = "break-glass";
const password = "break-glass-password";

/** Writes a copy of the shipped `nats.conf` with one more user, who may do everything. @returns its path */
export function breakGlassConfig(directory: string, more = ""): string {
  const shipped = readFileSync(join(root, "nats.conf"), "utf8");
  const config = shipped.replace(
    "users: [",
    `users: [\n      { user: ${user}, password: ${password} }`,
  );
  if (config === shipped) throw new Error("nats.conf has no list of users where it was expected");
  const path = join(directory, "nats.conf");
  writeFileSync(path, `${more}\n${config}`);
  return path;
}

/** Connects as that user, who may also hear every answer. */
export function connectBreakGlass(nats: NatsServer): Promise<NatsBus> {
  return connectNats({
    servers: [nats.urlFor(user, password)],
    role: "operator",
    node: user,
    clock: systemClock,
    log: silentLog,
  });
}

/** @throws Error when JetStream says no */
export async function jetStream(
  bus: NatsBus,
  call: string,
  body: object = {},
): Promise<Record<string, unknown>> {
  const answer = await bus.request(`$JS.API.${call}`, JSON.stringify(body), { timeoutMs: 5_000 });
  const json = JSON.parse(answer.text()) as Record<string, unknown>;
  if (json["error"] !== undefined) throw new Error(`${call}: ${JSON.stringify(json["error"])}`);
  return json;
}
