import { staticInstances } from "@tocsin/shared/contract";
import type { Config, InstanceEntry, VerdictEntry } from "@tocsin/shared/contract";
import type { Instances, UpstreamInstance } from "../upstream/instances.ts";

/** Where the board looks. */
export interface InstanceSources {
  config(): Config | undefined;
  /** Those that registered themselves, by name. */
  registered(service: string): ReadonlyMap<string, InstanceEntry> | undefined;
  /** Services with instances that registered themselves. */
  services(): Iterable<string>;
  verdict(service: string, instance: string): VerdictEntry | undefined;
  /** Nobody has told of health for so long that what was said last counts as unknown. */
  frozen(): boolean;
}

/** All instances and which of them may get requests, put together from catalogue and verdicts. */
export interface InstanceBoard {
  /** Something about a service has changed, or (undefined) about all. */
  touch(service?: string): void;
  /** The value now: the same one as before when nothing has changed, and with the same lists where a service has not. */
  current(): Instances;
}

type List = readonly UpstreamInstance[];

export function createInstanceBoard(sources: InstanceSources): InstanceBoard {
  let lists: ReadonlyMap<string, List> = new Map();
  let value = valueOf(lists);
  let config: Config | undefined;
  let configured: ReadonlyMap<string, InstanceEntry[]> = new Map();
  const touched = new Set<string>();
  let everything = true;

  function refresh(): void {
    if (config !== sources.config()) {
      config = sources.config();
      configured = configuredInstances(config);
      everything = true;
    }
    if (!everything && touched.size === 0) return;
    const services = everything
      ? new Set([...lists.keys(), ...sources.services(), ...configured.keys()])
      : new Set(touched);
    everything = false;
    touched.clear();
    const next = new Map(lists);
    let changed = false;
    for (const service of services) {
      const before = lists.get(service);
      const list = build(service);
      if (list === undefined) changed = next.delete(service) || changed;
      else if (before === undefined || !sameList(before, list)) {
        next.set(service, list);
        changed = true;
      }
    }
    if (!changed) return;
    lists = next;
    value = valueOf(lists);
  }

  function build(service: string): List | undefined {
    const registered = sources.registered(service);
    const fixed = configured.get(service);
    if (registered === undefined && fixed === undefined) return undefined;
    const entries = [
      ...(registered?.values() ?? []),
      ...(fixed ?? []).filter(({ instance }) => registered?.has(instance) !== true),
    ];
    return entries
      .map((entry) => upstreamOf(entry, eligible(entry)))
      .toSorted((one, two) => (one.key < two.key ? -1 : 1));
  }

  function eligible(entry: InstanceEntry): boolean {
    if (entry.state !== "active") return false;
    // What nobody knows is tried: never without a backend because of silence.
    if (sources.frozen()) return true;
    const verdict = sources.verdict(entry.service, entry.instance);
    return verdict?.verdict === "healthy" && verdict.boot === entry.boot;
  }

  return {
    touch(service) {
      if (service === undefined) everything = true;
      else touched.add(service);
    },
    current() {
      refresh();
      return value;
    },
  };
}

/** The instances that the config names, by service; a service without any is known all the same. */
function configuredInstances(config: Config | undefined): ReadonlyMap<string, InstanceEntry[]> {
  const services = new Map<string, InstanceEntry[]>();
  if (config === undefined) return services;
  for (const service of Object.keys(config.services)) services.set(service, []);
  for (const entry of staticInstances(config)) services.get(entry.service)?.push(entry);
  return services;
}

function upstreamOf(entry: InstanceEntry, eligible: boolean): UpstreamInstance {
  const { service, instance, boot, url, address, weight } = entry;
  return {
    key: `${service}.${instance}.${boot}`,
    service,
    instance,
    url,
    ...(address === undefined ? {} : { address }),
    weight,
    active: entry.state === "active",
    eligible,
  };
}

function sameList(one: List, two: List): boolean {
  return one.length === two.length && one.every((instance, index) => same(instance, two[index]!));
}

function same(one: UpstreamInstance, two: UpstreamInstance): boolean {
  return (
    one.key === two.key &&
    one.url === two.url &&
    one.address === two.address &&
    one.weight === two.weight &&
    one.active === two.active &&
    one.eligible === two.eligible
  );
}

function valueOf(lists: ReadonlyMap<string, List>): Instances {
  const services = [...lists.keys()];
  return { of: (service) => lists.get(service), services: () => services };
}
