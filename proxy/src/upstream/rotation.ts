import type { BalancePolicy, ServicePolicy } from "@tocsin/shared/contract";
import type { Random } from "@tocsin/shared";
import { anyone } from "./balance/balance.ts";
import type { Balance } from "./balance/balance.ts";
import { ConsistentHash } from "./balance/consistent-hash.ts";
import { hashKey } from "./balance/hash-key.ts";
import type { Hashable, HashKey } from "./balance/hash-key.ts";
import { LeastRequests } from "./balance/least-requests.ts";
import type { Busy } from "./balance/least-requests.ts";
import { WeightedRoundRobin } from "./balance/weighted-round-robin.ts";
import type { UpstreamInstance } from "./instances.ts";

type Lets = (instance: UpstreamInstance) => boolean;

/** The instances of one service that may get requests, and whose turn it is. */
export class Rotation {
  readonly #random: Random;
  readonly #busy: Busy;
  #policy: BalancePolicy | undefined = undefined;
  #balance: Balance | undefined = undefined;
  #key: HashKey | undefined = undefined;
  #known: readonly UpstreamInstance[] | undefined = undefined;
  #eligible: readonly UpstreamInstance[] = [];
  /** Those that neither drain nor are gone. */
  #active: readonly UpstreamInstance[] = [];

  constructor(random: Random, busy: Busy) {
    this.#random = random;
    this.#busy = busy;
  }

  /**
   * @param instances all that are known of the service
   * @param lets whether an instance's circuit lets a request through; undefined: all do
   */
  pick(
    { balance: policy }: ServicePolicy,
    request: Hashable,
    instances: readonly UpstreamInstance[],
    tried: readonly string[],
    lets: Lets | undefined,
  ): UpstreamInstance | undefined {
    if (policy !== this.#policy) this.#follow(policy);
    if (instances !== this.#known) this.#learn(instances);
    const balance = this.#balance!;
    const key = this.#key?.(request);
    const panic = this.#panics(policy.panicThreshold, lets);
    const list = panic ? this.#active : this.#eligible;
    const allowed = panic ? undefined : lets;
    return key === undefined && allowed === undefined && tried.length === 0
      ? balance.pick(list, anyone)
      : balance.pick(list, { tried, lets: allowed, key });
  }

  /** So few are left that they would be overwhelmed: then everybody who is not on the way out helps, whatever is said about them. */
  #panics(threshold: number | undefined, lets: Lets | undefined): boolean {
    if (threshold === undefined || this.#active.length === 0) return false;
    let left = this.#eligible.length;
    if (lets !== undefined) for (const instance of this.#eligible) if (!lets(instance)) left -= 1;
    return left < threshold * this.#active.length;
  }

  #learn(instances: readonly UpstreamInstance[]): void {
    this.#known = instances;
    this.#eligible = instances.filter(({ eligible }) => eligible);
    this.#active = instances.filter(({ active }) => active);
  }

  #follow(policy: BalancePolicy): void {
    if (policy.algorithm !== this.#policy?.algorithm) this.#balance = this.#made(policy);
    this.#policy = policy;
    this.#key = policy.on === undefined ? undefined : hashKey(policy.on);
  }

  #made({ algorithm }: BalancePolicy): Balance {
    switch (algorithm) {
      case "weighted-round-robin":
        return new WeightedRoundRobin(this.#random);
      case "least-requests":
        return new LeastRequests(this.#random, this.#busy);
      case "consistent-hash":
        return new ConsistentHash();
      default:
        return algorithm satisfies never;
    }
  }
}
