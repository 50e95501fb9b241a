import { BusUnavailable } from "../bus/bus.ts";
import type { JournalName } from "../journal/journal.ts";
import { messageOf } from "../lifetime.ts";
import type { Log } from "../log.ts";
import { sleep, type Clock, type Milliseconds, type Random } from "../time.ts";
import type { ReplicaSource, SyncAnswer, SyncQuestion } from "./source.ts";
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
  /** Takes an answer. False: it is of no use, and another question is due. */
  readonly take: (kind: SyncKind, answer: SyncAnswer) => boolean;
  /** An answer was taken, and no question is open any more. */
  readonly settled: () => void;
  /** Whether nothing else is heard either, so that a question without an answer means a dead connection. */
  readonly silent: () => boolean;
}

/** How many times the silence within an answer a whole answer may take. */
const wholeAnswer = 15;

/** Asks for what a replica lacks: one question at a time, again until there is an answer that is of use. */
export class Asker {
  readonly #options: AskerOptions;
  #open: { readonly kind: SyncKind; readonly stop: AbortController } | undefined;
  /** Questions in a row that nobody answered. */
  #unanswered = 0;
  /** The connection was given up because nothing came back. */
  #mute = false;
  #closed = false;

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
    void this.#untilAnswered(kind, this.#open.stop.signal, this.#options.random() * jitterMs);
    return true;
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

  async #untilAnswered(
    kind: SyncKind,
    signal: AbortSignal,
    firstDelayMs: Milliseconds,
  ): Promise<void> {
    const { clock, log, journal, timings, take, settled } = this.#options;
    let delayMs = firstDelayMs;
    for (let failures = 0; !signal.aborted; failures++) {
      try {
        if (delayMs > 0) await sleep(clock, delayMs, signal);
        const answer = await this.#once(kind, signal);
        if (signal.aborted) return;
        this.heard();
        if (take(kind, answer)) {
          this.#open = undefined;
          settled();
          return;
        }
        delayMs =
          answer.mode === "retry"
            ? Math.min(Math.max(answer.afterMs, 1), timings.retryMaxMs)
            : this.retryDelay(failures);
      } catch (error) {
        if (signal.aborted) return;
        delayMs = this.retryDelay(failures);
        log.debug({ journal, cause: messageOf(error) }, "replica got no answer");
        await this.#doubt(error);
      }
    }
  }

  /** Two questions that nobody answered, and nothing else heard: the connection is open and dead. */
  async #doubt(error: unknown): Promise<void> {
    const { source, log, journal, silent } = this.#options;
    // That nobody listens is an answer of the bus; silence is not.
    if (error instanceof BusUnavailable && error.kind === "no-responders") return;
    this.#unanswered++;
    if (this.#unanswered % 2 !== 0 || !silent()) return;
    this.#mute = true;
    try {
      await source.reconnect();
    } catch (reason) {
      log.warn({ journal, cause: messageOf(reason) }, "reconnect failed");
    }
  }

  /** One question with a deadline: the source bounds the silence, this bounds a source that does not. */
  async #once(kind: SyncKind, signal: AbortSignal): Promise<SyncAnswer> {
    const { clock, source, timings, question } = this.#options;
    const deadline = new AbortController();
    const cancel = clock.after(timings.answerTimeoutMs * wholeAnswer, () =>
      deadline.abort(new Error("no whole answer in time")),
    );
    const either = AbortSignal.any([signal, deadline.signal]);
    try {
      return await Promise.race([source.sync(question(kind), either), rejected(either)]);
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
