import type { Bus, Message } from "../bus/bus.ts";
import { protocolVersion, SyncRequest, type SyncHead } from "../contract/messages.ts";
import type { Milliseconds } from "../time.ts";
import { chunkCount, chunksOf, sha256 } from "./chunks.ts";
import { turn } from "./slices.ts";
import type { WholeAnswer } from "./source.ts";
import { packEntries } from "./wire.ts";

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

/** Pieces that may be on their way to the server at once. */
const ahead = 2;

export interface AnswerOptions {
  /** The bus that the question came by: with it, no more of a long answer is written than it passes on. */
  readonly bus?: Pick<Bus, "flush">;
  /** The SHA-256 of the dump, where it is known. */
  readonly sha256?: string;
}

/**
 * Answers a question: the head first, then the entries, or the dump, in pieces. A long answer takes its time, and lets everything
 * else in this process have its turn; what it is made of must not change meanwhile.
 *
 * @returns false when the bus went away before all of it was sent. Never rejects.
 */
export async function answerSync(
  message: Message,
  answer: WholeAnswer,
  options: AnswerOptions = {},
): Promise<boolean> {
  try {
    await send(message, answer, options);
    return true;
  } catch {
    // Who asked hears the silence, and asks again.
    return false;
  }
}

async function send(
  message: Message,
  answer: WholeAnswer,
  { bus, sha256: known }: AnswerOptions,
): Promise<void> {
  const { mode, epoch, to } = answer;
  const bytes = "dump" in answer ? answer.dump : await packEntries(answer.entries);
  const head: SyncHead = {
    v: protocolVersion,
    mode,
    ...("dump" in answer ? { form: "dump" } : {}),
    epoch,
    to,
    chunks: chunkCount(bytes),
    bytes: bytes.byteLength,
    sha256: known ?? (await sha256(bytes)),
  };
  message.respond(JSON.stringify(head));
  let sent = 0;
  for (const chunk of chunksOf(bytes)) {
    if (sent > 0 && sent % ahead === 0) await (bus?.flush() ?? turn());
    message.respond(chunk);
    sent++;
  }
}

export interface SnapshotSenderOptions {
  readonly bus: Pick<Bus, "flush">;
  /** Snapshots that are sent at the same time; each holds a piece or two in memory beyond its own bytes. Default 16. */
  readonly atOnce?: number;
}

/** How soon one who is declined should ask again, in milliseconds. */
const againMs: Milliseconds = 200;

/** Sends snapshots: one at a time to each asker, and a few at a time in all. */
export class SnapshotSender {
  readonly #bus: Pick<Bus, "flush">;
  readonly #atOnce: number;
  readonly #underWay = new Set<string>();
  /** A dump is the same bytes for all who ask while nothing changes. */
  readonly #hashes = new WeakMap<Uint8Array, string>();

  constructor({ bus, atOnce = 16 }: SnapshotSenderOptions) {
    this.#bus = bus;
    this.#atOnce = atOnce;
  }

  /**
   * Answers a question with a snapshot, or asks for patience while another one is on its way to the same asker.
   *
   * @param asker whoever asks and what for: `<journal> <node>`
   * @param build called at once, or not at all
   * @returns whether all of it was sent
   * @throws what `build` throws; then the asker was declined
   */
  async send(
    message: Message,
    asker: string,
    build: () => WholeAnswer | Promise<WholeAnswer>,
  ): Promise<boolean> {
    if (this.#underWay.has(asker)) {
      declineSync(message, againMs, "an answer is on its way");
      return false;
    }
    if (this.#underWay.size >= this.#atOnce) {
      declineSync(message, againMs, "busy with others");
      return false;
    }
    this.#underWay.add(asker);
    try {
      const answer = await build();
      return await answerSync(message, answer, {
        bus: this.#bus,
        ...("dump" in answer ? { sha256: await this.#hash(answer.dump) } : {}),
      });
    } catch (error) {
      declineSync(message, againMs, "not possible now");
      throw error;
    } finally {
      this.#underWay.delete(asker);
    }
  }

  async #hash(dump: Uint8Array): Promise<string> {
    let hash = this.#hashes.get(dump);
    if (hash === undefined) this.#hashes.set(dump, (hash = await sha256(dump)));
    return hash;
  }
}
