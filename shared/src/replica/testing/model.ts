/** A journal as it is, and a source through which a replica sees it: the network in between does what the test says. */
import { disposable } from "../../lifetime.ts";
import type { Epoch, Head, Recorded, Sequence } from "../../journal/journal.ts";
import type { Clock, Milliseconds } from "../../time.ts";
import type { ReplicaSource, ReplicaTable, SyncAnswer, SyncQuestion } from "../source.ts";

export class ModelJournal {
  epoch: Epoch = "epoch-1";
  #history: Recorded[] = [];
  last: Sequence = 0;
  readonly keyed: boolean;
  #epochs = 1;
  #writes = 0;

  constructor(keyed = false) {
    this.keyed = keyed;
  }

  append(key = "key", body = `body-${++this.#writes}`, operation?: string): Recorded {
    const entry: Recorded = {
      key,
      body,
      sequence: ++this.last,
      epoch: this.epoch,
      ...(operation === undefined ? {} : { operation }),
    };
    this.#history.push(entry);
    return entry;
  }

  /** The stream is deleted and made anew. */
  recreate(): void {
    this.epoch = `epoch-${++this.#epochs}`;
    this.#history = [];
    this.last = 0;
  }

  /**
   * The store is restored from an older copy: the last entries are gone. With `noticed` the control plane has seen it, and says so
   * by another epoch before anything new is recorded.
   */
  rewind(to: Sequence, noticed = false): void {
    if (noticed) {
      this.epoch = `epoch-${++this.#epochs}`;
      this.#history = this.#history.map((entry) => ({ ...entry, epoch: this.epoch }));
    }
    this.last = Math.min(this.last, to);
    this.#history = this.#history.filter(({ sequence }) => sequence <= this.last);
  }

  /** What is kept: of a keyed journal the last entry per key. */
  get entries(): Recorded[] {
    if (!this.keyed) return [...this.#history];
    const last = new Map(this.#history.map((entry) => [entry.key, entry.sequence]));
    return this.#history.filter(({ key, sequence }) => last.get(key) === sequence);
  }

  get head(): Head {
    return { epoch: this.epoch, head: this.last };
  }

  answer(question: SyncQuestion): SyncAnswer {
    if (question.atLeast > this.last && question.epoch === this.epoch)
      return { mode: "retry", afterMs: 50, why: "behind" };
    const delta = question.epoch === this.epoch && question.applied <= this.last;
    const entries = this.entries.filter(({ sequence }) => !delta || sequence > question.applied);
    return {
      mode: delta ? "delta" : "snapshot",
      epoch: this.epoch,
      to: this.last,
      entries: [...entries],
    };
  }
}

export class ModelSource implements ReplicaSource {
  readonly asked: SyncQuestion[] = [];
  reconnects = 0;
  /** What becomes of questions. */
  answering: (question: SyncQuestion, signal: AbortSignal) => Promise<SyncAnswer>;
  readonly #entries = new Set<(entry: Recorded) => void>();
  readonly #heads = new Set<(head: Head) => void>();
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
  beacon(head: Head): void {
    for (const listener of this.#heads) listener(head);
  }
  comeBack(): void {
    for (const listener of this.#reconnected) listener();
  }

  follow(onEntry: (entry: Recorded) => void): Promise<AsyncDisposable> {
    this.#entries.add(onEntry);
    return Promise.resolve(disposable(() => void this.#entries.delete(onEntry)));
  }
  beacons(onHead: (head: Head) => void): Promise<AsyncDisposable> {
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

/** The bodies by key, replaced by a snapshot. Refuses bodies that begin with `poison`, and anything applied out of order. */
export class ReplaceTable implements ReplicaTable<Recorded> {
  bodies = new Map<string, string>();
  applied: Sequence[] = [];
  #last = 0;

  decode(entry: Recorded): Recorded {
    if (entry.body.startsWith("poison")) throw new Error("poisoned");
    return entry;
  }
  apply(entry: Recorded): void {
    if (entry.sequence <= this.#last)
      throw new Error(`applied ${entry.sequence} after ${this.#last}`);
    this.#last = entry.sequence;
    this.applied.push(entry.sequence);
    this.bodies.set(entry.key, entry.body);
  }
  load(changes: readonly { readonly change: Recorded }[]): void {
    this.bodies = new Map(changes.map(({ change }) => [change.key, change.body]));
    this.#last = changes.at(-1)?.change.sequence ?? 0;
  }
}

/** The set of all bodies ever heard. */
export class UnionTable implements ReplicaTable<string> {
  readonly bodies = new Set<string>();
  decode({ body }: Recorded): string {
    if (body.startsWith("poison")) throw new Error("poisoned");
    return body;
  }
  apply(body: string): void {
    this.bodies.add(body);
  }
  load(changes: readonly { readonly change: string }[]): void {
    for (const { change } of changes) this.bodies.add(change);
  }
}
