import type { InstanceName, Milliseconds, ServiceName } from "@tocsin/shared";
import {
  catalogueKeys,
  staticInstances,
  type Config,
  type InstanceEntry,
} from "@tocsin/shared/contract";
import type { CurrentConfig } from "../catalogue/current-config.ts";
import type { State } from "../sync/state.ts";

/** All instances there are: those of the config, and those that registered and are not leaving. */
export function knownInstances(
  state: Pick<State, "catalogue">,
  config: Pick<CurrentConfig, "now">,
): InstanceEntry[] {
  const registered = [...state.catalogue.values()].flatMap(({ value }) =>
    value.kind === "instance" ? [value] : [],
  );
  return [...staticInstances(config.now()), ...registered];
}

/** Which instances there are, by name: what is said of any other is not kept, whoever says it. */
export class Roster {
  readonly #state: Pick<State, "catalogue">;
  readonly #config: Pick<CurrentConfig, "applied">;
  /** Those of the config that was looked at last, by `service.instance`. */
  #named: { readonly config: Config | undefined; readonly entries: Map<string, InstanceEntry> } = {
    config: undefined,
    entries: new Map(),
  };

  constructor(state: Pick<State, "catalogue">, config: Pick<CurrentConfig, "applied">) {
    this.#state = state;
    this.#config = config;
  }

  knows(service: ServiceName, instance: InstanceName): boolean {
    return (
      this.#registered(service, instance) !== undefined ||
      this.#inConfig().has(`${service}.${instance}`)
    );
  }

  /**
   * How long the circuits of an instance rest, in milliseconds. Undefined: its service has none, or the instance lives another life
   * (`boot`) now, or there is no such instance.
   */
  restOf(service: ServiceName, instance: InstanceName, boot: string): Milliseconds | undefined {
    const named = this.#inConfig().get(`${service}.${instance}`);
    const lives = named?.boot === boot || this.#registered(service, instance)?.boot === boot;
    return lives ? this.#named.config?.services[service]?.circuit?.rest : undefined;
  }

  #registered(service: ServiceName, instance: InstanceName): InstanceEntry | undefined {
    const held = this.#state.catalogue.get(catalogueKeys.instance(service, instance))?.value;
    return held?.kind === "instance" ? held : undefined;
  }

  #inConfig(): ReadonlyMap<string, InstanceEntry> {
    const config = this.#config.applied()?.config;
    if (this.#named.config !== config)
      this.#named = {
        config,
        entries: new Map(
          config === undefined
            ? []
            : staticInstances(config).map((entry) => [`${entry.service}.${entry.instance}`, entry]),
        ),
      };
    return this.#named.entries;
  }
}
