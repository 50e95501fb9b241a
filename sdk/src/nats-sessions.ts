import { messageOf, type Clock, type Log } from "@tocsin/shared";
import { BusUnavailable, subjects, type NatsPlace } from "@tocsin/shared/bus";
import { connectNats } from "@tocsin/shared/bus/nats";
import { placeOf } from "./nats-registry.ts";
import { SessionsRefused, SessionsUnavailable } from "./session-types.ts";
import { sessionFailure, type SessionCalls } from "./sessions.ts";

export interface NatsSessionsOptions extends NatsPlace {
  readonly service: string;
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly log: Log;
}

/** @throws SessionsUnavailable when there is no connection in time */
export async function sessionsOverNats(options: NatsSessionsOptions): Promise<SessionCalls> {
  const { service, timeoutMs } = options;
  const place = placeOf(options.servers.join());
  const bus = await connectNats({
    ...options,
    // The name decides the inbox, and a service's NATS user may hear its own alone.
    node: service,
    role: "service",
    firstConnectTimeoutMs: timeoutMs,
  });
  if (bus.state !== "connected") {
    await bus[Symbol.asyncDispose]();
    throw new SessionsUnavailable(`no connection to ${place} within ${timeoutMs} ms`);
  }
  return {
    async call(verb, body) {
      const subject = subjects.session(verb, service);
      const message = await bus
        .request(subject, JSON.stringify(body), { timeoutMs })
        .catch((cause: unknown) => {
          if (cause instanceof BusUnavailable && cause.kind === "refused")
            throw new SessionsRefused(
              "forbidden",
              403,
              `the NATS user of this process may not publish ${subject}`,
            );
          throw new SessionsUnavailable(
            `no answer from a control plane on the bus at ${place}: ${messageOf(cause)}`,
            { cause },
          );
        });
      const reply = JSON.parse(message.text()) as {
        readonly ok?: boolean;
        readonly body?: unknown;
        readonly problem?: { readonly status?: number };
      };
      if (reply.ok === true) return reply.body;
      throw sessionFailure(reply.problem?.status ?? 500, reply.problem);
    },
    [Symbol.asyncDispose]: async () => bus[Symbol.asyncDispose](),
  };
}
