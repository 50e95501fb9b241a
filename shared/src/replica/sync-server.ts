import type { Message } from "../bus/bus.ts";
import {
  protocolVersion,
  SyncRequest,
  type SyncEntry,
  type SyncHead,
} from "../contract/messages.ts";
import type { Recorded } from "../journal/journal.ts";
import type { Milliseconds } from "../time.ts";
import { chunkCount, chunksOf, sha256 } from "./chunks.ts";
import type { SyncAnswer } from "./source.ts";

/** Reads the question of a replica. Undefined when it is none. */
export function readSyncRequest(message: Message): SyncRequest | undefined {
  try {
    return SyncRequest.parse(JSON.parse(message.text()));
  } catch {
    return undefined;
  }
}

/** Says that somebody else should be asked, or later. */
export function declineSync(message: Message, afterMs: Milliseconds, why: string): void {
  message.respond(
    JSON.stringify({ v: protocolVersion, mode: "retry", afterMs, why } satisfies SyncHead),
  );
}

/** Answers a question: the head first, then the entries as one text in pieces. */
export function answerSync(message: Message, answer: Exclude<SyncAnswer, { mode: "retry" }>): void {
  const bytes = Buffer.from(JSON.stringify(answer.entries.map(pack)));
  const head: SyncHead = {
    v: protocolVersion,
    mode: answer.mode,
    epoch: answer.epoch,
    to: answer.to,
    chunks: chunkCount(bytes),
    sha256: sha256(bytes),
  };
  message.respond(JSON.stringify(head));
  for (const chunk of chunksOf(bytes)) message.respond(chunk);
}

function pack({ sequence, key, body, operation }: Recorded): SyncEntry {
  return operation === undefined ? [sequence, key, body] : [sequence, key, body, operation];
}
