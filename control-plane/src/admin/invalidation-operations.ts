import { InvalidationOrder, OrderAnswer } from "@tocsin/shared/contract";
import { readInvalidation } from "../invalidation/invalidations.ts";
import { operationOf } from "../revocation/read-order.ts";
import type { Operation } from "./operations.ts";
import { waitOf } from "./query.ts";

export const invalidationOperations: readonly Operation[] = [
  {
    method: "POST",
    path: "/v1/invalidations",
    id: "invalidate",
    summary: "Has every proxy forget what it remembers: about a user, or everything",
    takes: InvalidationOrder,
    gives: OrderAnswer,
    waits: true,
    repeats: true,
    audited: true,
    async run(request, { invalidations }) {
      const waitMs = waitOf(request.query);
      const { operation } = operationOf(request.header("idempotency-key"));
      const order = readInvalidation(request.body);
      request.about(order.user === undefined ? { all: "yes" } : { user: order.user });
      const body = await invalidations.invalidate(order, operation, waitMs);
      return { status: body.applied.missing.length === 0 && waitMs > 0 ? 200 : 202, body };
    },
  },
];
