/** Everything a proxy knows about the fleet: a replica of each journal, what they make up together, and the way back to the control plane. */
import { once } from "@tocsin/shared";
import type { Clock, Log, Milliseconds, NodeName, Random } from "@tocsin/shared";
import type { Bus } from "@tocsin/shared/bus";
import { journalNames, ofEachJournal, type JournalName } from "@tocsin/shared/journal";
import type { AppliedOrder, ReplicaStatus, ReplicaTable } from "@tocsin/shared/replica";
import { Invalidations } from "@tocsin/shared/invalidations";
import { RevocationSet } from "@tocsin/shared/revocations";
import type { ApiKeyTable } from "../identity/api-keys/table.ts";
import type { Instances } from "../upstream/instances.ts";
import { createCatalogueTable, type AppliedConfig } from "./catalogue-table.ts";
import { forgettingTime } from "./expiry.ts";
import { createHealthTable } from "./health-table.ts";
import { createInvalidationTable } from "./invalidation-table.ts";
import { Holdings } from "./holdings.ts";
import { createInstanceBoard } from "./instances.ts";
import { keepReplica, type KeptReplica } from "./kept-replica.ts";
import { loadKeyed } from "./keyed-entries.ts";
import type { Snapshot } from "./last-good.ts";
import { Listeners } from "./listeners.ts";
import { Readiness, type Ready } from "./readiness.ts";
import { Reports } from "./reports.ts";
import { restore, type Restored } from "./restore.ts";
import { createRevocationTable } from "./revocation-table.ts";

export interface FleetOptions {
  readonly node: NodeName;
  /** Random per process. */
  readonly boot: string;
  readonly version: string;
  readonly bus: Bus;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Where the last good state is kept; undefined: nowhere. */
  readonly stateDirectory?: string | undefined;
  /** False: the directory is read at the start and never written to. Default true. */
  readonly keepsState?: boolean | undefined;
}

export interface Fleet extends AsyncDisposable {
  /** The config in force; undefined when there was never one. */
  config(): AppliedConfig | undefined;
  readonly instances: () => Instances;
  /** What was taken back. The same object for the whole life of the fleet. */
  readonly revocations: RevocationSet;
  /** What is to be forgotten of what is remembered. The same object for the whole life of the fleet. */
  readonly invalidations: Invalidations;
  /** The API keys that there are. The same object for the whole life of the fleet. */
  readonly apiKeys: ApiKeyTable;
  replicas(): Readonly<Record<JournalName, ReplicaStatus>>;
  /** Why not everything that was applied can be kept on disk, journal by journal. */
  notKept(): Readonly<Record<JournalName, string | undefined>>;
  /** Whether there is a snapshot of every journal, from the bus or from disk. Once it is, it stays so. */
  ready(): Ready;
  /** Called when everything is there for the first time. */
  onReady(listener: () => void): () => void;
  /**
   * Called with each config, before its order is acknowledged. A listener that throws refuses the config: the one before stays.
   */
  onConfig(listener: (applied: AppliedConfig) => void): () => void;
  /** Called soon after `instances()` may have become another value. */
  onInstances(listener: () => void): () => void;
  /** Tells the control plane that this proxy goes away and is not to be waited for. Orders are applied on. */
  leave(): void;
  readonly staleness: {
    /**
     * Time since the revocations were known to be current; of those from disk by this machine's wall clock. Undefined when they
     * never were.
     */
    revocationsMs(): Milliseconds | undefined;
    /** Time since the invalidations were known to be current. Undefined when they never were. */
    invalidationsMs(): Milliseconds | undefined;
  };
}

/** From then on what was said last about the health of an instance counts as unknown. */
const healthFrozenMs = 60_000;
/** How long the bus may take to bring what the disk does not have. */
const restoredGraceMs = 2_000;
const upkeepMs = 1_000;
/** How often a part of the revocations is looked at for what has expired: all 256 of them in a minute or so. */
const sweepMs = 250;
const turnsPerPrune = 60;
const strayVerdictMs = 600_000;
/** A key that is used all the time is told once in one or two of these. */
const usageRoundMs = 30_000;

/** Starts with what is on disk, and follows the bus from there, for as long as it takes. */
export async function startFleet(options: FleetOptions): Promise<Fleet> {
  const { clock, log, stateDirectory } = options;
  const startedAt = clock.monotonic();
  const forgetBefore = forgettingTime(clock);
  const readyListeners = new Listeners(log, "ready");
  const instanceListeners = new Listeners(log, "instances");
  const configListeners = new Set<(applied: AppliedConfig) => void>();
  let frozen = false;
  await using stack = new AsyncDisposableStack();
  const readiness = stack.use(new Readiness(clock, restoredGraceMs, () => readyListeners.tell()));

  const catalogue = createCatalogueTable({
    onConfig(applied) {
      for (const listener of configListeners) listener(applied);
      touch();
    },
    onService: touch,
    onGone: ({ service, instance, boot }) => health.forget(service, instance, boot),
  });
  const health = createHealthTable({ clock, onService: touch });
  const board = createInstanceBoard({
    config: () => catalogue.config()?.config,
    registered: (service) => catalogue.registered(service),
    services: () => catalogue.services(),
    verdict: (service, instance) => health.verdict(service, instance),
    frozen: () => frozen,
  });
  const announce = coalesced(() => instanceListeners.tell());
  function touch(service?: string): void {
    board.touch(service);
    announce();
  }

  async function restored<Change>(
    journal: JournalName,
    union: boolean,
    load: (good: Snapshot) => ReplicaTable<Change>,
  ): Promise<Restored | undefined> {
    if (stateDirectory === undefined) return undefined;
    const found = await restore({ directory: stateDirectory, journal, log, union, load });
    if (found.standing !== undefined) readiness.restored(journal);
    return found;
  }
  const keyed =
    <Change>(table: ReplicaTable<Change>) =>
    ({ payload, epoch }: Snapshot) => {
      loadKeyed(table, payload, epoch);
      return table;
    };
  let revocations = new RevocationSet();
  const invalidations = new Invalidations();
  // Nothing is remembered from before, so nothing of it can be stale.
  if (stateDirectory !== undefined) readiness.restored("invalidations");
  const forgetting = {
    onUser: (subject: string) => invalidations.forgetUser(subject),
    onUnknown: () => invalidations.forgetAll(),
  };
  // All of it before anything comes from the bus.
  const kept = {
    catalogue: await restored("catalogue", false, keyed(catalogue)),
    health: await restored("health", false, keyed(health)),
    revocations: await restored("revocations", true, ({ payload }) => {
      revocations = RevocationSet.restore(payload);
      return createRevocationTable({ revocations, forgetBefore });
    }),
  };

  const common = (journal: JournalName) => ({
    ...options,
    journal,
    stateDirectory: options.keepsState === false ? undefined : stateDirectory,
    restored: journal === "invalidations" ? undefined : kept[journal],
    onApplied: (order: AppliedOrder) => reports.acknowledge(journal, order),
  });
  const replicas = {
    catalogue: stack.use(
      keepReplica({
        ...common("catalogue"),
        table: catalogue,
        parts: () => [catalogue.dump()],
      }),
    ),
    health: stack.use(
      keepReplica({ ...common("health"), table: health, parts: () => [health.dump()] }),
    ),
    revocations: stack.use(
      keepReplica({
        ...common("revocations"),
        table: createRevocationTable({ revocations, forgetBefore, ...forgetting }),
        parts: () => revocations.dumpInParts(),
      }),
    ),
    invalidations: stack.use(
      keepReplica({
        ...common("invalidations"),
        // A process that begins remembers nothing, so there is nothing that a restart could bring back.
        stateDirectory: undefined,
        table: createInvalidationTable({ invalidations, log }),
        parts: () => [],
      }),
    ),
  };
  const ofEach = <T>(look: (replica: KeptReplica) => T) =>
    ofEachJournal((journal) => look(replicas[journal]));
  const reports = stack.use(
    new Reports({
      ...options,
      replicas: () => ofEach((replica) => replica.reported()),
      usedKeys: () => catalogue.apiKeys.takeUsed(),
    }),
  );
  stack.use(
    new Holdings({
      ...options,
      held: (journal) => ({
        ...replicas[journal].status(),
        dump: () => (journal === "catalogue" ? catalogue.dump() : revocations.dumpInSlices()),
      }),
    }),
  );
  const awaitSync = async (journal: JournalName) => {
    await replicas[journal].synced;
    readiness.synced(journal);
    replicas[journal].whenKept(() => reports.heartbeat());
  };
  for (const journal of journalNames) void awaitSync(journal);

  let turns = 0;
  const isKnown = (service: string, instance: string) =>
    (board.current().of(service) ?? []).some((known) => known.instance === instance);
  function tidy(): void {
    const silentMs = replicas.health.status().stalenessMs ?? clock.monotonic() - startedAt;
    if (silentMs > healthFrozenMs !== frozen) {
      frozen = !frozen;
      log.warn({ frozen }, frozen ? "verdicts count as unknown" : "verdicts count again");
      touch();
    }
    turns += 1;
    if (turns % turnsPerPrune === 0) health.prune(isKnown, strayVerdictMs);
  }
  stack.defer(clock.every(upkeepMs, tidy));
  stack.defer(clock.every(usageRoundMs, () => catalogue.apiKeys.nextRound()));
  const pass = () => revocations.pass(clock.wall() / 1_000);
  pass();
  stack.defer(clock.every(sweepMs, pass));
  stack.defer(clock.every(sweepMs, () => void revocations.sweep(forgetBefore(), 1)));

  const owned = stack.move();
  return {
    config: () => catalogue.config(),
    instances: () => board.current(),
    revocations,
    invalidations,
    apiKeys: catalogue.apiKeys,
    replicas: () => ofEach((replica) => replica.status()),
    notKept: () => ofEach((replica) => replica.trouble()),
    ready: () => readiness.now(),
    onReady: (listener) => readyListeners.add(listener),
    onConfig(listener) {
      configListeners.add(listener);
      return () => void configListeners.delete(listener);
    },
    onInstances: (listener) => instanceListeners.add(listener),
    leave: () => reports.leave(),
    staleness: {
      revocationsMs: () => replicas.revocations.stalenessMs(),
      invalidationsMs: () => replicas.invalidations.stalenessMs(),
    },
    [Symbol.asyncDispose]: once(async () => {
      reports.leave();
      await owned.disposeAsync();
    }),
  };
}

/** However often it is called in one turn, it runs once, soon after. */
function coalesced(run: () => void): () => void {
  let due = false;
  return () => {
    if (due) return;
    due = true;
    queueMicrotask(() => {
      due = false;
      run();
    });
  };
}
