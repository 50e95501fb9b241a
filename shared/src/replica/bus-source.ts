import type { Bus, Message } from "../bus/bus.ts";
import { subjects } from "../bus/subjects.ts";
import {
  Beacon,
  protocolVersion,
  SyncEntry,
  SyncHead,
  type SyncRequest,
} from "../contract/messages.ts";
import { recordedOf } from "../journal/feed.ts";
import type { JournalName, Recorded } from "../journal/journal.ts";
import type { NodeName } from "../names.ts";
import type { Milliseconds } from "../time.ts";
import { sha256 } from "./chunks.ts";
import type { ReplicaSource, SyncAnswer } from "./source.ts";
import { defaultTimings } from "./timings.ts";

export interface BusSourceOptions {
  readonly bus: Bus;
  readonly journal: JournalName;
  /** Who asks. */
  readonly node: NodeName;
  /** Longest silence within an answer, in milliseconds. Default 2 000. */
  readonly answerTimeoutMs?: Milliseconds;
}

/** How a proxy learns: feed, beacon and answers over the bus. */
export function createBusSource(options: BusSourceOptions): ReplicaSource {
  const { bus, journal, node } = options;
  const timeoutMs = options.answerTimeoutMs ?? defaultTimings.answerTimeoutMs;
  return {
    follow: (onEntry) =>
      bus.subscribe(subjects.feed(journal), (message) => {
        const entry = recordedOf(journal, message);
        if (entry !== undefined) onEntry(entry);
      }),
    beacons: (onHead) =>
      bus.subscribe(subjects.beacon, (message) => {
        const beacon = readBeacon(message);
        if (beacon !== undefined) onHead(beacon.journals[journal]);
      }),
    async sync(question, signal) {
      const answer = new Answer();
      const request: SyncRequest = {
        v: protocolVersion,
        node,
        applied: question.applied,
        atLeast: question.atLeast,
        ...(question.epoch === undefined ? {} : { epoch: question.epoch }),
      };
      await bus.requestMany(
        subjects.sync(journal),
        JSON.stringify(request),
        (message) => answer.take(message),
        { timeoutMs, signal },
      );
      return answer.whole();
    },
    onReconnected(listener) {
      let away = bus.state !== "connected";
      return bus.onState((state) => {
        if (state === "connected" && away) listener();
        away = state !== "connected";
      });
    },
    reconnect: () => bus.reconnect(),
  };
}

function readBeacon(message: Message): Beacon | undefined {
  try {
    return Beacon.parse(JSON.parse(message.text()));
  } catch {
    // A beacon of another protocol version, or none: as if it had not been heard.
    return undefined;
  }
}

/** An answer on its way: the head, then so many pieces. */
class Answer {
  #head: SyncHead | undefined;
  readonly #pieces: Uint8Array[] = [];

  take(message: Message): "more" | "done" {
    if (this.#head === undefined) {
      this.#head = SyncHead.parse(JSON.parse(message.text()));
      return this.#head.mode === "retry" || this.#head.chunks === 0 ? "done" : "more";
    }
    this.#pieces.push(message.bytes().slice());
    return this.#head.mode !== "retry" && this.#pieces.length < this.#head.chunks ? "more" : "done";
  }

  /** @throws Error when a piece is missing or damaged */
  whole(): SyncAnswer {
    const head = this.#head;
    if (head === undefined) throw new Error("the answer has no head");
    if (head.mode === "retry") return { mode: "retry", afterMs: head.afterMs, why: head.why };
    const bytes = Buffer.concat(this.#pieces);
    if (sha256(bytes) !== head.sha256)
      throw new Error(
        `the answer is damaged: ${bytes.byteLength} bytes in ${this.#pieces.length} of ${head.chunks} pieces`,
      );
    const entries = (JSON.parse(bytes.toString()) as unknown[]).map((entry) =>
      unpack(SyncEntry.parse(entry), head.epoch),
    );
    return { mode: head.mode, epoch: head.epoch, to: head.to, entries };
  }
}

function unpack([sequence, key, body, operation]: SyncEntry, epoch: string): Recorded {
  return { sequence, key, body, epoch, ...(operation === undefined ? {} : { operation }) };
}
