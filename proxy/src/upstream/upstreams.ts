import { once, Refusal } from "@tocsin/shared";
import type { Clock, Log, Random } from "@tocsin/shared";
import type { Answer } from "./attempt.ts";
import { Balance } from "./balance.ts";
import { Deadlines } from "./deadlines.ts";
import { Evidence } from "./evidence.ts";
import { Delivery } from "./delivery.ts";
import type { Call, Engine } from "./delivery.ts";
import type { Instances, UpstreamInstance } from "./instances.ts";
import type { ServicePolicy } from "@tocsin/shared/contract";
import { Pools } from "./pools.ts";

export interface Upstreams extends AsyncDisposable {
  /**
   * Sends a request to an instance of a service.
   *
   * @param headers flat list of names and values, hop-by-hop fields left out
   * @returns the answer when its headers are there; the body follows
   * @throws Refusal service-unavailable, upstream-failed, upstream-timeout, request-timeout; what `call.delivery.abort` was given
   */
  send(call: Call, policy: ServicePolicy, headers: string[]): Promise<Answer>;
  /** What requests found out about instances. */
  readonly evidence: Pick<Evidence, "take" | "onStreak">;
  /** Looks at the instances again: pools of those that are gone are closed. Also done when a request notices. */
  refresh(): void;
}

export interface UpstreamsOptions {
  /** The instances now. A new value at each change. */
  readonly instances: () => Instances;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

export function createUpstreams(options: UpstreamsOptions): Upstreams {
  const { clock, random, log } = options;
  const deadlines = new Deadlines(clock);
  const pools = new Pools(clock, deadlines);
  const balances = new Map<string, Balance>();
  let instances: Instances | undefined;

  function refresh(): void {
    const now = options.instances();
    if (now === instances) return;
    instances = now;
    const services = new Set(now.services());
    for (const service of balances.keys()) if (!services.has(service)) balances.delete(service);
    const known = new Set<string>();
    for (const service of services)
      for (const instance of now.of(service) ?? []) known.add(instance.key);
    pools.keep((key) => known.has(key));
  }

  function pick(
    { service }: ServicePolicy,
    _call: Call,
    tried: readonly string[],
  ): UpstreamInstance | undefined {
    refresh();
    const list = instances!.of(service);
    if (list === undefined) return undefined;
    let balance = balances.get(service);
    if (balance === undefined) balances.set(service, (balance = new Balance(random)));
    return balance.pick(list, { tried, lets: undefined, key: undefined });
  }

  const evidence = new Evidence();
  const engine: Engine = { clock, deadlines, pools, log, evidence, pick };

  return {
    evidence,
    refresh,
    send(call, policy, headers) {
      const instance = pick(policy, call, []);
      if (instance === undefined) return Promise.reject(new Refusal("service-unavailable"));
      return new Promise((resolve, reject) => {
        new Delivery(engine, call, policy, headers, resolve, reject).attempt(instance);
      });
    },
    [Symbol.asyncDispose]: once(async () => {
      deadlines.close();
      await pools[Symbol.asyncDispose]();
    }),
  };
}
