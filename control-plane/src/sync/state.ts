/** What a control-plane node knows: a replica of each journal, and how to write to it and see the write. */
import { messageOf, type Clock, type Log, type Milliseconds, type Random } from "@tocsin/shared";
import type { Bus } from "@tocsin/shared/bus";
import {
  assertCatalogueKey,
  assertHealthKey,
  CatalogueEntry,
  catalogueKeys,
  VerdictEntry,
} from "@tocsin/shared/contract";
import {
  JournalConflict,
  JournalUnavailable,
  journalNames,
  ofEachJournal,
  type Appended,
  type AppendOptions,
  type Entry,
  type Epoch,
  type Head,
  type JournalName,
  type Journals,
} from "@tocsin/shared/journal";
import {
  createJournalSource,
  startReplica,
  type JournalSource,
  type Replica,
} from "@tocsin/shared/replica";
import type { RevocationSet } from "@tocsin/shared/revocations";
import { fromTheHead, InvalidationLog } from "../invalidation/invalidation-log.ts";
import { condensedSource } from "./condensed-source.ts";
import { Doubt } from "./doubt.ts";
import { giveKey, keyIn } from "./fingerprint-key.ts";
import { KeyedEntries, type Held } from "./entries.ts";
import { newer } from "./newer.ts";
import { furthest, heldCatalogue, heldSets, noFleet, type Fleet, type Standing } from "./recall.ts";
import { Recovery, type Owed } from "./recovery.ts";
import { RevocationLog } from "./revocation-log.ts";
import { Stragglers } from "./stragglers.ts";

/** How long a write waits until this very node has heard of it, in milliseconds. */
const seenWithinMs = 2_000;

/** How often expired revocations are looked for, in milliseconds, and how many of the set's 256 parts are looked at then. */
const sweepEveryMs: Milliseconds = 1_000;
const sweptAtOnce = 4;

/** How an append ended. `failed`: the store did not confirm it in time, or the one who wanted it went away. */
export interface AppendReport {
  readonly journal: JournalName;
  readonly outcome: "recorded" | "conflict" | "failed";
  readonly tookMs: Milliseconds;
}

export interface StateOptions {
  readonly bus: Bus;
  readonly journals: Journals;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** The proxies, to be asked what they hold when the store has lost it. Default: there are none. */
  readonly fleet?: Fleet;
}

export class State implements AsyncDisposable {
  readonly catalogue: KeyedEntries<CatalogueEntry>;
  readonly health: KeyedEntries<VerdictEntry>;
  readonly revocations: RevocationLog;
  readonly invalidations = new InvalidationLog();
  readonly #options: StateOptions;
  readonly #stack = new AsyncDisposableStack();
  readonly #forgetBefore: () => number;
  readonly #stragglers: Stragglers;
  /** The fleet's fingerprint key, known when the catalogue has been read. */
  readonly #key = Promise.withResolvers<Uint8Array>();
  readonly #replicas: Record<JournalName, Replica>;
  readonly #sources: Record<JournalName, JournalSource>;
  readonly #recoveries: Record<JournalName, Recovery>;
  readonly #doubts: Record<JournalName, Doubt>;
  readonly #waiting = new Map<JournalName, Set<() => void>>(
    journalNames.map((name) => [name, new Set()]),
  );
  readonly #catalogueListeners: ((changed: readonly Held<CatalogueEntry>[]) => void)[] = [];
  readonly #healthListeners: (() => void)[] = [];
  readonly #writeListeners: (() => void)[] = [];
  readonly #appendListeners: ((report: AppendReport) => void)[] = [];

  constructor(options: StateOptions) {
    this.#options = options;
    const { bus, clock, random, log, journals } = options;
    this.catalogue = new KeyedEntries({
      schema: CatalogueEntry,
      assertKey: assertCatalogueKey,
      onChange: (changed) => {
        for (const listener of this.#catalogueListeners) listener(changed);
      },
      newer,
      void: (entry) => entry.kind === "gone" && (entry.term ?? Infinity) < this.term,
      onVoid: ({ recorded }) => {
        log.warn(
          { key: recorded.key, term: this.term },
          "removal by a deposed leader has no effect",
        );
        queueMicrotask(() => void this.#recoveries.catalogue.mend());
      },
    });
    this.health = new KeyedEntries({
      schema: VerdictEntry,
      assertKey: assertHealthKey,
      onChange: () => {
        for (const listener of this.#healthListeners) listener();
      },
    });
    // Five minutes of tolerance are the most that a config may grant an issuer's clock.
    const forgetBefore = () => clock.wall() / 1_000 - 600;
    this.#forgetBefore = forgetBefore;
    this.revocations = new RevocationLog(forgetBefore);
    this.#stragglers = new Stragglers({
      fleet: options.fleet ?? noFleet,
      journal: journals.revocations,
      add: (set) => this.addRevocations(set),
      log,
    });
    const source = (journal: JournalName) =>
      createJournalSource({
        journal: journals[journal],
        clock,
        log,
        onReconnected(listener) {
          let away = bus.state !== "connected";
          return bus.onState((state) => {
            if (state === "connected" && away) listener();
            away = state !== "connected";
          });
        },
        reconnect: () => bus.reconnect(),
      });
    this.#sources = {
      catalogue: source("catalogue"),
      health: source("health"),
      revocations: condensedSource({
        journal: journals.revocations,
        source: source("revocations"),
        key: () => this.#key.promise,
        forgetBefore,
        log,
      }),
      invalidations: fromTheHead(journals.invalidations, source("invalidations")),
    };
    const common = (journal: JournalName) => ({
      journal,
      source: this.#sources[journal],
      clock,
      random,
      log,
      onChange: () => this.#changed(journal),
      // There are few control-plane nodes: none of them needs to wait for its turn to ask.
      timings: { jitterMs: 0 },
    });
    this.#replicas = {
      catalogue: startReplica({ ...common("catalogue"), table: this.catalogue }),
      health: startReplica({ ...common("health"), table: this.health }),
      revocations: startReplica({ ...common("revocations"), table: this.revocations }),
      invalidations: startReplica({ ...common("invalidations"), table: this.invalidations }),
    };
    for (const name of journalNames) this.#stack.use(this.#replicas[name]);
    const recovery = (
      journal: JournalName,
      owed: () => Iterable<Owed> | AsyncIterable<Owed>,
    ): Recovery =>
      this.#stack.use(
        new Recovery({
          journal: journals[journal],
          replica: () => this.#replicas[journal].status(),
          owed,
          clock,
          random,
          log,
        }),
      );
    this.#recoveries = {
      catalogue: recovery("catalogue", () => this.catalogue.owed()),
      health: recovery("health", () => this.health.owed()),
      revocations: recovery("revocations", () => this.revocations.owed()),
      // What a store has lost of them is in force by the epoch that begins then: everything is stale.
      invalidations: recovery("invalidations", () => []),
    };
    this.#doubts = ofEachJournal((journal) =>
      this.#stack.use(
        new Doubt({
          bus,
          journal: journals[journal],
          replica: () => this.#replicas[journal].status(),
          settled: () => this.#recoveries[journal].idle,
          heard: (head) => this.heard(journal, head),
          clock,
          log,
        }),
      ),
    );
    this.onCatalogue((changed) => {
      for (const { value } of changed) {
        const key = keyIn(value);
        if (key !== undefined) this.#useKey(key);
      }
    });
    this.#stack.defer(clock.every(sweepEveryMs, () => this.revocations.sweep(sweptAtOnce)));
  }

  /**
   * Resolves when every journal has been read once, and what proxies know beyond the store is on its way into it.
   *
   * @throws JournalUnavailable when the store does not take what has to be written to it
   */
  async synced(): Promise<void> {
    const { journals, fleet = noFleet, log } = this.#options;
    await this.#replicas.catalogue.synced;
    const standings = await fleet.standings();
    const heads = {
      catalogue: await journals.catalogue.head(),
      revocations: await journals.revocations.head(),
      invalidations: await journals.invalidations.head(),
    };
    const further = {
      catalogue: furthest(standings.catalogue, heads.catalogue),
      revocations: furthest(standings.revocations, heads.revocations),
      invalidations: furthest(standings.invalidations, heads.invalidations),
    };
    const proxies = [...further.catalogue, ...further.revocations].map(({ proxy }) => proxy);
    const holdings =
      proxies.length === 0
        ? []
        : await fleet.collect(["catalogue", "revocations"], [...new Set(proxies)]);
    const entries = this.catalogue.learn(heldCatalogue(holdings, log));
    if (entries > 0) log.warn({ entries }, "the store had lost entries that proxies hold");
    void this.#recoveries.catalogue.mend(rewound(further.catalogue, heads.catalogue));
    void this.#recoveries.invalidations.mend(rewound(further.invalidations, heads.invalidations));
    const sets = heldSets(holdings, log);
    if (this.catalogue.get(catalogueKeys.fingerprintKey) === undefined)
      await giveKey((entry, options) => this.write("catalogue", entry, options), sets[0]?.key);
    // Ours, or that of another node, which was faster; the replica brings it.
    await this.#key.promise;
    await Promise.all(journalNames.map((name) => this.#replicas[name].synced));
    for (const set of sets) await this.addRevocations(set);
    void this.#recoveries.revocations.mend(rewound(further.revocations, heads.revocations));
  }

  /** Adds to the journal what somebody holds and this node does not. @throws JournalUnavailable */
  async addRevocations(set: RevocationSet): Promise<void> {
    let entries = 0;
    for await (const entry of set.lackingInSlices(this.revocations.set, this.#forgetBefore())) {
      await this.write("revocations", { key: entry.kind, body: JSON.stringify(entry) });
      entries++;
    }
    if (entries > 0)
      this.#options.log.warn({ entries }, "revocations taken from what a proxy holds");
  }

  /** A proxy says where it stands with the revocations. */
  heardStanding(standing: Standing): void {
    this.#stragglers.hear(standing);
  }

  #useKey(key: Uint8Array): void {
    this.revocations.set.useKey(key);
    this.#key.resolve(key);
  }

  /** The term of the leader that the catalogue tells of. 0: there was never one. */
  get term(): number {
    const leader = this.catalogue.get(catalogueKeys.leader)?.value;
    return leader?.kind === "leader" ? leader.term : 0;
  }

  replica(journal: JournalName): Replica {
    return this.#replicas[journal];
  }

  /** Tells the replica what was just learned from the store. */
  heard(journal: JournalName, head: Parameters<JournalSource["heard"]>[0]): void {
    this.#sources[journal].heard(head);
  }

  onCatalogue(listener: (changed: readonly Held<CatalogueEntry>[]) => void): void {
    this.#catalogueListeners.push(listener);
  }

  onHealth(listener: () => void): void {
    this.#healthListeners.push(listener);
  }

  /** Called after each write of this node. */
  onWrite(listener: () => void): void {
    this.#writeListeners.push(listener);
  }

  /** Called after each attempt of this node to write. */
  onAppend(listener: (report: AppendReport) => void): void {
    this.#appendListeners.push(listener);
  }

  /** Where a journal stands, when everything that this node holds of it is known to be in the store; undefined: not yet. */
  async holdsAll(journal: JournalName): Promise<Head | undefined> {
    const head = await this.#options.journals[journal].head();
    const { epoch, applied } = this.#replicas[journal].status();
    const there = epoch === head.epoch && applied >= head.head && this.#recoveries[journal].idle;
    return there ? head : undefined;
  }

  /**
   * Appends, and waits until this node's own tables show it.
   *
   * @throws JournalConflict, JournalUnavailable as the journal does
   */
  async write(journal: JournalName, entry: Entry, options: AppendOptions = {}): Promise<Appended> {
    const doubt = this.#doubts[journal];
    await doubt.certain(options.signal);
    const appended = await this.#append(journal, entry, options);
    for (const listener of this.#writeListeners) listener();
    if (!doubt.open) {
      await this.#seen(journal, appended, seenWithinMs);
      return appended;
    }
    // The bus went away meanwhile, and what has taken the entry may not be the store that this node knows.
    try {
      await doubt.certain(options.signal);
    } catch (cause) {
      throw new JournalUnavailable(messageOf(cause), { cause });
    }
    return appended;
  }

  async #append(journal: JournalName, entry: Entry, options: AppendOptions): Promise<Appended> {
    const { clock, journals } = this.#options;
    const start = clock.monotonic();
    const report = (outcome: AppendReport["outcome"]) => {
      const tookMs = clock.monotonic() - start;
      for (const listener of this.#appendListeners) listener({ journal, outcome, tookMs });
    };
    try {
      const appended = await journals[journal].append(entry, options);
      report("recorded");
      return appended;
    } catch (error) {
      report(error instanceof JournalConflict ? "conflict" : "failed");
      throw error;
    }
  }

  /** Waits until an entry is applied here, or the time is up: the write itself is durable in any case. */
  async #seen(journal: JournalName, written: Appended, withinMs: Milliseconds): Promise<void> {
    const reached = () => {
      const { epoch, applied } = this.#replicas[journal].status();
      // A number means nothing without its epoch: in a journal that began anew it is small again.
      return epoch === written.epoch && applied >= written.sequence;
    };
    if (reached()) return;
    const waiting = this.#waiting.get(journal)!;
    await new Promise<void>((resolve) => {
      const done = () => {
        waiting.delete(look);
        cancel();
        resolve();
      };
      const look = () => {
        if (reached()) done();
      };
      const cancel = this.#options.clock.after(withinMs, done);
      waiting.add(look);
    });
  }

  #changed(journal: JournalName): void {
    this.#recoveries[journal].look();
    if (journal === "revocations") {
      const { epoch, applied } = this.#replicas.revocations.status();
      if (epoch !== undefined) this.#stragglers.reached(epoch, applied);
    }
    for (const look of this.#waiting.get(journal) ?? []) look();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

/** The epoch of a store that proxies are ahead of in that very epoch. */
function rewound(further: readonly Standing[], { epoch }: Head): Epoch | undefined {
  return further.some((standing) => standing.epoch === epoch) ? epoch : undefined;
}
