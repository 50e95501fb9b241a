/**
 * The live feed: how a recorded entry looks on the bus. NATS republishes with these headers, the embedded journal sets them itself.
 */
import type { Headers, Message } from "../bus/bus.ts";
import { isOperationId, subjects } from "../bus/subjects.ts";
import type { JournalName, Recorded } from "./journal.ts";

/** Set by the NATS server on what it republishes, and by no one else. */
const sequenceHeader = "Nats-Sequence";
/** The epoch that the writer saw: republished messages do not say which incarnation of a stream they come from. */
export const epochHeader = "Tocsin-Epoch";
/** Present when the entry is an order. */
export const operationHeader = "Tocsin-Operation";

/** Reads a message of a journal's feed. Undefined when it is none: no sequence, no epoch, or another subject. */
export function recordedOf(journal: JournalName, message: Message): Recorded | undefined {
  const prefix = subjects.feedPrefix(journal);
  const sequence = Number(message.header(sequenceHeader));
  const epoch = message.header(epochHeader);
  const operation = message.header(operationHeader);
  if (!Number.isSafeInteger(sequence) || sequence < 1 || epoch === undefined) return undefined;
  if (!message.subject.startsWith(prefix)) return undefined;
  return {
    key: message.subject.slice(prefix.length),
    body: message.text(),
    sequence,
    epoch,
    ...(isOperationId(operation) ? { operation } : {}),
  };
}

/** Writes what {@link recordedOf} reads. */
export function feedHeaders(recorded: Recorded): Headers {
  return {
    [sequenceHeader]: String(recorded.sequence),
    ...entryHeaders(recorded),
  };
}

/** What a writer says about an entry, beside its key and body. */
export function entryHeaders({ epoch, operation }: Pick<Recorded, "epoch" | "operation">): Headers {
  return {
    [epochHeader]: epoch,
    ...(operation === undefined ? {} : { [operationHeader]: operation }),
  };
}
