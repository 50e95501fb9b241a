/** Registration over the bus: the same handlers and bodies as over HTTP. The subject token says which service it is. */
import { isName, messageOf, type Log } from "@tocsin/shared";
import {
  controlPlaneQueue,
  leaseOf,
  subjects,
  type Bus,
  type LeaseVerb,
  type Message,
} from "@tocsin/shared/bus";
import {
  LeaseHolder,
  protocolVersion,
  Registration,
  type LeaseReply,
} from "@tocsin/shared/contract";
import type { Audit } from "../audit/audit.ts";
import { BusCall } from "../audit/bus-call.ts";
import { check, readBody } from "../read-body.ts";
import { declinedOf } from "../declined-of.ts";
import { InstancePath } from "./instance-path.ts";
import type { Registry } from "./registry.ts";

/** How long a deregistration waits for the proxies, in milliseconds. */
export const drainWaitMs = 5_000;

/** What requests are answered with. */
export interface LeaseServer {
  readonly registry: Registry;
  readonly audit: Audit;
  readonly log: Log;
}

export async function serveLeases(bus: Bus, server: LeaseServer): Promise<AsyncDisposable> {
  const { registry } = server;
  const stack = new AsyncDisposableStack();
  for (const verb of ["register", "renew", "deregister"] as const) {
    stack.use(
      await bus.subscribe(
        subjects.leases(verb),
        (message) => {
          void answer(verb, message, server);
        },
        { queue: controlPlaneQueue },
      ),
    );
  }
  // One node answers, all of them hear: who lives is known everywhere, whichever node will lead.
  stack.use(
    await bus.subscribe(subjects.leases("renew"), (message) => hearRenewal(message, registry)),
  );
  return stack;
}

function hearRenewal(message: Message, registry: Registry): void {
  try {
    const [service, instance] = message.subject.split(".").slice(-2);
    const path = check(InstancePath, { service, instance });
    registry.heard(path.service, path.instance, readBody(LeaseHolder, message.text()));
  } catch {
    // Whoever answers says what is wrong with it.
  }
}

async function answer(
  verb: LeaseVerb,
  message: Message,
  { registry, audit, log }: LeaseServer,
): Promise<void> {
  let reply: LeaseReply;
  const lease = leaseOf(verb, message.subject);
  const call = new BusCall(lease?.service, verb);
  if (isName(lease?.instance))
    call.about({ service: lease?.service ?? "", instance: lease?.instance ?? "" });
  try {
    const body = await carryOut(verb, message, registry, call);
    call.answered(body);
    reply = { v: protocolVersion, ok: true, body };
  } catch (error) {
    const declined = declinedOf(error);
    if (declined.status >= 500)
      log.error({ subject: message.subject, cause: messageOf(error) }, "request failed");
    call.declined(declined);
    const { code, status, title, detail, errors } = declined;
    reply = {
      v: protocolVersion,
      ok: false,
      problem: {
        code,
        status,
        title,
        ...(detail === undefined ? {} : { detail }),
        ...(errors === undefined ? {} : { errors: [...errors] }),
      },
    };
  }
  message.respond(JSON.stringify(reply));
  // A lease that is renewed, or was lost and is taken again, is no order.
  if (verb !== "renew") await call.writeTo(audit);
}

async function carryOut(
  verb: LeaseVerb,
  message: Message,
  registry: Registry,
  call: BusCall,
): Promise<unknown> {
  const path = check(InstancePath, leaseOf(verb, message.subject) ?? {});
  switch (verb) {
    case "register": {
      const registration = readBody(Registration, message.text());
      call.about({ url: registration.url });
      return registry.register(path.service, path.instance, registration);
    }
    case "renew":
      return registry.renew(
        path.service,
        path.instance,
        readBody(LeaseHolder, message.text()),
        "all",
      );
    case "deregister":
      return registry.deregister(
        path.service,
        path.instance,
        readBody(LeaseHolder, message.text()),
        drainWaitMs,
      );
    default:
      return verb satisfies never;
  }
}
