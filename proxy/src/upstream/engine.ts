import type { Clock, Log, Random } from "@tocsin/shared";
import type { ServicePolicy } from "@tocsin/shared/contract";
import type { Call } from "./call.ts";
import type { Circuits } from "./circuits.ts";
import type { Deadlines } from "./deadlines.ts";
import type { Evidence } from "./evidence.ts";
import type { UpstreamInstance } from "./instances.ts";
import type { KeptMemory } from "./kept-body.ts";
import type { Pools } from "./pools.ts";
import type { Retries } from "./retries.ts";

/** What deliveries share. */
export interface Engine {
  readonly clock: Clock;
  readonly random: Random;
  readonly deadlines: Deadlines;
  readonly pools: Pools;
  readonly circuits: Circuits;
  readonly retries: Retries;
  readonly memory: KeptMemory;
  readonly log: Log;
  readonly evidence: Pick<Evidence, "answered" | "failed">;
  /** The instance whose turn it is. `tried`: keys of those that had this request already. */
  pick(policy: ServicePolicy, call: Call, tried: readonly string[]): UpstreamInstance | undefined;
  /** In how many seconds one of the service may be tried, when its circuits keep all requests from it. */
  secondsUntil(policy: ServicePolicy): number | undefined;
}
