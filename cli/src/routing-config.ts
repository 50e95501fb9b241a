import { Config, ServiceView } from "@tocsin/shared/contract";
import { adminClient } from "./admin-client.ts";
import { understood, understoodList } from "./answer.ts";
import { printProblems, readConfigFile } from "./config-file.ts";
import { CommandFailed, type Terminal } from "./terminal.ts";

/** What routes are chosen by. */
export interface RoutingConfig {
  readonly config: Config;
  /** Services that instances are known of: they have automatic routes, when the config has such. */
  readonly services: readonly string[];
}

/** Reads it from a file, or asks the control plane for what is applied. @throws CommandFailed when there is none that is valid */
export async function routingConfig(
  terminal: Terminal,
  file: string | undefined,
): Promise<RoutingConfig> {
  return file === undefined ? applied(terminal) : written(terminal, file);
}

async function written(terminal: Terminal, file: string): Promise<RoutingConfig> {
  const { name, source } = await readConfigFile(terminal, file);
  const { readConfig } = await import("@tocsin/control-plane/config");
  const read = readConfig(source, terminal.environment);
  if (!read.ok) {
    printProblems({ ...terminal, stdout: terminal.stderr }, name, read.errors, "not valid");
    throw new CommandFailed("No route can be looked at in a config that is not valid.");
  }
  const { config } = read;
  const services = Object.entries(config.services).flatMap(([service, { instances }]) =>
    instances.length === 0 ? [] : [service],
  );
  return { config, services };
}

async function applied(terminal: Terminal): Promise<RoutingConfig> {
  const client = adminClient(terminal);
  const [{ document }, listed] = await Promise.all([
    client.callJson({ path: "/v1/config" }),
    client.callJson({ path: "/v1/services" }),
  ]);
  const { config: found } = document as { config?: unknown };
  // Secrets are left out of what the control plane shows, and keys decide nothing here.
  const { identity: _, ...rest } = (found ?? { version: 1 }) as Readonly<Record<string, unknown>>;
  const views = understoodList(ServiceView.array(), "services", listed.document);
  return {
    config: understood(Config, rest),
    services: views.flatMap(({ service, instances }) => (instances.length === 0 ? [] : [service])),
  };
}
