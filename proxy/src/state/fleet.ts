/** Everything a proxy knows about the fleet: three replicas, what they make up together, and the way back to the control plane. */
import { messageOf, once } from "@tocsin/shared";
import type { Clock, Log, Milliseconds, NodeName, Random } from "@tocsin/shared";
import type { Bus } from "@tocsin/shared/bus";
import { journalNames, type JournalName } from "@tocsin/shared/journal";
import type { AppliedOrder, ReplicaStatus } from "@tocsin/shared/replica";
import { RevocationSet } from "@tocsin/shared/revocations";
import type { Instances } from "../upstream/instances.ts";
import { createCatalogueTable, type AppliedConfig } from "./catalogue-table.ts";
import { forgettingTime } from "./expiry.ts";
import { createHealthTable } from "./health-table.ts";
import { Holdings } from "./holdings.ts";
import { createInstanceBoard } from "./instances.ts";
import { keepReplica } from "./kept-replica.ts";
import { loadKeyed } from "./keyed-entries.ts";
import { readLastGood, type Snapshot, type Standing } from "./last-good.ts";
import { Listeners } from "./listeners.ts";
import { Readiness, type Ready } from "./readiness.ts";
import { Reports } from "./reports.ts";
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
}

export interface Fleet extends AsyncDisposable {
  /** The config in force; undefined when there was never one. */
  config(): AppliedConfig | undefined;
  readonly instances: () => Instances;
  /** What was taken back. The same object for the whole life of the fleet. */
  readonly revocations: RevocationSet;
  replicas(): Readonly<Record<JournalName, ReplicaStatus>>;
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
  readonly staleness: {
    /**
     * Time since the revocations were known to be current; of those from disk by this machine's wall clock. Undefined when they
     * never were.
     */
    revocationsMs(): Milliseconds | undefined;
  };
}

/** From then on what was said last about the health of an instance counts as unknown. */
const healthFrozenMs = 60_000;
/** How long the bus may take to bring what the disk does not have. */
const restoredGraceMs = 2_000;
const keyedDelayMs = 200;
const upkeepMs = 1_000;
/** So that all of the set is looked at every minute or so, a little at a time. */
const segmentsPerTurn = 4;
const turnsPerPrune = 60;
const strayVerdictMs = 600_000;

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

  const restored = new Map<JournalName, Standing>();
  async function restore<T>(
    journal: JournalName,
    load: (good: Snapshot) => T,
  ): Promise<T | undefined> {
    if (stateDirectory === undefined) return undefined;
    const good = await readLastGood(stateDirectory, journal, log);
    if (good === undefined) return undefined;
    try {
      const loaded = load(good);
      const { epoch, applied, currentAt } = good;
      restored.set(journal, { epoch, applied, currentAt });
      readiness.restored(journal);
      log.info({ journal, applied }, "last good state restored");
      return loaded;
    } catch (error) {
      log.error({ journal, cause: messageOf(error) }, "last good state refused");
      return undefined;
    }
  }
  await restore("catalogue", ({ payload, epoch }) => loadKeyed(catalogue, payload, epoch));
  await restore("health", ({ payload, epoch }) => loadKeyed(health, payload, epoch));
  const revocations =
    (await restore("revocations", ({ payload }) => RevocationSet.restore(payload))) ??
    new RevocationSet();

  const common = (journal: JournalName) => ({
    ...options,
    journal,
    stateDirectory,
    restored: restored.get(journal),
    onApplied: (order: AppliedOrder) => reports.acknowledge(journal, order),
  });
  const replicas = {
    catalogue: stack.use(
      keepReplica({
        ...common("catalogue"),
        table: catalogue,
        delayMs: () => keyedDelayMs,
        dump: () => catalogue.dump(),
      }),
    ),
    health: stack.use(
      keepReplica({
        ...common("health"),
        table: health,
        delayMs: () => keyedDelayMs,
        dump: () => health.dump(),
      }),
    ),
    revocations: stack.use(
      keepReplica({
        ...common("revocations"),
        table: createRevocationTable({ revocations, forgetBefore }),
        delayMs: () => revocationsDelayMs(revocations.size),
        dump: () => revocations.dump(),
      }),
    ),
  };
  const statuses = () => ({
    catalogue: replicas.catalogue.status(),
    health: replicas.health.status(),
    revocations: replicas.revocations.status(),
  });
  const reports = stack.use(new Reports({ ...options, replicas: statuses }));
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
    reports.heartbeat();
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
    revocations.sweep(forgetBefore(), segmentsPerTurn);
    turns += 1;
    if (turns % turnsPerPrune === 0) health.prune(isKnown, strayVerdictMs);
  }
  stack.defer(clock.every(upkeepMs, tidy));

  const owned = stack.move();
  return {
    config: () => catalogue.config(),
    instances: () => board.current(),
    revocations,
    replicas: statuses,
    ready: () => readiness.now(),
    onReady: (listener) => readyListeners.add(listener),
    onConfig(listener) {
      configListeners.add(listener);
      return () => void configListeners.delete(listener);
    },
    onInstances: (listener) => instanceListeners.add(listener),
    staleness: { revocationsMs: () => replicas.revocations.stalenessMs() },
    [Symbol.asyncDispose]: once(async () => {
      reports.leave();
      await owned.disposeAsync();
    }),
  };
}

/**
 * An acknowledged revocation is to survive a crash, so a small set is written almost at once; a large one takes its time, so that
 * writing it again and again does not become the work of the proxy. A million entries are 12 MB: every two seconds.
 */
function revocationsDelayMs(size: number): Milliseconds {
  return Math.min(2_000, Math.max(25, size / 500));
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
