/** Having things forgotten: orders into the invalidations journal. */
import { randomUUID } from "node:crypto";
import type { Milliseconds } from "@tocsin/shared";
import {
  type InvalidationEntry,
  InvalidationOrder,
  laterSelectors,
  protocolVersion,
  type OrderAnswer,
} from "@tocsin/shared/contract";
import { JournalUnavailable, type OperationId } from "@tocsin/shared/journal";
import { unconfirmed } from "../declined-of.ts";
import { Declined } from "../problem.ts";
import { check, readJson } from "../read-body.ts";
import { operationKey } from "../revocation/operation.ts";
import type { Orders } from "../sync/orders.ts";

export class Invalidations {
  readonly #orders: Orders;

  constructor(orders: Orders) {
    this.#orders = orders;
  }

  /**
   * @param named by the one who orders it, and then it can be repeated: it has one effect
   * @throws Declined 409 when that name is used for another order; 503 naming the operation when the journal is away
   */
  async invalidate(
    order: InvalidationOrder,
    named: OperationId | undefined,
    waitMs: Milliseconds,
  ): Promise<OrderAnswer> {
    const operation = named ?? randomUUID();
    const entry = entryOf(order);
    const body = JSON.stringify(entry);
    const key = named === undefined ? entry.kind : operationKey(named);
    try {
      return await this.#orders.placeAll({
        journal: "invalidations",
        operation,
        parts: [
          { entry: { key, body }, operation, ...(named === undefined ? {} : { expected: 0 }) },
        ],
        same: (recorded) => recorded === body,
        waitMs,
      });
    } catch (error) {
      if (!(error instanceof JournalUnavailable)) throw error;
      throw unconfirmed(error, operation);
    }
  }
}

/** @throws Declined 400 when it is not JSON; 422 when it is no order, or one that comes later */
export function readInvalidation(text: string): InvalidationOrder {
  const value = readJson(text);
  const later = laterSelectors.filter(
    (name) => typeof value === "object" && value !== null && Object.hasOwn(value, name),
  );
  if (later.length > 0)
    throw new Declined(422, "not-supported-yet", "This version cannot invalidate that yet", {
      detail: "Nothing was invalidated.",
      errors: later.map((name) => ({
        pointer: `/${name}`,
        message: `"${name}" comes with caching; supported: user, all`,
      })),
    });
  return check(InvalidationOrder, value);
}

function entryOf({ user }: InvalidationOrder): InvalidationEntry {
  const v = protocolVersion;
  return user === undefined ? { v, kind: "all" } : { v, kind: "user", user };
}
