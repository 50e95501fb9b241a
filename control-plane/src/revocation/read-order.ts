/** Reads an order of revocations: one, a list, or one a line. */
import { shown } from "@tocsin/shared";
import { setImmediate } from "node:timers/promises";
import {
  BulkRevocationOrder,
  maxRevocations,
  RevocationItem,
  RevocationOrder,
} from "@tocsin/shared/contract";
import { isOperationId } from "@tocsin/shared/bus";
import type { OperationId } from "@tocsin/shared/journal";
import { z } from "zod";
import { Declined, type ProblemPlace } from "../problem.ts";
import { check, placesIn, readJson } from "../read-body.ts";

export type ReadOrder =
  | { readonly kind: "one"; readonly item: RevocationItem; readonly operation?: OperationId }
  | {
      readonly kind: "many";
      readonly items: readonly RevocationItem[];
      readonly operation?: OperationId;
      /** The line of each item, from 1, where it was one a line. */
      readonly lines?: readonly number[];
      /** What this is a part of. */
      readonly partOf?: string;
    };

export interface OrderText {
  readonly body: string;
  readonly contentType: string | undefined;
  /** The header `Idempotency-Key`. */
  readonly key: string | undefined;
}

/** Places that are told of an order that is wrong; the rest is counted. */
const maxPlaces = 100;
/** Items that are looked at in one go. */
const slice = 500;

/** @throws Declined 400 when it is not understood, 422 with every place that does not validate */
export async function readOrder({ body, contentType, key }: OrderText): Promise<ReadOrder> {
  const keyed = operationOf(key);
  if (/^application\/(x-ndjson|jsonl)\b/i.test(contentType ?? "")) {
    const { values, lines } = readLines(body);
    const items = await checkItems(values, undefined, lines);
    return { kind: "many", items, lines, ...keyed };
  }
  const value = readJson(body);
  if (typeof value !== "object" || value === null || !("revocations" in value)) {
    const { operation, ...item } = check(RevocationOrder, value);
    return { kind: "one", item, ...agreed(keyed, operation) };
  }
  const { revocations, ...rest } = value;
  // The list itself item by item, so that a long one does not stop everything else.
  const frame = check(BulkFrame, { ...rest, revocations });
  const items = await checkItems(frame.revocations, frame.reason);
  const { partOf } = frame;
  const whole = partOf === undefined ? {} : { partOf };
  return { kind: "many", items, ...agreed(keyed, frame.operation), ...whole };
}

/** An order of many, but for what is in the list. */
const BulkFrame = BulkRevocationOrder.extend({
  revocations: z.array(z.unknown()).min(1).max(maxRevocations),
});

/** `Idempotency-Key: abc`, or in quotes as structured fields write it (RFC 9651 §3.3.3). */
export function operationOf(key: string | undefined): { operation?: OperationId } {
  if (key === undefined) return {};
  const operation = /^"(.*)"$/.exec(key.trim())?.[1] ?? key.trim();
  if (isOperationId(operation)) return { operation };
  throw new Declined(400, "bad-request", "Idempotency-Key is not understood", {
    detail: `Found ${shown(key)}, allowed: 1 to 64 letters, digits, hyphens and underscores.`,
  });
}

function agreed(
  keyed: { readonly operation?: OperationId },
  operation: OperationId | undefined,
): { operation?: OperationId } {
  if (operation === undefined) return keyed;
  if (keyed.operation === undefined || keyed.operation === operation) return { operation };
  throw new Declined(400, "bad-request", "Two operations are named", {
    detail: `Idempotency-Key says ${keyed.operation}, the body says ${operation}.`,
  });
}

function readLines(body: string): { values: unknown[]; lines: number[] } {
  const values: unknown[] = [];
  const lines: number[] = [];
  const errors: ProblemPlace[] = [];
  for (const [index, text] of body.split("\n").entries()) {
    if (text.trim() === "") continue;
    if (values.length === maxRevocations) throw tooMany();
    lines.push(index + 1);
    try {
      values.push(JSON.parse(text));
    } catch {
      values.push(undefined);
      const pointer = `/revocations/${values.length - 1}`;
      errors.push({ pointer, line: index + 1, message: "is not JSON" });
    }
  }
  if (errors.length > 0) throw invalid(errors);
  if (values.length === 0)
    throw invalid([{ pointer: "/revocations", message: "there is not a single revocation" }]);
  return { values, lines };
}

async function checkItems(
  values: readonly unknown[],
  reason: string | undefined,
  lines?: readonly number[],
): Promise<RevocationItem[]> {
  const items: RevocationItem[] = [];
  const errors: ProblemPlace[] = [];
  for (const [index, value] of values.entries()) {
    const places = placesIn(RevocationItem, value, ["revocations", index]);
    if (places.length === 0) {
      const item = value as RevocationItem;
      items.push(reason === undefined || item.reason !== undefined ? item : { ...item, reason });
    } else {
      for (const place of places) errors.push(withLine(place, lines?.[index]));
    }
    if ((index + 1) % slice === 0) await setImmediate();
  }
  if (errors.length > 0) throw invalid(errors);
  return items;
}

export function withLine(place: ProblemPlace, line: number | undefined): ProblemPlace {
  return line === undefined ? place : { ...place, line };
}

/** All that is wrong with an order, or as much of it as anybody reads. */
export function invalid(errors: readonly ProblemPlace[]): Declined {
  const more = errors.length - maxPlaces;
  return new Declined(422, "validation-failed", "The request does not validate", {
    detail: `Nothing was revoked: ${errors.length} ${errors.length === 1 ? "place is" : "places are"} wrong${more > 0 ? `, the first ${maxPlaces} are listed` : ""}.`,
    errors: errors.slice(0, maxPlaces),
  });
}

function tooMany(): Declined {
  return invalid([
    { pointer: "/revocations", message: `more than ${maxRevocations} in one order` },
  ]);
}
