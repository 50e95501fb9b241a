/**
 * The journals of one machine, on SQLite (docs/design/decisions/0005-standalone-on-sqlite.md).
 */
import type { Bus } from "../bus/bus.ts";
import { assertOperation, subjects } from "../bus/subjects.ts";
import { once } from "../lifetime.ts";
import type { Log } from "../log.ts";
import { systemRandom, type Clock, type Random } from "../time.ts";
import { openDatabase } from "./embedded-database.ts";
import { journalTable, type JournalTable } from "./embedded-table.ts";
import { createWriter, type Writer } from "./embedded-writer.ts";
import { feedHeaders, recordedOf } from "./feed.ts";
import {
  auditLog,
  hasFeed,
  journals,
  JournalUnavailable,
  type Appended,
  type AppendOptions,
  type Entry,
  type Epoch,
  type Head,
  type Journal,
  type JournalKey,
  type JournalName,
  type Journals,
  type Ledger,
  type NamedJournal,
  type NamedStream,
  type Recorded,
  type Sequence,
} from "./journal.ts";

export interface EmbeddedStoreOptions {
  /** Where the feed goes. Not disposed with the store. */
  readonly bus: Bus;
  readonly clock: Clock;
  readonly log?: Log;
  /** Default: the system's. */
  readonly random?: Random;
  /** Other definitions than the fleet's, for tests of ages. */
  readonly definitions?: Readonly<Record<JournalName, NamedJournal>>;
  /** The same of the audit. */
  readonly audit?: NamedStream;
}

export interface EmbeddedStore extends AsyncDisposable {
  readonly journals: Journals;
  readonly audit: Ledger;
}

/** How often too old entries are looked for, in milliseconds. */
const pruneEveryMs = 60_000;
/** Rows read at once. */
const page = 1_000;

/**
 * Opens the journals of a state directory. Journals with storage `memory` begin anew each time.
 *
 * @param directory a path, or `":memory:"` for journals that end with the store
 * @throws StateDirectoryError when another process uses it, or the file in it is damaged or of a newer format
 */
export async function openEmbeddedStore(
  directory: string,
  options: EmbeddedStoreOptions,
): Promise<EmbeddedStore> {
  const { clock } = options;
  const disk = openDatabase(directory);
  const memory = openDatabase(":memory:");
  const writers = { disk: createWriter(disk), memory: createWriter(memory) };
  const definitions: readonly NamedStream[] = [
    ...Object.values(options.definitions ?? journals),
    options.audit ?? auditLog,
  ];
  const opened = definitions.map((definition) => {
    const database = definition.storage === "disk" ? disk : memory;
    const table = journalTable(database, definition);
    return {
      table,
      journal: new EmbeddedJournal(definition, table, writers[definition.storage], options),
    };
  });
  const prune = () => {
    for (const { table } of opened) table.prune(clock.wall());
  };
  prune();
  const stopPruning = clock.every(pruneEveryMs, () => {
    try {
      prune();
    } catch (error) {
      options.log?.warn({ error }, "journal could not forget old entries");
    }
  });
  const { audit, ...fleet } = Object.fromEntries(
    opened.map(({ journal }) => [journal.definition.name, journal]),
  ) as unknown as Journals & { readonly audit: Ledger };
  return {
    journals: fleet,
    audit,
    [Symbol.asyncDispose]: once(() => {
      stopPruning();
      for (const writer of Object.values(writers)) writer.close();
      for (const { journal } of opened) journal.close();
      disk.close();
      memory.close();
    }),
  };
}

class EmbeddedJournal implements Journal {
  readonly definition: NamedStream;
  readonly #table: JournalTable;
  readonly #writer: Writer;
  readonly #options: EmbeddedStoreOptions;
  #closed = false;

  constructor(
    definition: NamedStream,
    table: JournalTable,
    writer: Writer,
    options: EmbeddedStoreOptions,
  ) {
    this.definition = definition;
    this.#table = table;
    this.#writer = writer;
    this.#options = options;
  }

  async append(entry: Entry, options: AppendOptions = {}): Promise<Appended> {
    const { operation, expected } = options;
    options.signal?.throwIfAborted();
    this.#assertOpen();
    // The same check of the key that NATS would need, so that what runs here runs there.
    subjects.log(this.definition.name, entry.key);
    if (operation !== undefined) assertOperation(operation);
    return this.#writer.submit(
      () => this.#table.write({ entry, operation, expected }, this.#options.clock.wall()),
      ({ sequence, epoch, duplicate }) => {
        if (duplicate) return;
        this.#tell({
          ...entry,
          sequence,
          epoch,
          ...(operation === undefined ? {} : { operation }),
        });
      },
    );
  }

  async last(key: JournalKey): Promise<Recorded | undefined> {
    this.#assertOpen();
    return this.#table.last(key);
  }

  async renew(from: Epoch): Promise<Head> {
    this.#assertOpen();
    const { clock, random = systemRandom } = this.#options;
    const history = `${Math.floor(clock.wall()).toString(36)}${Math.floor(random() * 1_679_616).toString(36)}`;
    await this.#writer.submit(
      () =>
        this.#table.head().epoch === from ? this.#table.renew(history, clock.wall()) : undefined,
      (recorded) => {
        if (recorded !== undefined) this.#tell(recorded);
      },
    );
    return this.#table.head();
  }

  async *read(from: Sequence, limit: number): AsyncGenerator<Recorded> {
    this.#assertOpen();
    const { head } = this.#table.head();
    let next = from;
    for (let left = limit; left > 0;) {
      this.#assertOpen();
      const entries = this.#table.read(next, head, Math.min(page, left));
      yield* entries;
      if (entries.length === 0) return;
      left -= entries.length;
      next = entries.at(-1)!.sequence + 1;
    }
  }

  async follow(onEntry: (entry: Recorded) => void): Promise<AsyncDisposable> {
    const { name } = this.definition;
    if (!hasFeed(name)) throw new Error(`the log ${name} has no feed`);
    return this.#options.bus.subscribe(subjects.feed(name), (message) => {
      const entry = recordedOf(name, message);
      if (entry !== undefined) onEntry(entry);
    });
  }

  async head(): Promise<Head> {
    this.#assertOpen();
    return this.#table.head();
  }

  close(): void {
    this.#closed = true;
  }

  readonly [Symbol.asyncDispose] = once(() => this.close());

  #tell(recorded: Recorded): void {
    const { name } = this.definition;
    if (!hasFeed(name)) return;
    this.#options.bus.publish(
      subjects.feedPrefix(name) + recorded.key,
      recorded.body,
      feedHeaders(recorded),
    );
  }

  #assertOpen(): void {
    if (this.#closed) throw new JournalUnavailable(`the journal ${this.definition.name} is closed`);
  }
}
