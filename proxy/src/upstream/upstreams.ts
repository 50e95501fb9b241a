import { once } from "@tocsin/shared";
import type { Clock, Log, Random } from "@tocsin/shared";
import type { Answer } from "./attempt.ts";
import { Circuits } from "./circuits.ts";
import { Deadlines } from "./deadlines.ts";
import { Evidence } from "./evidence.ts";
import { Delivery } from "./delivery.ts";
import type { Call, Engine } from "./delivery.ts";
import type { Instances, UpstreamInstance } from "./instances.ts";
import { KeptMemory } from "./kept-body.ts";
import type { ServicePolicy } from "@tocsin/shared/contract";
import { Pools } from "./pools.ts";
import { Retries } from "./retries.ts";
import { Rotation } from "./rotation.ts";

export interface Upstreams extends AsyncDisposable {
  /**
   * Sends a request to an instance of a service, and again as its policy says.
   *
   * @param fallback the service that stands in when this one has no answer; undefined: none does
   * @param headers flat list of names and values, hop-by-hop fields left out
   * @returns the answer when its headers are there; the body follows
   * @throws Refusal service-unavailable, upstream-failed, upstream-timeout, request-timeout; what `call.delivery.abort` was given
   */
  send(
    call: Call,
    policy: ServicePolicy,
    fallback: ServicePolicy | undefined,
    headers: string[],
  ): Promise<Answer>;
  /** What requests found out about instances. */
  readonly evidence: Pick<Evidence, "take" | "onStreak" | "onFirst" | "onFailure">;
  /** Which instances get no requests because they keep failing. */
  readonly circuits: Pick<Circuits, "onChange" | "open" | "all" | "stateOf">;
  /** What became of retries so far. */
  readonly retries: Pick<Retries, "read">;
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
  const circuits = new Circuits(clock);
  const retries = new Retries(clock);
  const rotations = new Map<string, Rotation>();
  let instances: Instances | undefined;

  function refresh(): void {
    const now = options.instances();
    if (now === instances) return;
    instances = now;
    const services = new Set(now.services());
    for (const service of rotations.keys()) if (!services.has(service)) rotations.delete(service);
    const known = new Map<string, UpstreamInstance>();
    for (const service of services)
      for (const instance of now.of(service) ?? []) known.set(instance.key, instance);
    pools.keep((key) => known.has(key));
    circuits.follow(known);
  }

  function rotationOf(service: string): Rotation {
    let rotation = rotations.get(service);
    if (rotation === undefined)
      rotations.set(service, (rotation = new Rotation(random, (instance) => pools.busy(instance))));
    return rotation;
  }

  function pick(
    policy: ServicePolicy,
    call: Call,
    tried: readonly string[],
  ): UpstreamInstance | undefined {
    refresh();
    const { service, circuit } = policy;
    const list = instances!.of(service);
    if (list === undefined) return undefined;
    let lets = circuits.letsOf(service);
    if (lets !== undefined && circuit === undefined) {
      circuits.forget(service);
      lets = undefined;
    }
    return rotationOf(service).pick(policy, call, list, tried, lets);
  }

  circuits.onChange(({ service, instance }, state) =>
    log[state === "open" ? "warn" : "info"]({ service, instance, state }, "circuit changed"),
  );

  const evidence = new Evidence();
  const engine: Engine = {
    clock,
    random,
    deadlines,
    pools,
    circuits,
    retries,
    memory: new KeptMemory(),
    log,
    evidence,
    pick,
    secondsUntil: ({ service, circuit }) =>
      circuit && circuits.secondsUntil(instances?.of(service) ?? []),
  };

  return {
    evidence,
    circuits,
    retries,
    refresh,
    send(call, policy, fallback, headers) {
      return new Promise((resolve, reject) => {
        new Delivery(engine, call, policy, fallback, headers, resolve, reject).begin();
      });
    },
    [Symbol.asyncDispose]: once(async () => {
      deadlines.close();
      await pools[Symbol.asyncDispose]();
    }),
  };
}
