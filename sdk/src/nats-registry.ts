import type { Clock, Log } from "@tocsin/shared";
import type { NatsPlace } from "@tocsin/shared/bus";
import { connectNats } from "@tocsin/shared/bus/nats";
import { busRegistry } from "./bus-registry.ts";
import type { RegistrationLog } from "./options.ts";
import type { Registry } from "./registry.ts";

export interface NatsRegistryOptions extends NatsPlace {
  readonly service: string;
  readonly instance: string;
  readonly clock: Clock;
  readonly log: RegistrationLog;
  /** Ends the wait for the first connection. */
  readonly signal: AbortSignal;
  /** Hears what keeps the connection from being made. */
  readonly onTrouble: (reason: string) => void;
}

/**
 * Leases over a bus connection of their own.
 *
 * @throws the signal's reason when it aborts before there is a connection
 */
export async function connectNatsRegistry(options: NatsRegistryOptions): Promise<Registry> {
  const { service, instance, clock, signal } = options;
  const { servers, credentials, authorities, certificate, key } = options;
  const place = placeOf(servers.join());
  const bus = await connectNats({
    servers,
    credentials,
    authorities,
    certificate,
    key,
    // The name decides the inbox, and a service's NATS user may hear its own alone.
    node: service,
    role: "service",
    clock,
    log: busLog(options.log, (reason) => options.onTrouble(`no connection to ${place}: ${reason}`)),
    signal,
  });

  const registry = busRegistry(bus, { service, instance, place });
  return {
    ...registry,
    async [Symbol.asyncDispose]() {
      await registry[Symbol.asyncDispose]();
      await bus[Symbol.asyncDispose]();
    },
  };
}

/** The bus's own lines, through the service's log. */
function busLog(log: RegistrationLog, onTrouble: (reason: string) => void): Log {
  const lines: Log = {
    debug() {},
    info: (fields, message) => log.info(fields, message),
    warn(fields, message) {
      if ("error" in fields) onTrouble(String(fields.error));
      log.warn(fields, message);
    },
    error: (fields, message) => log.error(fields, message),
    child: () => lines,
  };
  return lines;
}

/** The servers without credentials, for messages. */
export function placeOf(servers: string): string {
  return servers
    .split(",")
    .map((server) => server.trim().replace(/\/\/[^@/]*@/, "//"))
    .join(", ");
}
