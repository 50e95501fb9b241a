/**
 * The registration half of a control plane, answering on a real NATS server.
 */
import { silentLog, systemClock } from "@tocsin/shared";
import { controlPlaneQueue, subjects, type Message } from "@tocsin/shared/bus";
import { connectNats } from "@tocsin/shared/bus/nats";
import { createLeases, type Leases, type SeenCall } from "./leases.ts";

export interface NatsControlPlane extends Leases, AsyncDisposable {}

/** @param options.renew Default `50ms`, so that tests need not wait. */
export async function startNatsControlPlane(
  url: string,
  options: { renew?: string } = {},
): Promise<NatsControlPlane> {
  const leases = createLeases(options.renew ?? "50ms");
  const bus = await connectNats({
    servers: [url],
    node: "control-plane-1",
    role: "control-plane",
    clock: systemClock,
    log: silentLog,
  });
  for (const verb of ["register", "renew", "deregister"] as const) {
    await bus.subscribe(subjects.leases(verb), (message) => void answer(verb, message), {
      queue: controlPlaneQueue,
    });
  }

  async function answer(verb: SeenCall["verb"], message: Message): Promise<void> {
    const [service = "", instance = ""] = message.subject.split(".").slice(-2);
    const body = JSON.parse(message.text()) as SeenCall["body"];
    const given = await leases.answer({ verb, service, instance, body });
    if (given === "hang" || given === undefined) return;
    message.respond(
      JSON.stringify(
        given.status < 300
          ? { v: 1, ok: true, body: given.body }
          : { v: 1, ok: false, problem: given.body },
      ),
    );
  }

  return Object.assign(leases, { [Symbol.asyncDispose]: () => bus[Symbol.asyncDispose]() });
}
