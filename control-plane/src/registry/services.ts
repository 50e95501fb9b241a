import type { ServiceName } from "@tocsin/shared";
import {
  staticInstances,
  type InstanceEntry,
  type InstanceView,
  type ServiceView,
} from "@tocsin/shared/contract";
import type { CurrentConfig } from "../catalogue/current-config.ts";
import type { Prober } from "../health/prober.ts";
import type { Quorum } from "../health/quorum.ts";
import type { State } from "../sync/state.ts";
import type { Leases } from "./leases.ts";

/** What an operator is shown of services. */
export class Services {
  readonly #state: State;
  readonly #config: CurrentConfig;
  readonly #leases: Leases;

  readonly #prober: Pick<Prober, "heldOf">;
  readonly #quorum: Pick<Quorum, "reading">;

  constructor(
    state: State,
    config: CurrentConfig,
    leases: Leases,
    prober: Pick<Prober, "heldOf">,
    quorum: Pick<Quorum, "reading">,
  ) {
    this.#prober = prober;
    this.#quorum = quorum;
    this.#state = state;
    this.#config = config;
    this.#leases = leases;
  }

  /** Services that the config names or that have instances, by name. */
  all(): ServiceView[] {
    const byService = new Map<ServiceName, InstanceView[]>(
      Object.keys(this.#config.now().services).map((name) => [name, []]),
    );
    const add = (entry: InstanceEntry, source: InstanceView["source"]) => {
      const views = byService.get(entry.service) ?? [];
      byService.set(entry.service, views);
      views.push(this.#view(entry, source));
    };
    for (const entry of staticInstances(this.#config.now())) add(entry, "config");
    for (const { value } of this.#state.catalogue.values())
      if (value.kind === "instance") add(value, "registered");
    return [...byService]
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([service, instances]) => ({
        service,
        instances: instances.toSorted((a, b) => (a.instance < b.instance ? -1 : 1)),
      }));
  }

  one(name: ServiceName): ServiceView | undefined {
    return this.all().find(({ service }) => service === name);
  }

  #view(entry: InstanceEntry, source: InstanceView["source"]): InstanceView {
    const held = this.#state.health.get(`${entry.service}.${entry.instance}`)?.value;
    const verdict = held?.boot === entry.boot ? held : undefined;
    const remainingMs =
      source === "registered" ? this.#leases.remainingMs(entry.service, entry.instance) : undefined;
    const inDoubt = this.#prober.heldOf(entry);
    const circuit = this.#quorum.reading(entry);
    return {
      instance: entry.instance,
      url: entry.url,
      source,
      state: entry.state,
      verdict: verdict?.verdict ?? "unknown",
      ...(verdict === undefined ? {} : { by: verdict.by }),
      ...(verdict?.reason === undefined ? {} : { reason: verdict.reason }),
      ...(inDoubt === undefined ? {} : { held: inDoubt }),
      ...(circuit === undefined ? {} : { circuit }),
      weight: entry.weight,
      ...(entry.zone === undefined ? {} : { zone: entry.zone }),
      ...(entry.version === undefined ? {} : { version: entry.version }),
      ...(remainingMs === undefined ? {} : { lease: { remainingMs: Math.round(remainingMs) } }),
    };
  }
}
