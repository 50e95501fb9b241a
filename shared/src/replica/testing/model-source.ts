/** How a replica sees a model of a journal: the network in between does what the test says. */
import type { Head, Recorded } from "../../journal/journal.ts";
import { disposable } from "../../lifetime.ts";
import type { Clock, Milliseconds } from "../../time.ts";
import type { ReplicaSource, SyncAnswer, SyncQuestion } from "../source.ts";
import type { ModelJournal } from "./model-journal.ts";

export class ModelSource implements ReplicaSource {
  readonly asked: SyncQuestion[] = [];
  reconnects = 0;
  /** What becomes of questions. */
  answering: (question: SyncQuestion, signal: AbortSignal) => Promise<SyncAnswer>;
  readonly #entries = new Set<(entry: Recorded) => void>();
  readonly #heads = new Set<(head: Head, term?: number) => void>();
  readonly #reconnected = new Set<() => void>();

  constructor(journal: ModelJournal, clock: Clock, delayMs: () => Milliseconds = () => 1) {
    this.answering = (question) => {
      // Answered as of now, delivered later: what is recorded in between is not in it.
      const answer = journal.answer(question);
      return new Promise((resolve) => clock.after(delayMs(), () => resolve(answer)));
    };
  }

  feed(entry: Recorded): void {
    for (const listener of this.#entries) listener(entry);
  }
  beacon(head: Head, term?: number): void {
    for (const listener of this.#heads) listener(head, term);
  }
  comeBack(): void {
    for (const listener of this.#reconnected) listener();
  }
  get subscribed(): boolean {
    return this.#heads.size > 0;
  }

  follow(onEntry: (entry: Recorded) => void): Promise<AsyncDisposable> {
    this.#entries.add(onEntry);
    return Promise.resolve(disposable(() => void this.#entries.delete(onEntry)));
  }
  beacons(onHead: (head: Head, term?: number) => void): Promise<AsyncDisposable> {
    this.#heads.add(onHead);
    return Promise.resolve(disposable(() => void this.#heads.delete(onHead)));
  }
  sync(question: SyncQuestion, signal: AbortSignal): Promise<SyncAnswer> {
    this.asked.push(question);
    return this.answering(question, signal);
  }
  onReconnected(listener: () => void): () => void {
    this.#reconnected.add(listener);
    return () => void this.#reconnected.delete(listener);
  }
  reconnect(): Promise<void> {
    this.reconnects++;
    return Promise.resolve();
  }
}
