import type { Clock, Milliseconds } from "@tocsin/shared";
import { assertHealthKey, VerdictEntry } from "@tocsin/shared/contract";
import type { Entry, Sequence } from "@tocsin/shared/journal";
import type { ReplicaTable } from "@tocsin/shared/replica";
import { KeyedEntries } from "./keyed-entries.ts";

export interface HealthChange {
  readonly key: string;
  readonly body: string;
  readonly entry: VerdictEntry;
}

/** What was found about each instance. */
export interface HealthTable extends ReplicaTable<HealthChange> {
  verdict(service: string, instance: string): VerdictEntry | undefined;
  /** The life that the verdict was about is over. */
  forget(service: string, instance: string, boot: string): void;
  /** Drops verdicts on instances that nobody knows and that were heard of longer than `olderThanMs` ago. */
  prune(isKnown: (service: string, instance: string) => boolean, olderThanMs: Milliseconds): void;
  dump(): Uint8Array;
}

export interface HealthTableOptions {
  readonly clock: Clock;
  /** A verdict on an instance of this service is new, or has changed. */
  readonly onService: (service: string) => void;
}

export function createHealthTable(options: HealthTableOptions): HealthTable {
  return new Health(options);
}

interface Heard {
  readonly entry: VerdictEntry;
  readonly at: Milliseconds;
}

class Health implements HealthTable {
  readonly #options: HealthTableOptions;
  readonly #entries = new KeyedEntries();
  /** By `<service>.<instance>`. */
  readonly #verdicts = new Map<string, Heard>();

  constructor(options: HealthTableOptions) {
    this.#options = options;
  }

  verdict(service: string, instance: string): VerdictEntry | undefined {
    return this.#verdicts.get(`${service}.${instance}`)?.entry;
  }

  dump(): Uint8Array {
    return this.#entries.dump();
  }

  decode({ key, body }: Entry): HealthChange {
    const entry = VerdictEntry.parse(JSON.parse(body));
    assertHealthKey(key, entry);
    return { key, body, entry };
  }

  apply({ key, body, entry }: HealthChange, sequence: Sequence): void {
    this.#entries.set(key, body, sequence);
    this.#verdicts.set(key, { entry, at: this.#options.clock.monotonic() });
    this.#options.onService(entry.service);
  }

  /**
   * What the snapshot says goes; what it does not say stays as it was. The journal is kept in memory and is empty after a restart of
   * the bus: silence is not a verdict.
   */
  load(changes: readonly { readonly change: HealthChange; readonly sequence: Sequence }[]): void {
    for (const { change, sequence } of changes) this.apply(change, sequence);
  }

  forget(service: string, instance: string, boot: string): void {
    // The verdict on a new life may come before the catalogue tells of that life.
    if (this.verdict(service, instance)?.boot === boot) this.#drop(`${service}.${instance}`);
  }

  prune(isKnown: (service: string, instance: string) => boolean, olderThanMs: Milliseconds): void {
    const before = this.#options.clock.monotonic() - olderThanMs;
    for (const [key, { entry, at }] of this.#verdicts)
      if (at < before && !isKnown(entry.service, entry.instance)) this.#drop(key);
  }

  #drop(key: string): void {
    this.#verdicts.delete(key);
    this.#entries.delete(key);
  }
}
