import { messageOf, type Clock, type Log } from "@tocsin/shared";
import { BusUnavailable, subjects, type LeaseVerb, type NatsPlace } from "@tocsin/shared/bus";
import { connectNats } from "@tocsin/shared/bus/nats";
import type { LeaseHolder } from "@tocsin/shared/contract";
import { departureOf, failureOf, grantOf } from "./answers.ts";
import { RegistrationRefused, RegistrationUnavailable } from "./errors.ts";
import type { RegistrationLog } from "./options.ts";
import { patience, type Registry } from "./registry.ts";

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
 * Leases over the bus. The control plane's answers are those of the admin API, as `LeaseReply`.
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

  async function call(verb: LeaseVerb, body: object): Promise<unknown> {
    const subject = subjects.lease(verb, service, instance);
    const timeoutMs = patience[verb];
    const message = await bus
      .request(subject, JSON.stringify(body), { timeoutMs })
      .catch((error: unknown) => {
        if (error instanceof BusUnavailable && error.kind === "refused") {
          throw new RegistrationRefused({
            code: "forbidden",
            status: 403,
            detail: `the NATS user of this process may not publish ${subject}`,
          });
        }
        throw new RegistrationUnavailable(
          `no answer from a control plane on the bus at ${place}: ${messageOf(error)}`,
          { cause: error },
        );
      });
    const reply = replyOf(message.text());
    if (reply.ok === true) return reply.body;
    throw failureOf(place, reply.problem?.status ?? 500, reply.problem);
  }

  return {
    place,
    async register(registration) {
      return grantOf(await call("register", registration));
    },
    async renew(boot) {
      const holder: LeaseHolder = { boot };
      return grantOf(await call("renew", holder));
    },
    async deregister(boot) {
      const holder: LeaseHolder = { boot };
      return departureOf(await call("deregister", holder));
    },
    onReturn(listener) {
      bus.onState((state) => {
        if (state === "connected") listener();
      });
    },
    [Symbol.asyncDispose]: () => bus[Symbol.asyncDispose](),
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

interface Reply {
  readonly ok?: boolean;
  readonly body?: unknown;
  readonly problem?: { readonly status?: number };
}

function replyOf(text: string): Reply {
  try {
    return (JSON.parse(text) as Reply | null) ?? {};
  } catch {
    return {};
  }
}

/** The servers without credentials, for messages. */
export function placeOf(servers: string): string {
  return servers
    .split(",")
    .map((server) => server.trim().replace(/\/\/[^@/]*@/, "//"))
    .join(", ");
}
