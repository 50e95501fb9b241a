import { randomUUID } from "node:crypto";
import type { Bus, Message } from "../bus/bus.ts";
import { subjects } from "../bus/subjects.ts";
import { CollectRequest, HeldHead, protocolVersion } from "../contract/messages.ts";
import type { Log } from "../log.ts";
import type { NodeName } from "../names.ts";
import { chunkBytes, sha256 } from "../replica/chunks.ts";
import type { Cancel, Clock, Milliseconds } from "../time.ts";
import { pieceOf, type HeldJournal, type Holding } from "./held.ts";

export interface CollectOptions {
  readonly journals: readonly HeldJournal[];
  /** Who is asked, and waited for. Absent: every proxy, and nobody knows how many those are. */
  readonly proxies?: readonly NodeName[];
  /** The longest silence, in milliseconds: when nothing has come for so long, what is there is the answer. */
  readonly waitMs: Milliseconds;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * Asks proxies what they hold. Resolves when all who were named have said it, or nobody says anything more; what did not come whole
 * is left out, and the log says so.
 *
 * Everything that is collected is in memory at once: a million revocations of each proxy are 12 MB.
 *
 * @throws BusUnavailable when the bus is away
 */
export async function collectHoldings(bus: Bus, options: CollectOptions): Promise<Holding[]> {
  if (options.proxies?.length === 0) return [];
  const collection = new Collection(options);
  await using _ = await bus.subscribe(subjects.holdings, (message) => collection.hear(message));
  bus.publish(subjects.everyProxy("collect"), JSON.stringify(collection.request));
  await collection.complete();
  return collection.whole();
}

/** An answer on its way. */
interface Answer {
  readonly proxy: NodeName;
  readonly head: HeldHead;
  readonly pieces: Uint8Array[];
  length: number;
  /** Why it cannot be used. */
  broken?: string;
}

class Collection {
  readonly request: CollectRequest;
  readonly #options: CollectOptions;
  readonly #answers = new Map<string, Answer>();
  readonly #done: Promise<void>;
  readonly #finish: () => void;
  #silence: Cancel = () => {};

  constructor(options: CollectOptions) {
    const { journals, proxies } = options;
    this.#options = options;
    this.request = CollectRequest.parse({
      v: protocolVersion,
      id: randomUUID(),
      journals: [...journals],
      ...(proxies === undefined ? {} : { proxies: [...proxies] }),
    });
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#done = promise;
    this.#finish = resolve;
  }

  hear(message: Message): void {
    const proxy = message.subject.slice(message.subject.lastIndexOf(".") + 1);
    const piece = pieceOf(message);
    if (piece === undefined) this.#begin(proxy, message);
    else if (piece.id === this.request.id)
      this.#add(this.#answers.get(`${proxy}/${piece.journal}`), piece.index, message);
  }

  async complete(): Promise<void> {
    this.#heard();
    await this.#done;
    this.#silence();
  }

  /** The answers that are whole. */
  async whole(): Promise<Holding[]> {
    const holdings: Holding[] = [];
    for (const { proxy, head, pieces, length, broken } of this.#answers.values()) {
      const { journal, epoch, applied } = head;
      if (epoch === undefined) continue;
      let why = broken;
      if (why === undefined && length !== head.bytes)
        why = `${pieces.length} of ${head.chunks} pieces`;
      const bytes = Buffer.concat(why === undefined ? pieces : []);
      if (why === undefined && (await sha256(bytes)) !== head.sha256)
        why = "the checksum does not fit";
      if (why === undefined) holdings.push({ proxy, journal, epoch, applied, bytes });
      else this.#options.log.warn({ proxy, journal, cause: why }, "holding of a proxy left out");
    }
    return holdings;
  }

  #begin(proxy: NodeName, message: Message): void {
    const head = readHead(message);
    if (head?.id !== this.request.id || !this.#isExpected(proxy, head.journal)) return;
    const name = `${proxy}/${head.journal}`;
    // The first one counts: a second one would be of a second process under the same name.
    if (this.#answers.has(name)) return;
    const answer: Answer = { proxy, head, pieces: [], length: 0 };
    if (head.chunks !== Math.ceil(head.bytes / chunkBytes))
      answer.broken = "its head contradicts itself";
    this.#answers.set(name, answer);
    this.#heard();
  }

  #add(answer: Answer | undefined, index: number, message: Message): void {
    if (answer === undefined || answer.broken !== undefined) return;
    const bytes = message.bytes();
    if (index !== answer.pieces.length)
      answer.broken = `piece ${index} came after ${answer.pieces.length} others`;
    else if (answer.length + bytes.byteLength > answer.head.bytes)
      answer.broken = "there is more of it than its head says";
    else {
      // A message is not to be kept for longer than this call.
      answer.pieces.push(bytes.slice());
      answer.length += bytes.byteLength;
    }
    this.#heard();
  }

  #isExpected(proxy: NodeName, journal: HeldJournal): boolean {
    const { proxies, journals } = this.#options;
    return journals.includes(journal) && (proxies?.includes(proxy) ?? true);
  }

  #heard(): void {
    const { proxies, journals, clock, waitMs } = this.#options;
    this.#silence();
    this.#silence = clock.after(waitMs, this.#finish);
    const isOver = (proxy: NodeName) =>
      journals.every((journal) => {
        const answer = this.#answers.get(`${proxy}/${journal}`);
        if (answer === undefined) return false;
        return answer.broken !== undefined || answer.length === answer.head.bytes;
      });
    if (proxies?.every(isOver) === true) this.#finish();
  }
}

function readHead(message: Message): HeldHead | undefined {
  try {
    return HeldHead.parse(JSON.parse(message.text()));
  } catch {
    // Not a head of this version, or none.
    return undefined;
  }
}
