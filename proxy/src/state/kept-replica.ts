import { once } from "@tocsin/shared";
import type { Clock, Log, Milliseconds, NodeName, Random, WallTime } from "@tocsin/shared";
import type { Bus } from "@tocsin/shared/bus";
import type { JournalName } from "@tocsin/shared/journal";
import {
  createBusSource,
  startReplica,
  type AppliedOrder,
  type Replica,
  type ReplicaTable,
} from "@tocsin/shared/replica";
import { LastGood, type Snapshot, type Standing } from "./last-good.ts";

export interface KeptReplicaOptions<Change> {
  readonly journal: JournalName;
  readonly node: NodeName;
  readonly bus: Bus;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly table: ReplicaTable<Change>;
  readonly onApplied: (order: AppliedOrder) => void;
  /** Where the table stood when it was loaded from disk. */
  readonly restored: Standing | undefined;
  /** Where the last good state is kept; undefined: nowhere. */
  readonly stateDirectory: string | undefined;
  /** Time from a change to the write that holds it. */
  readonly delayMs: () => Milliseconds;
  /** What is in the table, for the disk. */
  readonly dump: () => Uint8Array;
}

/** A replica over the bus, whose last good state is on disk. */
export interface KeptReplica extends Replica {
  /**
   * Time since what it holds was known to be current; of what came from disk by this machine's wall clock. Undefined: never.
   * Cheap, and up to a quarter of a second too long.
   */
  stalenessMs(): Milliseconds | undefined;
}

/** How often the replica is asked what it knows of its age. */
const lookMs = 250;

export function keepReplica<Change>(options: KeptReplicaOptions<Change>): KeptReplica {
  const { journal, node, bus, clock, restored, stateDirectory } = options;
  /** By the monotonic clock. */
  let currentAt: Milliseconds | undefined;

  const replica = startReplica({
    ...options,
    source: createBusSource({ bus, journal, node }),
    onChange: () => {
      look();
      lastGood?.changed();
    },
  });
  const lastGood =
    stateDirectory === undefined
      ? undefined
      : new LastGood({ ...options, directory: stateDirectory, snapshot });
  const stopLooking = clock.every(lookMs, look);

  function look(): void {
    const { stalenessMs } = replica.status();
    if (stalenessMs !== undefined) currentAt = clock.monotonic() - stalenessMs;
  }

  function snapshot(): Snapshot | undefined {
    const { epoch, applied, stalenessMs } = replica.status();
    if (epoch === undefined) return undefined;
    const at: WallTime | undefined =
      stalenessMs === undefined ? restored?.currentAt : clock.wall() - stalenessMs;
    return { epoch, applied, currentAt: at, payload: options.dump() };
  }

  return {
    status: () => replica.status(),
    synced: replica.synced,
    stalenessMs() {
      if (currentAt !== undefined) return clock.monotonic() - currentAt;
      if (restored?.currentAt === undefined) return undefined;
      const ageMs = clock.wall() - restored.currentAt;
      // The wall clock went back: how long it has been, nobody knows.
      return ageMs < 0 ? Infinity : ageMs;
    },
    [Symbol.asyncDispose]: once(async () => {
      stopLooking();
      await replica[Symbol.asyncDispose]();
      await lastGood?.[Symbol.asyncDispose]();
    }),
  };
}
