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
  if (error instanceof JournalUnavailable) {
    return new Declined(503, "journal-unavailable", "The journal did not confirm the write", {
      detail: "Nothing is known to be in force. Repeating it with the same operation is safe.",
      cause: error,
    });
  }
  return new Declined(500, "internal", "The control plane failed", { cause: error });
}
