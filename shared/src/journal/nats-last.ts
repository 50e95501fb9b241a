import type { NatsBus } from "../bus/nats.ts";
import { isOperationId } from "../bus/subjects.ts";
import type { Milliseconds } from "../time.ts";
import { operationHeader } from "./feed.ts";
import type { StreamName, OperationId, Sequence } from "./journal.ts";
import { call } from "./jetstream.ts";
import { streamName } from "./nats-stream.ts";

export interface LastMessage {
  /** The id under which it was published. */
  readonly id: string | undefined;
  readonly recorded: {
    readonly sequence: Sequence;
    readonly body: string;
    readonly operation?: OperationId;
  };
}

/** The last message under a subject, from the leader of the stream. @throws JetStreamError `noMessageFound` when there is none */
export async function lastMessage(
  bus: NatsBus,
  journal: StreamName,
  subject: string,
  attempt: { readonly timeoutMs: Milliseconds; readonly signal?: AbortSignal },
): Promise<LastMessage> {
  const { message } = await call<{ message: { seq: number; hdrs?: string; data?: string } }>(
    bus,
    `$JS.API.STREAM.MSG.GET.${streamName(journal)}`,
    { last_by_subj: subject },
    attempt,
  );
  const headers = Buffer.from(message.hdrs ?? "", "base64").toString();
  const header = (name: string) => new RegExp(`^${name}: (.*)\\r$`, "m").exec(headers)?.[1];
  const operation = header(operationHeader);
  return {
    id: header("Nats-Msg-Id"),
    recorded: {
      sequence: message.seq,
      body: Buffer.from(message.data ?? "", "base64").toString(),
      ...(isOperationId(operation) ? { operation } : {}),
    },
  };
}
