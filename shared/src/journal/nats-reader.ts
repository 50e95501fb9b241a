import type { NatsBus, NatsMessage } from "../bus/nats.ts";
import { isOperationId, subjects } from "../bus/subjects.ts";
import { operationHeader } from "./feed.ts";
import {
  JournalUnavailable,
  type Head,
  type JournalName,
  type Recorded,
  type Sequence,
} from "./journal.ts";
import { call } from "./jetstream.ts";
import { streamName } from "./nats-stream.ts";

/** Entries asked for at once. */
const batch = 500;
/** The longest silence of the server before reading fails, in milliseconds. */
const patienceMs = 5_000;

/**
 * Reads a stream from a position up to its head, through a consumer of its own that lives as long as the reading.
 *
 * A pull consumer, because it works alike on all servers from 2.9 on; asking for ranges directly came later.
 *
 * @param headOf called after the consumer exists: a stream that is recreated after that takes the consumer with it, so that
 * entries of two incarnations never mix
 * @throws JetStreamError or BusUnavailable
 */
export async function* readStream(
  bus: NatsBus,
  journal: JournalName,
  from: Sequence,
  limit: number,
  headOf: () => Promise<Head>,
): AsyncGenerator<Recorded> {
  const stream = streamName(journal);
  const options = { timeoutMs: patienceMs };
  const consumer = await call<{ name: string; num_pending: number }>(
    bus,
    `$JS.API.CONSUMER.CREATE.${stream}`,
    {
      stream_name: stream,
      config: {
        deliver_policy: "by_start_sequence",
        opt_start_seq: Math.max(1, from),
        ack_policy: "none",
        max_deliver: -1,
        // Taken away by the server if we cannot.
        inactive_threshold: 30_000_000_000,
        mem_storage: true,
        num_replicas: 1,
      },
    },
    options,
  );
  try {
    const { epoch, head } = await headOf();
    const at: Position = { sequence: from - 1, pending: consumer.num_pending };
    for (let left = limit; left > 0 && at.pending > 0 && at.sequence < head;) {
      const entries: Recorded[] = [];
      await pull(bus, stream, consumer.name, Math.min(batch, left), at, (message) => {
        if (at.sequence <= head) entries.push(recorded(journal, message, at.sequence, epoch));
        return at.sequence >= head;
      });
      left -= entries.length;
      yield* entries;
    }
  } finally {
    // Nobody waits for the clean-up, and the server does it itself after a while.
    call(bus, `$JS.API.CONSUMER.DELETE.${stream}.${consumer.name}`, "", options).catch(() => {});
  }
}

interface Position {
  sequence: Sequence;
  /** How many are behind it. */
  pending: number;
}

/** Takes the next entries, at most `count`, and keeps account in `at`. */
async function pull(
  bus: NatsBus,
  stream: string,
  consumer: string,
  count: number,
  at: Position,
  take: (message: NatsMessage) => boolean,
): Promise<void> {
  let pulled = 0;
  await bus.requestMany(
    `$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`,
    JSON.stringify({ batch: count, no_wait: true }),
    (message) => {
      const position = positionOf(message);
      if (position === undefined) {
        // The server's word instead of a message. That there is no more (404, 408) is an end; all else is an error.
        if (message.status !== 404 && message.status !== 408)
          throw new JournalUnavailable(`reading ${stream}: the server says ${message.status}`);
        if (pulled === 0) at.pending = 0;
        return "done";
      }
      Object.assign(at, position);
      const enough = take(message);
      return enough || ++pulled === count || at.pending === 0 ? "done" : "more";
    },
    { timeoutMs: patienceMs },
  );
}

/** `$JS.ACK.<stream>.<consumer>.<deliveries>.<stream sequence>.<consumer sequence>.<time>.<pending>`, on newer servers with domain and account before the stream. */
function positionOf(message: NatsMessage): Position | undefined {
  const tokens = message.reply?.split(".") ?? [];
  if (tokens[0] !== "$JS" || tokens[1] !== "ACK") return undefined;
  const offset = tokens.length >= 11 ? 2 : 0;
  const sequence = Number(tokens[5 + offset]);
  const pending = Number(tokens[8 + offset]);
  return Number.isSafeInteger(sequence) && Number.isSafeInteger(pending)
    ? { sequence, pending }
    : undefined;
}

function recorded(
  journal: JournalName,
  message: NatsMessage,
  sequence: Sequence,
  epoch: string,
): Recorded {
  const operation = message.header(operationHeader);
  return {
    key: message.subject.slice(subjects.logs(journal).length - 1),
    body: message.text(),
    sequence,
    epoch,
    ...(isOperationId(operation) ? { operation } : {}),
  };
}
