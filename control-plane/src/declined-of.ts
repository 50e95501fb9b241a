import { JournalConflict, JournalUnavailable } from "@tocsin/shared/journal";
import { Declined } from "./problem.ts";

/** What the asker is told about anything that was thrown. */
export function declinedOf(error: unknown): Declined {
  if (error instanceof Declined) return error;
  if (error instanceof JournalConflict) {
    return new Declined(409, "conflict", "Somebody else wrote at the same time", {
      detail: "Read again, and repeat if it is still wanted.",
      cause: error,
    });
  }
  if (error instanceof JournalUnavailable) return unconfirmed(error);
  return new Declined(500, "internal", "The control plane failed", { cause: error });
}

/**
 * An append that failed: nothing is in force, or nobody knows.
 *
 * @param operation by which it can be repeated
 * @param part of an order of many, what was confirmed before
 */
export function unconfirmed(
  error: JournalUnavailable,
  operation?: string,
  part?: { readonly before: number; readonly revocations: number },
): Declined {
  const nothing = error.recorded === "no";
  const first =
    part === undefined
      ? nothing
        ? "Nothing was written, so nothing is in force."
        : "Whether it is in force is not known."
      : `${part.before} of ${part.revocations} are in force, the rest is ${nothing ? "not" : "not known to be"}.`;
  const again =
    operation === undefined ? "" : ` Repeating it with the operation ${operation} has one effect.`;
  // For operators alone: this is the admin API.
  const why = error.says === undefined ? "" : ` The store says: ${error.says}.`;
  return new Declined(503, "journal-unavailable", "The journal did not confirm the write", {
    detail: first + why + again,
    ...(operation === undefined ? {} : { operation }),
    cause: error,
  });
}
