import type { Audit, AuditEvent } from "../audit/audit.ts";
import { harmlessTarget } from "../audit/harmless.ts";
import { orderFacts } from "../audit/order-facts.ts";
import { declinedOf } from "../declined-of.ts";
import type { CurrentConfig } from "./current-config.ts";

/** Applies the config that a node was started with. What that changes is in the audit. @throws as {@link CurrentConfig.apply} */
export async function applyAtStart(
  config: CurrentConfig,
  { source, name }: { readonly source: string; readonly name: string },
  audit: Audit,
): Promise<void> {
  const call = { who: "start", via: "start", action: "applyConfig" } as const;
  let event: AuditEvent;
  try {
    const applied = await config.apply(source, { waitMs: 0, atStart: true });
    if (applied.operation === "unchanged") return;
    const target = harmlessTarget({ revision: applied.revision, file: name });
    event = { ...call, ...target, outcome: "done", status: 202, ...orderFacts(applied) };
  } catch (error) {
    const { status, code } = declinedOf(error);
    const outcome = status < 500 ? "refused" : "failed";
    await audit.write({ ...call, ...harmlessTarget({ file: name }), outcome, status, code });
    throw error;
  }
  await audit.write(event);
}
