import { OrderAnswer, type AuditRecord } from "@tocsin/shared/contract";

/** Proxies that are named in a record. */
const maxMissing = 20;

/** What the answer to an order says that belongs in the audit. Nothing where it is none. */
export function orderFacts(
  answer: unknown,
): Pick<AuditRecord, "operation" | "sequence" | "epoch" | "applied" | "repeated"> {
  const order = OrderAnswer.safeParse(answer);
  // A config that was applied before is no order: it writes nothing.
  if (!order.success || order.data.operation === "unchanged") return {};
  const { operation, sequence, epoch, applied, repeated } = order.data;
  const { expected, count, ms, missing } = applied;
  const names = missing.slice(0, maxMissing).map(({ proxy }) => proxy);
  return {
    operation,
    sequence,
    epoch,
    applied: { expected, count, ms, ...(names.length === 0 ? {} : { missing: names }) },
    ...(repeated === undefined ? {} : { repeated }),
  };
}
