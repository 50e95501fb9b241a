import { messageOf } from "@tocsin/shared";
import { BusUnavailable, subjects, type Bus, type LeaseVerb } from "@tocsin/shared/bus";
import type { LeaseHolder } from "@tocsin/shared/contract";
import { departureOf, failureOf, grantOf } from "./answers.ts";
import { RegistrationRefused, RegistrationUnavailable } from "./errors.ts";
import { patience, type Registry } from "./registry.ts";

export interface BusRegistryOptions {
  readonly service: string;
  readonly instance: string;
  /** The servers, without credentials. */
  readonly place: string;
}

/** Leases over a bus that stands. The control plane's answers are those of the admin API, as `LeaseReply`. Disposal leaves the bus as it is. */
export function busRegistry(bus: Bus, { service, instance, place }: BusRegistryOptions): Registry {
  const stops: (() => void)[] = [];

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
      stops.push(
        bus.onState((state) => {
          if (state === "connected") listener();
        }),
      );
    },
    [Symbol.asyncDispose]() {
      for (const stop of stops.splice(0)) stop();
      return Promise.resolve();
    },
  };
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
