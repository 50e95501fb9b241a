import { createHash } from "node:crypto";
import type { Bus, Message } from "../bus/bus.ts";
import { subjects } from "../bus/subjects.ts";
import { Beacon, protocolVersion, SyncHead, type SyncRequest } from "../contract/messages.ts";
import { recordedOf } from "../journal/feed.ts";
import type { JournalName } from "../journal/journal.ts";
import type { NodeName } from "../names.ts";
import { systemClock, type Clock, type Milliseconds } from "../time.ts";
import { BeaconGate } from "./beacon-gate.ts";
import type { ReplicaSource, SyncAnswer } from "./source.ts";
import { defaultTimings } from "./timings.ts";
import { unpackEntries } from "./wire.ts";

export interface BusSourceOptions {
  readonly bus: Bus;
  readonly journal: JournalName;
  /** Who asks. */
  readonly node: NodeName;
  /** Tells when a beacon comes after a silence. Default: the system's. */
  readonly clock?: Clock;
  /** Longest silence within an answer, in milliseconds. Default 2 000. */
  readonly answerTimeoutMs?: Milliseconds;
}

/** How a proxy learns: feed, beacon and answers over the bus. */
export function createBusSource(options: BusSourceOptions): ReplicaSource {
  const { bus, journal, node, clock = systemClock } = options;
  const timeoutMs = options.answerTimeoutMs ?? defaultTimings.answerTimeoutMs;
  return {
    follow: (onEntry) =>
      bus.subscribe(subjects.feed(journal), (message) => {
        const entry = recordedOf(journal, message);
        if (entry !== undefined) onEntry(entry);
      }),
    beacons(onHead) {
      const gate = new BeaconGate(bus, clock);
      return bus.subscribe(subjects.beacon, (message) => {
        const beacon = readBeacon(message);
        const head = beacon?.journals[journal];
        if (head !== undefined) gate.heard(() => onHead(head, beacon!.term));
      });
    },
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
      return answer.whole(signal);
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
  #bytes: Buffer = Buffer.alloc(0);
  #length = 0;
  #pieces = 0;
  readonly #hash = createHash("sha256");

  /** @throws Error when it is no head, or more than it says */
  take(message: Message): "more" | "done" {
    if (this.#head === undefined) {
      const head = SyncHead.parse(JSON.parse(message.text()));
      this.#head = head;
      if (head.mode === "retry" || head.chunks === 0) return "done";
      // Each page of it takes memory when it is written to.
      this.#bytes = Buffer.alloc(head.bytes);
      return "more";
    }
    const piece = message.bytes();
    if (this.#length + piece.byteLength > this.#bytes.byteLength) throw this.#damaged();
    this.#bytes.set(piece, this.#length);
    this.#hash.update(piece);
    this.#length += piece.byteLength;
    this.#pieces++;
    return this.#head.mode !== "retry" && this.#pieces < this.#head.chunks ? "more" : "done";
  }

  /** @throws Error when a piece is missing or damaged */
  async whole(signal: AbortSignal): Promise<SyncAnswer> {
    const head = this.#head;
    if (head === undefined) throw new Error("the answer has no head");
    if (head.mode === "retry") return { mode: "retry", afterMs: head.afterMs, why: head.why };
    const { mode, epoch, to } = head;
    if (this.#length !== head.bytes || this.#hash.digest("hex") !== head.sha256)
      throw this.#damaged();
    if (head.form !== "dump")
      return { mode, epoch, to, entries: await unpackEntries(this.#bytes, epoch, signal) };
    if (mode !== "snapshot") throw new Error("a dump is everything, and no delta");
    return { mode, epoch, to, dump: this.#bytes };
  }

  #damaged(): Error {
    return new Error(`the answer is damaged: ${this.#length} bytes in ${this.#pieces} pieces`);
  }
}
