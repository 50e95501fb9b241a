import { once } from "@tocsin/shared";
import type { Clock, Log, Milliseconds, NodeName, Random } from "@tocsin/shared";
import type { Bus } from "@tocsin/shared/bus";
import type { JournalName } from "@tocsin/shared/journal";
import {
  createBusSource,
  startReplica,
  type AppliedOrder,
  type Replica,
  type ReplicaStatus,
  type ReplicaTable,
} from "@tocsin/shared/replica";
import { KeptState } from "./kept-state.ts";
import { keptTable } from "./kept-table.ts";
import type { Standing } from "./last-good.ts";
import type { Restored } from "./restore.ts";

export interface KeptReplicaOptions<Change> {
  readonly journal: JournalName;
  readonly node: NodeName;
  readonly bus: Bus;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly table: ReplicaTable<Change>;
  /** An order is in force and on disk, where there is a disk that works. */
  readonly onApplied: (order: AppliedOrder) => void;
  /** What the state directory had; undefined: there is none, and nothing is kept. */
  readonly restored: Restored | undefined;
  readonly stateDirectory: string | undefined;
  /** What is in the table, for the disk, in parts: all that is in force now, and maybe what comes until a part is taken. */
  readonly parts: () => Iterable<Uint8Array>;
}

/** A replica over the bus, whose last good state is on disk. */
export interface KeptReplica extends Replica {
  /** What others may be told: {@link status}, with nothing as applied that a crash would undo. */
  reported(): ReplicaStatus;
  /** Runs when all that was applied until now is on disk, where there is a disk that works. */
  whenKept(run: () => void): void;
  /** Why not everything can be kept on disk. */
  trouble(): string | undefined;
  /**
   * Time since what it holds was known to be current; of what came from disk by this machine's wall clock. Undefined: never.
   * Cheap, and up to a quarter of a second too long.
   */
  stalenessMs(): Milliseconds | undefined;
}

/** How often the replica is asked what it knows of its age. */
const lookMs: Milliseconds = 250;
/** How often that is written down: after a restart it seems older than it is by so much at most. */
const noteMs: Milliseconds = 5_000;

export function keepReplica<Change>(options: KeptReplicaOptions<Change>): KeptReplica {
  const { restored, ...given } = options;
  const { journal, node, bus, clock, stateDirectory, table } = given;
  /** By the monotonic clock. */
  let currentAt: Milliseconds | undefined;

  const source = createBusSource({ bus, journal, node, clock });
  const common = {
    ...given,
    source,
    onApplied: (order: AppliedOrder) => whenKept(() => options.onApplied(order)),
    onChange: look,
    ...(restored?.standing === undefined ? {} : { restored: restored.standing }),
  };
  const kept =
    stateDirectory === undefined || restored === undefined
      ? undefined
      : new KeptState({
          ...given,
          ...restored,
          directory: stateDirectory,
          restored: restored.standing,
          standing,
        });
  const replica =
    kept === undefined
      ? startReplica({ ...common, table })
      : startReplica({
          ...common,
          table: keptTable(table, {
            onApplied(sequence, entry) {
              const { epoch, applied } = replica.status();
              kept.applied(sequence, entry, { epoch: epoch ?? entry.epoch, applied });
            },
            onLoaded: () => kept.loaded(),
          }),
        });
  const stopLooking = clock.every(lookMs, look);
  const stopNoting = clock.every(noteMs, note);

  function whenKept(run: () => void): void {
    if (kept === undefined) run();
    else kept.whenKept(run);
  }

  function look(): void {
    const { stalenessMs } = replica.status();
    if (stalenessMs !== undefined) currentAt = clock.monotonic() - stalenessMs;
  }

  /** Writes down since when it is current, when that has changed. */
  function note(): void {
    const { stalenessMs } = replica.status();
    if (stalenessMs !== undefined && stalenessMs < noteMs)
      kept?.current(clock.wall() - stalenessMs);
  }

  function standing(): Standing | undefined {
    const { epoch, applied, stalenessMs } = replica.status();
    if (epoch === undefined) return undefined;
    const at =
      stalenessMs === undefined ? restored?.standing?.currentAt : clock.wall() - stalenessMs;
    return { epoch, applied, currentAt: at };
  }

  return {
    status: () => replica.status(),
    synced: replica.synced,
    reported() {
      const status = replica.status();
      const position = kept?.position();
      return position === undefined ? status : { ...status, ...position };
    },
    whenKept,
    trouble: () => kept?.trouble,
    stalenessMs() {
      if (currentAt !== undefined) return clock.monotonic() - currentAt;
      const restoredAt = restored?.standing?.currentAt;
      if (restoredAt === undefined) return undefined;
      const ageMs = clock.wall() - restoredAt;
      // The wall clock went back: how long it has been, nobody knows.
      return ageMs < 0 ? Infinity : ageMs;
    },
    [Symbol.asyncDispose]: once(async () => {
      stopLooking();
      stopNoting();
      note();
      await replica[Symbol.asyncDispose]();
      await kept?.[Symbol.asyncDispose]();
    }),
  };
}
