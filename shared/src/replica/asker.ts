import { BusUnavailable } from "../bus/bus.ts";
import type { JournalName } from "../journal/journal.ts";
import { messageOf } from "../lifetime.ts";
import type { Log } from "../log.ts";
import { sleep, type Clock, type Milliseconds, type Random } from "../time.ts";
import type { ReplicaSource, SyncAnswer, SyncQuestion, WholeAnswer } from "./source.ts";
import type { ReplicaTimings } from "./timings.ts";

/**
 * `full`: what is held cannot be built upon, everything is asked for and what the feed brings waits.
 * `delta`: what comes after `applied` is asked for; the feed goes on meanwhile.
 */
export type SyncKind = "full" | "delta";

export interface AskerOptions {
  readonly journal: JournalName;
  readonly source: ReplicaSource;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly timings: ReplicaTimings;
  /** What to ask, at the moment of asking. */
  readonly question: (kind: SyncKind) => SyncQuestion;
  /**
   * Takes an answer, in its own time; the question stays open meanwhile. False: it is of no use, and another question is due.
   *
   * @throws anything when it cannot be taken, with the same effect as false
   */
  readonly take: (answer: WholeAnswer, asked: Asked) => Promise<boolean>;
  /** An answer was taken, and no question is open any more. */
  readonly settled: (answer: WholeAnswer, asked: Asked) => void;
  /** Whether nothing else is heard either, so that a question without an answer means a dead connection. */
  readonly deaf: () => boolean;
}

/** A question that was asked. */
export interface Asked {
  readonly kind: SyncKind;
  readonly question: SyncQuestion;
  /** When: whatever was recorded before that, the answer knows. */
  readonly at: Milliseconds;
  /** Aborts when the answer is no longer wanted. */
  readonly signal: AbortSignal;
}

/** How many times the silence within an answer a whole answer may take. */
const wholeAnswer = 60;
/** How many times the longest ordinary wait there may be after answers that could not be taken: each has cost a transfer. */
const longestRest = 10;

/** There was an answer, and it is of no use: not the connection's fault. */
class Untakable extends Error {}

/** Asks for what a replica lacks: one question at a time, again until there is an answer that is of use. */
export class Asker {
  readonly #options: AskerOptions;
  #open: { kind: SyncKind; readonly stop: AbortController } | undefined;
  /** Questions in a row that nobody answered. */
  #unanswered = 0;
  /** The connection was given up because nothing came back. */
  #mute = false;
  #closed = false;
  /** Ends the rest before the next question, while there is one. */
  #rest: AbortController | undefined;

  constructor(options: AskerOptions) {
    this.#options = options;
  }

  /** The question that is open. */
  get asking(): SyncKind | undefined {
    return this.#open?.kind;
  }

  get mute(): boolean {
    return this.#mute;
  }

  /** Something was heard: the connection is alive. */
  heard(): void {
    this.#mute = false;
    this.#unanswered = 0;
  }

  /**
   * Begins a question. One is open at a time; a full one takes the place of a delta.
   *
   * @param jitterMs longest random wait before it, when many ask at once
   * @returns false when the open one will do
   */
  ask(kind: SyncKind, jitterMs: Milliseconds): boolean {
    if (this.#closed) return false;
    if (this.#open !== undefined) {
      if (this.#open.kind === "full" || kind === "delta") return false;
      this.#open.stop.abort(new Error("a full question took its place"));
    }
    this.#open = { kind, stop: new AbortController() };
    void this.#untilAnswered(this.#open.stop.signal, this.#options.random() * jitterMs);
    return true;
  }

  /** Makes the open question a full one: from now on what the feed brings waits. */
  widen(): void {
    if (this.#open !== undefined) this.#open.kind = "full";
  }

  /**
   * What kept questions from being answered is over: one that rests before it is asked again is asked soon.
   *
   * @param jitterMs longest random wait before it
   */
  hurry(jitterMs: Milliseconds): void {
    this.#rest?.abort(this.#options.random() * jitterMs);
  }

  close(reason: Error): void {
    this.#closed = true;
    this.#open?.stop.abort(reason);
  }

  /** How long to wait after so many failures, with jitter. */
  retryDelay(failures: number): Milliseconds {
    const { retryMs, retryMaxMs } = this.#options.timings;
    const delayMs = Math.min(retryMaxMs, retryMs * 2 ** Math.min(failures, 10));
    return delayMs * (0.5 + this.#options.random() / 2);
  }

  async #untilAnswered(signal: AbortSignal, firstDelayMs: Milliseconds): Promise<void> {
    const { clock, log, journal, timings } = this.#options;
    let delayMs = firstDelayMs;
    let untakable = 0;
    for (let failures = 0; !signal.aborted; failures++) {
      try {
        if (delayMs > 0) await this.#resting(delayMs, signal);
        delayMs = this.retryDelay(failures);
        const { kind } = this.#open!;
        const question = this.#options.question(kind);
        const asked: Asked = { kind, question, at: clock.monotonic(), signal };
        const answer = await this.#once(asked);
        if (signal.aborted) return;
        this.heard();
        if (answer.mode === "retry")
          delayMs = Math.min(Math.max(answer.afterMs, 1), timings.retryMaxMs);
        else if (await this.#taken(answer, asked)) return;
      } catch (error) {
        if (signal.aborted) return;
        if (this.#open?.stop.signal !== signal) {
          log.error(
            { journal, cause: messageOf(error) },
            "replica could not go on after an answer",
          );
          return;
        }
        if (error instanceof Untakable) {
          log.warn({ journal, cause: messageOf(error) }, "replica cannot take the answer");
          delayMs = timings.retryMaxMs * Math.min(++untakable, longestRest);
        } else {
          log.debug({ journal, cause: messageOf(error) }, "replica got no answer");
          await this.#doubt(error);
        }
      }
    }
  }

  /** Sleeps, for as long as nobody is in a hurry. */
  async #resting(delayMs: Milliseconds, signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    const until = clock.monotonic() + delayMs;
    const rest = new AbortController();
    this.#rest = rest;
    try {
      await sleep(clock, delayMs, AbortSignal.any([signal, rest.signal]));
    } catch {
      signal.throwIfAborted();
      const leftMs = Math.min(until - clock.monotonic(), rest.signal.reason as Milliseconds);
      await sleep(clock, Math.max(0, leftMs), signal);
    } finally {
      if (this.#rest === rest) this.#rest = undefined;
    }
  }

  /** @returns whether nothing is left to ask */
  async #taken(answer: WholeAnswer, asked: Asked): Promise<boolean> {
    let taken: boolean;
    try {
      taken = await this.#options.take(answer, asked);
    } catch (cause) {
      throw new Untakable(messageOf(cause), { cause });
    }
    if (asked.signal.aborted) return true;
    if (!taken) return false;
    this.#open = undefined;
    this.#options.settled(answer, asked);
    return true;
  }

  /** Two questions that nobody answered, and nothing else heard: the connection is open and dead. */
  async #doubt(error: unknown): Promise<void> {
    const { source, log, journal, deaf } = this.#options;
    // That nobody listens is an answer of the bus; silence is not.
    if (error instanceof BusUnavailable && error.kind === "no-responders") return;
    this.#unanswered++;
    if (this.#unanswered % 2 !== 0 || !deaf()) return;
    this.#mute = true;
    try {
      await source.reconnect();
    } catch (reason) {
      log.warn({ journal, cause: messageOf(reason) }, "reconnect failed");
    }
  }

  /** One question with a deadline: the source bounds the silence, this bounds a source that does not. */
  async #once({ question, signal }: Asked): Promise<SyncAnswer> {
    const { clock, source, timings } = this.#options;
    const deadline = new AbortController();
    const cancel = clock.after(timings.answerTimeoutMs * wholeAnswer, () =>
      deadline.abort(new Error("no whole answer in time")),
    );
    const either = AbortSignal.any([signal, deadline.signal]);
    try {
      return await Promise.race([source.sync(question, either), rejected(either)]);
    } finally {
      cancel();
    }
  }
}

function rejected(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason as Error);
    else signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
  });
}
