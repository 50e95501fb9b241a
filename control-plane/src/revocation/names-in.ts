import type { AuditTarget, RevocationItem } from "@tocsin/shared/contract";
import type { ReadOrder } from "./read-order.ts";

/** What an order revokes, in names for the audit. Of a token that it stays a secret. */
export function targetOf(order: ReadOrder): AuditTarget {
  if (order.kind === "one") return namesIn(order.item);
  const counts = new Map<string, number>();
  for (const item of order.items) {
    const { kind } = namesIn(item);
    counts.set(String(kind), (counts.get(String(kind)) ?? 0) + 1);
  }
  const of = [...counts].map(([kind, count]) => `${count} ${kind}`).join(", ");
  return { kind: "many", count: order.items.length, of };
}

export function namesIn(item: RevocationItem): AuditTarget {
  if (!("kind" in item)) return { kind: "token" };
  const { reason, ...names } = item;
  void reason;
  return Object.fromEntries(
    Object.entries(names).filter(
      (each): each is [string, string | number] =>
        typeof each[1] === "string" || typeof each[1] === "number",
    ),
  );
}
