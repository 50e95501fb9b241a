/**
 * What happens when a store has lost entries: it was wiped, or restored from an older copy. This node still knows them, and what was
 * answered 2xx is never lost, so they are written again (docs/design/decisions/0018-a-store-that-went-backwards.md).
 */
import { messageOf, sleep, type Clock, type Log, type Random } from "@tocsin/shared";
import {
  JournalConflict,
  type Entry,
  type Epoch,
  type Journal,
  type Sequence,
} from "@tocsin/shared/journal";
import type { ReplicaStatus } from "@tocsin/shared/replica";

/** An entry that the store should have. */
export interface Owed extends Entry {
  /** What the store has under this key, 0: nothing. Undefined: the journal is a log, and the entry is added to it. */
  readonly expected: Sequence | undefined;
}

export interface RecoveryOptions {
  readonly journal: Journal;
  readonly replica: () => ReplicaStatus;
  /** What stands in this node's table and not in the store. */
  readonly owed: () => Iterable<Owed> | AsyncIterable<Owed>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** Entries written at the same time. */
const atOnce = 64;
/** Longest random wait before writing, in milliseconds, so that of several nodes one has done it when the others look. */
const jitterMs = 150;
const retryMs = 300;

/** Brings one journal forward to what this node knows. */
export class Recovery implements AsyncDisposable {
  readonly #options: RecoveryOptions;
  readonly #closed = new AbortController();
  #running: Promise<void> | undefined;
  #again = false;
  /** The epoch that went backwards and needs another name. */
  #rewound: Epoch | undefined;
  #seen: Seen;

  constructor(options: RecoveryOptions) {
    this.#options = options;
    this.#seen = seenOf(options.replica());
  }

  /** Nothing is on its way to the store. */
  get idle(): boolean {
    return this.#running === undefined;
  }

  /** The replica has changed. Cheap where nothing was lost. */
  look(): void {
    const before = this.#seen;
    const now = seenOf(this.#options.replica());
    this.#seen = now;
    // The first one ever: there is nothing that it could have lost.
    if (before.epoch === undefined) return;
    if (now.epoch !== before.epoch) return this.#start();
    if (now.rewinds === before.rewinds) return;
    // The same epoch, but less of it than before: it goes on under numbers that were used.
    this.#rewound = now.epoch;
    this.#start();
  }

  /**
   * Writes what is owed, whatever the replica has noticed.
   *
   * @param rewound the epoch, when it is known to have gone backwards
   */
  async mend(rewound?: Epoch): Promise<void> {
    this.#rewound ??= rewound;
    this.#start();
    await this.#running;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort(new Error("closed"));
    await this.#running;
  }

  #start(): void {
    if (this.#closed.signal.aborted) return;
    this.#again = this.#running !== undefined;
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
      if (this.#again) this.#start();
    });
  }

  async #run(): Promise<void> {
    const { journal, clock, random, log } = this.#options;
    const { name } = journal.definition;
    const { signal } = this.#closed;
    try {
      await sleep(clock, random() * jitterMs, signal);
      for (;;) {
        try {
          const entries = await this.#repay();
          if (entries > 0) log.warn({ journal: name, entries }, "what the store lost is back");
          if (this.#rewound === undefined) return;
          const { epoch } = await journal.renew(this.#rewound);
          this.#rewound = undefined;
          log.warn({ journal: name, epoch }, "the store went backwards: another history begins");
          return;
        } catch (error) {
          signal.throwIfAborted();
          log.warn(
            { journal: name, cause: messageOf(error) },
            "the store has lost entries and does not take them yet",
          );
        }
        await sleep(clock, retryMs * (0.5 + random()), signal);
      }
    } catch {
      // Closed: another node does it, or this one when it starts again.
    }
  }

  /** Writes what is owed now. @returns how many entries */
  async #repay(): Promise<number> {
    let written = 0;
    let group: Owed[] = [];
    const flush = async () => {
      const writing = group;
      group = [];
      const done = await Promise.all(writing.map((entry) => this.#write(entry)));
      written += done.filter(Boolean).length;
    };
    for await (const entry of this.#options.owed()) {
      group.push(entry);
      if (group.length === atOnce) await flush();
    }
    await flush();
    return written;
  }

  /** @returns false when somebody wrote this key meanwhile, who knew more than we do */
  async #write({ key, body, expected }: Owed): Promise<boolean> {
    try {
      await this.#options.journal.append(
        { key, body },
        { signal: this.#closed.signal, ...(expected === undefined ? {} : { expected }) },
      );
      return true;
    } catch (error) {
      if (error instanceof JournalConflict) return false;
      throw error;
    }
  }
}

interface Seen {
  readonly rewinds: number;
  readonly epoch: Epoch | undefined;
}

function seenOf({ resyncs, epoch }: ReplicaStatus): Seen {
  return { rewinds: resyncs.rewind, epoch };
}
