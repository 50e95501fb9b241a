import {
  type ApiKeyEntry,
  assertCatalogueKey,
  CatalogueEntry,
  catalogueKeys,
  Config,
  type InstanceEntry,
} from "@tocsin/shared/contract";
import type { Entry, Sequence } from "@tocsin/shared/journal";
import { EntryRefused, type ReplicaTable } from "@tocsin/shared/replica";
import { ApiKeyTable } from "../identity/api-keys/table.ts";
import { KeyedEntries } from "./keyed-entries.ts";

/** A config and its number. */
export interface AppliedConfig {
  readonly revision: number;
  readonly config: Config;
}

export type CatalogueChange = { readonly key: string; readonly body: string } & (
  | { readonly kind: "config"; readonly applied: AppliedConfig }
  | { readonly kind: "instance"; readonly entry: InstanceEntry }
  | { readonly kind: "api-key"; readonly entry: ApiKeyEntry }
  | { readonly kind: "leader"; readonly term: number }
  /** `term`: by the leader of that term on its own account. */
  | { readonly kind: "gone"; readonly term: number | undefined }
  /** Of no use to a proxy: it gets the key with its snapshot of the revocations. */
  | { readonly kind: "fingerprint-key" }
);

export interface CatalogueListeners {
  /**
   * Another config is to be in force when this returns.
   *
   * @throws anything when it cannot be: the config before stays, and the entry counts as refused
   */
  onConfig(applied: AppliedConfig): void;
  /** The instances of a service have changed. */
  onService(service: string): void;
  /** An instance, in this life, is no longer known. */
  onGone(instance: InstanceEntry): void;
}

/** What is served and where it answers. */
export interface CatalogueTable extends ReplicaTable<CatalogueChange> {
  config(): AppliedConfig | undefined;
  /** The instances of a service that registered themselves, by name. */
  registered(service: string): ReadonlyMap<string, InstanceEntry> | undefined;
  /** Services with instances that registered themselves. */
  services(): Iterable<string>;
  /** The same object for the whole life of the table. */
  readonly apiKeys: ApiKeyTable;
  dump(): Uint8Array;
}

const apiKeyPrefix = catalogueKeys.apiKey("");

export function createCatalogueTable(listeners: CatalogueListeners): CatalogueTable {
  return new Catalogue(listeners);
}

class Catalogue implements CatalogueTable {
  readonly #listeners: CatalogueListeners;
  readonly apiKeys = new ApiKeyTable();
  readonly #entries = new KeyedEntries();
  #applied: AppliedConfig | undefined;
  /** Of the last leader that the journal has told of. */
  #term = 0;
  #services = new Map<string, Map<string, InstanceEntry>>();

  constructor(listeners: CatalogueListeners) {
    this.#listeners = listeners;
  }

  config(): AppliedConfig | undefined {
    return this.#applied;
  }

  registered(service: string): ReadonlyMap<string, InstanceEntry> | undefined {
    return this.#services.get(service);
  }

  services(): Iterable<string> {
    return this.#services.keys();
  }

  dump(): Uint8Array {
    return this.#entries.dump();
  }

  decode({ key, body }: Entry): CatalogueChange {
    const entry = CatalogueEntry.parse(JSON.parse(body));
    assertCatalogueKey(key, entry);
    switch (entry.kind) {
      case "config": {
        const { revision, document } = entry;
        return { kind: "config", key, body, applied: { revision, config: Config.parse(document) } };
      }
      case "instance":
        return { kind: "instance", key, body, entry };
      case "api-key":
        return { kind: "api-key", key, body, entry };
      case "leader":
        return { kind: "leader", key, body, term: entry.term };
      case "fingerprint-key":
        return { kind: "fingerprint-key", key, body };
      case "gone":
        return { kind: "gone", key, body, term: entry.term };
      default:
        return entry satisfies never;
    }
  }

  apply(change: CatalogueChange, sequence: Sequence): void {
    switch (change.kind) {
      case "config":
        return this.#configure(change.applied, change.key, change.body, sequence);
      case "instance": {
        const { entry } = change;
        const before = this.#services.get(entry.service)?.get(entry.instance);
        instancesOf(this.#services, entry.service).set(entry.instance, entry);
        this.#entries.set(change.key, change.body, sequence);
        if (before !== undefined && before.boot !== entry.boot) this.#listeners.onGone(before);
        return this.#listeners.onService(entry.service);
      }
      case "api-key":
        this.apiKeys.set(change.entry);
        this.#entries.set(change.key, change.body, sequence);
        return;
      case "leader":
        this.#term = change.term;
        this.#entries.set(change.key, change.body, sequence);
        return;
      case "fingerprint-key":
        return;
      case "gone": {
        // The leader of an earlier term, who did not know that another one had been chosen: the journal's order refuses it.
        if (change.term !== undefined && change.term < this.#term) return;
        this.#entries.delete(change.key);
        if (change.key.startsWith(apiKeyPrefix))
          this.apiKeys.delete(change.key.slice(apiKeyPrefix.length));
        const gone = this.#find(change.key);
        if (gone === undefined) return;
        const instances = this.#services.get(gone.service);
        instances?.delete(gone.instance);
        if (instances?.size === 0) this.#services.delete(gone.service);
        this.#listeners.onGone(gone);
        return this.#listeners.onService(gone.service);
      }
      default:
        return change satisfies never;
    }
  }

  /**
   * Replaces everything at once; but a snapshot without a (valid) config leaves the one that was.
   *
   * @throws EntryRefused when the config cannot be in force; everything else is
   */
  load(
    changes: readonly { readonly change: CatalogueChange; readonly sequence: Sequence }[],
  ): void {
    const before = this.#services;
    const config = this.#entries.get(catalogueKeys.config);
    this.#services = new Map();
    this.#entries.clear();
    if (config !== undefined) this.#entries.set(catalogueKeys.config, config[1], config[0]);
    this.#term = 0;
    this.apiKeys.clear();
    for (const { change, sequence } of changes) {
      if (change.kind === "leader" || change.kind === "api-key") this.apply(change, sequence);
      if (change.kind !== "instance") continue;
      instancesOf(this.#services, change.entry.service).set(change.entry.instance, change.entry);
      this.#entries.set(change.key, change.body, sequence);
    }
    for (const [service, instances] of before) {
      for (const [name, instance] of instances)
        if (this.#services.get(service)?.get(name)?.boot !== instance.boot)
          this.#listeners.onGone(instance);
    }
    for (const service of new Set([...before.keys(), ...this.#services.keys()]))
      this.#listeners.onService(service);
    for (const { change, sequence } of changes) {
      if (change.kind !== "config") continue;
      try {
        this.#configure(change.applied, change.key, change.body, sequence);
      } catch (error) {
        throw new EntryRefused(sequence, error);
      }
    }
  }

  #configure(applied: AppliedConfig, key: string, body: string, sequence: Sequence): void {
    // The same entry again, by a resync: nothing to build anew.
    if (this.#applied !== undefined && this.#entries.get(key)?.[1] === body) return;
    const before = this.#applied;
    this.#applied = applied;
    try {
      this.#listeners.onConfig(applied);
    } catch (error) {
      this.#applied = before;
      throw error;
    }
    this.#entries.set(key, body, sequence);
  }

  #find(key: string): InstanceEntry | undefined {
    const [, service = "", instance = ""] = key.split(".");
    return this.#services.get(service)?.get(instance);
  }
}

function instancesOf(
  services: Map<string, Map<string, InstanceEntry>>,
  service: string,
): Map<string, InstanceEntry> {
  let instances = services.get(service);
  if (instances === undefined) services.set(service, (instances = new Map()));
  return instances;
}
