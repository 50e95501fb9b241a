import { isName } from "@tocsin/shared";
import type { AuditTarget } from "@tocsin/shared/contract";
import type { Declined } from "../problem.ts";
import type { Audit, AuditEvent } from "./audit.ts";
import { harmlessTarget, harmlessText } from "./harmless.ts";
import { orderFacts } from "./order-facts.ts";

/** Calls of one service and one kind that are written one by one in a minute; services start, stop and sign people in all day. */
const budget = 20;

/** What a request of a service came to, gathered while it is answered. */
export class BusCall {
  readonly #who: string;
  readonly #action: string;
  #target: AuditTarget = {};
  #reason: string | undefined;
  #outcome: Pick<AuditEvent, "outcome" | "status" | "code"> = { outcome: "done", status: 200 };
  #facts: ReturnType<typeof orderFacts> = {};

  /** @param service as the subject names it, which the bus has checked */
  constructor(service: string | undefined, action: string) {
    this.#who = isName(service) ? `service:${service}` : "unknown";
    this.#action = action;
  }

  about(target: AuditTarget, reason?: string): void {
    this.#target = { ...this.#target, ...target };
    this.#reason ??= reason;
  }

  answered(body: unknown): void {
    this.#facts = orderFacts(body);
  }

  declined({ status, code }: Declined): void {
    this.#outcome = { outcome: status < 500 ? "refused" : "failed", status, code };
  }

  writeTo(audit: Audit): Promise<void> {
    return audit.write(
      {
        who: this.#who,
        via: "bus",
        action: this.#action,
        ...harmlessTarget(this.#target),
        ...this.#outcome,
        ...this.#facts,
        ...(this.#reason === undefined ? {} : { reason: harmlessText(this.#reason) }),
      },
      budget,
    );
  }
}
