/** Registration over the bus: the same handlers and bodies as over HTTP. The subject token says which service it is. */
import { messageOf, type Log } from "@tocsin/shared";
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
import { check, readBody } from "../read-body.ts";
import { declinedOf } from "../declined-of.ts";
import { InstancePath } from "./instance-path.ts";
import type { Registry } from "./registry.ts";

/** How long a deregistration waits for the proxies, in milliseconds. */
export const drainWaitMs = 5_000;

export async function serveLeases(
  bus: Bus,
  registry: Registry,
  log: Log,
): Promise<AsyncDisposable> {
  const stack = new AsyncDisposableStack();
  for (const verb of ["register", "renew", "deregister"] as const) {
    stack.use(
      await bus.subscribe(
        subjects.leases(verb),
        (message) => {
          void answer(verb, message, registry, log);
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
  registry: Registry,
  log: Log,
): Promise<void> {
  let reply: LeaseReply;
  try {
    reply = { v: protocolVersion, ok: true, body: await carryOut(verb, message, registry) };
  } catch (error) {
    const declined = declinedOf(error);
    if (declined.status >= 500)
      log.error({ subject: message.subject, cause: messageOf(error) }, "request failed");
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
}

async function carryOut(verb: LeaseVerb, message: Message, registry: Registry): Promise<unknown> {
  const path = check(InstancePath, leaseOf(verb, message.subject) ?? {});
  switch (verb) {
    case "register":
      return registry.register(path.service, path.instance, readBody(Registration, message.text()));
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
