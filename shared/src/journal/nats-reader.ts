import type { NatsBus, NatsMessage } from "../bus/nats.ts";
import { isOperationId, subjects } from "../bus/subjects.ts";
import { operationHeader } from "./feed.ts";
import {
  JournalUnavailable,
  type Head,
  type StreamName,
  type Recorded,
  type Sequence,
} from "./journal.ts";
import { call } from "./jetstream.ts";
import { streamName } from "./nats-stream.ts";

/** Entries asked for at once: how many first, and at most. */
const batch = { first: 50, most: 500 } as const;
/** So many characters of them, as far as the ones before tell: what an order waits for comes on the same connection, behind all of it. */
const batchCharacters = 1024 * 1024;
/** How long the server holds on to a request that it cannot fill, in nanoseconds. */
const pullExpires = 1_000_000_000;
/** The longest silence of the server before reading fails, in milliseconds. */
const patienceMs = 5_000;
const options = { timeoutMs: patienceMs };

/**
 * Reads a stream from a position up to its head, through consumers of its own that live as long as the reading.
 *
 * Pull consumers, because they work alike on all servers from 2.9 on; asking for ranges directly came later.
 *
 * @param headOf called after a consumer exists: a stream that is recreated after that takes the consumer with it, so that entries
 * of two incarnations never mix
 * @throws JournalUnavailable when the server stops delivering; JetStreamError or BusUnavailable
 */
export async function* readStream(
  bus: NatsBus,
  journal: StreamName,
  from: Sequence,
  limit: number,
  headOf: () => Promise<Head>,
): AsyncGenerator<Recorded> {
  let next = Math.max(1, from);
  let end: Head | undefined;
  let left = limit;
  let emptyRounds = 0;
  let count: number = batch.first;
  while (left > 0 && next <= (end?.head ?? Infinity)) {
    const consumer = await openConsumer(bus, streamName(journal), next);
    try {
      const { epoch, head } = await headOf();
      end ??= { epoch, head };
      if (epoch !== end.epoch)
        throw new JournalUnavailable(`the journal ${journal} was replaced while it was read`);
      const at = { pending: consumer.pending };
      // Read to the end, though the head may be further: entries behind this position were replaced or have been forgotten.
      if (at.pending === 0) return;
      const began = next;
      while (left > 0 && at.pending > 0 && next <= end.head) {
        const entries: Recorded[] = [];
        const pulled = await consumer.pull(Math.min(count, left), (message, position) => {
          next = position.sequence + 1;
          at.pending = position.pending;
          if (position.sequence <= end!.head)
            entries.push(recorded(journal, message, position.sequence, epoch));
          return next > end!.head || at.pending === 0;
        });
        // What was pending is gone, or slow to come: another consumer tells which.
        if (pulled === 0) break;
        left -= entries.length;
        count = batchBehind(entries);
        yield* entries;
      }
      // A sync that ends too early would be a revocation that is lost.
      if (next === began && ++emptyRounds > 3)
        throw new JournalUnavailable(`the stream of ${journal} does not deliver from ${next} on`);
    } finally {
      consumer.close();
    }
  }
}

/** How many to ask for next. */
function batchBehind(entries: readonly Recorded[]): number {
  if (entries.length === 0) return batch.first;
  const characters = entries.reduce((sum, { body }) => sum + body.length, 0);
  const fitting = Math.floor((batchCharacters * entries.length) / Math.max(1, characters));
  return Math.min(batch.most, Math.max(1, fitting));
}

interface Position {
  readonly sequence: Sequence;
  /** How many are behind it. */
  readonly pending: number;
}

interface Consumer {
  readonly pending: number;
  /** Takes the next entries, at most `count` and until `take` has enough, and says how many there were. */
  pull(count: number, take: (message: NatsMessage, position: Position) => boolean): Promise<number>;
  close(): void;
}

async function openConsumer(bus: NatsBus, stream: string, from: Sequence): Promise<Consumer> {
  const config = {
    deliver_policy: "by_start_sequence",
    opt_start_seq: from,
    ack_policy: "none",
    max_deliver: -1,
    // Taken away by the server if we cannot.
    inactive_threshold: 30_000_000_000,
    mem_storage: true,
    num_replicas: 1,
  };
  const { name, num_pending: pending } = await call<{ name: string; num_pending: number }>(
    bus,
    `$JS.API.CONSUMER.CREATE.${stream}`,
    { stream_name: stream, config },
    options,
  );
  return {
    pending,
    async pull(count, take) {
      let pulled = 0;
      await bus.requestMany(
        `$JS.API.CONSUMER.MSG.NEXT.${stream}.${name}`,
        // With an end: where messages vanish at that moment, servers up to 2.9 forget to answer a request without one.
        JSON.stringify({ batch: count, no_wait: true, expires: pullExpires }),
        (message) => {
          const position = positionOf(message);
          if (position !== undefined) {
            pulled++;
            return take(message, position) || pulled === count ? "done" : "more";
          }
          // The server's word instead of a message: no more for now (404, 408), or something is wrong.
          if (message.status === 404 || message.status === 408) return "done";
          throw new JournalUnavailable(`reading ${stream}: the server says ${message.status}`);
        },
        options,
      );
      return pulled;
    },
    close() {
      // Nobody waits for the clean-up, and the server does it itself after a while.
      call(bus, `$JS.API.CONSUMER.DELETE.${stream}.${name}`, "", options).catch(() => {});
    },
  };
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
  journal: StreamName,
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
