import type { Milliseconds } from "@tocsin/shared";
import type { AdminReply } from "./operations.ts";

/** 200 when an order is in force everywhere, 202 when it is durable and some are still missing. */
export function ordered(
  body: { readonly applied: { readonly missing: readonly unknown[] } },
  waitMs: Milliseconds,
): AdminReply {
  return { status: body.applied.missing.length === 0 && waitMs > 0 ? 200 : 202, body };
}
