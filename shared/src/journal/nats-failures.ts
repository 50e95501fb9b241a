import { BusUnavailable } from "../bus/bus.ts";
import { messageOf } from "../lifetime.ts";
import { isJetStreamError, JetStreamError } from "./jetstream.ts";
import { JournalMisconfigured, JournalUnavailable, type StreamName } from "./journal.ts";

/** Whether trying again can help. */
export function mayPass(error: unknown): boolean {
  if (error instanceof BusUnavailable) return error.kind !== "refused";
  if (isJetStreamError(error, "notEnabled", "notEnabledForAccount")) return false;
  // A stream that is gone is created by the next try.
  if (isJetStreamError(error, "streamNotFound")) return true;
  return error instanceof JetStreamError && error.code >= 500;
}

/** Whether the server may have done what it was asked for, and only its answer was lost. */
export function mayHaveHappened(error: unknown): boolean {
  return (
    error instanceof BusUnavailable && (error.kind === "timeout" || error.kind === "disconnected")
  );
}

/**
 * Puts what went wrong into the words of the journal's port. Errors that are neither the bus's nor JetStream's stay as they are.
 *
 * @param recorded `no`: it is certain that nothing was written
 */
export function inWords(journal: StreamName, what: string, error: unknown, recorded?: "no"): Error {
  const certainty = recorded === undefined ? {} : { recorded };
  if (isJetStreamError(error, "notEnabled", "notEnabledForAccount"))
    return new JournalMisconfigured(
      `JetStream is not enabled for this account of the NATS server; journals need it ("jetstream: enabled")`,
      { cause: error },
    );
  if (error instanceof BusUnavailable && error.kind === "no-responders")
    return new JournalUnavailable(
      `cannot ${what} the journal ${journal}: JetStream does not answer. Is it enabled on the NATS server ("jetstream {}", or -js)?`,
      { cause: error, ...certainty },
    );
  if (error instanceof BusUnavailable || error instanceof JetStreamError)
    return new JournalUnavailable(`cannot ${what} the journal ${journal}: ${messageOf(error)}`, {
      cause: error,
      ...certainty,
      ...(error instanceof JetStreamError ? { says: error.message } : {}),
    });
  return error instanceof Error ? error : new Error(String(error));
}
