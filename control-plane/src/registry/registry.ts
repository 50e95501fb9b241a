/** Who exists: instances announce themselves, stay by renewing, and leave by draining. */
import { randomUUID } from "node:crypto";
import {
  formatDuration,
  messageOf,
  type Clock,
  type InstanceName,
  type Log,
  type Milliseconds,
  type ServiceName,
} from "@tocsin/shared";
import {
  catalogueKeys,
  protocolVersion,
  type CatalogueEntry,
  type GoneEntry,
  type InstanceEntry,
  type Lease,
  type LeaseHolder,
  type OrderAnswer,
  type Registration,
} from "@tocsin/shared/contract";
import { JournalConflict, type Sequence } from "@tocsin/shared/journal";
import type { CurrentConfig } from "../catalogue/current-config.ts";
import type { Peers } from "../leader/peers.ts";
import { Declined } from "../problem.ts";
import type { Orders } from "../sync/orders.ts";
import type { State } from "../sync/state.ts";
import { Leases, leaseMs, renewMs, type HeldLease } from "./leases.ts";
import { checkUrl, type Resolve } from "./url-policy.ts";

/** How long a deregistration waits for the removal of what was drained, in milliseconds. */
const removeWithinMs: Milliseconds = 2_000;
/** How often a write is tried anew when somebody else wrote first. */
const triesAtConflict = 8;

export interface RegistryOptions {
  readonly state: State;
  readonly orders: Orders;
  readonly config: CurrentConfig;
  /** Told of each sign of life that this node alone has seen. */
  readonly peers: Pick<Peers, "renewed" | "onHeartbeat">;
  readonly clock: Clock;
  readonly log: Log;
  readonly resolve?: Resolve;
}

interface Known {
  readonly entry: InstanceEntry;
  readonly sequence: Sequence;
}

export class Registry implements AsyncDisposable {
  readonly leases: Leases;
  readonly #options: RegistryOptions;
  readonly #stop: () => void;

  constructor(options: RegistryOptions) {
    this.#options = options;
    this.leases = new Leases(options.clock);
    // After a restart of this node, or when another one registered it: a fresh lease, because nobody was heard to be late. An
    // instance that was left draining by a node that died is removed when this lease ends.
    const lease = (changed: Iterable<{ readonly value: CatalogueEntry }>) => {
      for (const { value } of changed) {
        if (
          value.kind !== "instance" ||
          this.leases.get(value.service, value.instance)?.boot === value.boot
        )
          continue;
        this.leases.hold(value.service, value.instance, value.boot);
      }
    };
    lease(options.state.catalogue.values());
    options.state.onCatalogue(lease);
    this.#stop = options.peers.onHeartbeat(({ renewed }) => {
      for (const [service, instance, boot] of renewed) this.leases.renew(service, instance, boot);
    });
  }

  async register(
    service: ServiceName,
    instance: InstanceName,
    registration: Registration,
  ): Promise<Lease> {
    const { state, config, log } = this.#options;
    const boot = registration.boot ?? randomUUID();
    const { address } = await checkUrl(
      service,
      registration.url,
      config.now().discovery.register,
      this.#options.resolve,
    );
    const entry = instanceEntry(service, instance, boot, registration, address);
    const sequence = await this.#retry(async () => {
      const known = this.#find(service, instance);
      // The same life says the same again, after a reconnect: nothing has changed, and its verdict stays.
      if (known?.entry.boot === boot && JSON.stringify(known.entry) === JSON.stringify(entry))
        return known.sequence;
      const key = catalogueKeys.instance(service, instance);
      const appended = await state.write(
        "catalogue",
        { key, body: JSON.stringify(entry) },
        { expected: state.catalogue.sequenceOf(key) },
      );
      log.info(
        { service, instance, url: registration.url, superseded: known?.entry.boot },
        "instance registered",
      );
      return appended.sequence;
    });
    this.leases.hold(service, instance, boot);
    // The same life again is no entry in the journal, so nobody else has heard of it.
    this.#options.peers.renewed(service, instance, boot);
    return { lease: formatDuration(leaseMs), renew: formatDuration(renewMs), sequence, boot };
  }

  /** @param heardBy whether every node hears of it by itself, as over the bus, or this one has to tell the others */
  renew(
    service: ServiceName,
    instance: InstanceName,
    holder: LeaseHolder,
    heardBy: "all" | "this-node" = "this-node",
  ): Lease {
    const known = this.#holding(service, instance, holder);
    if (known.entry.state === "draining") throw lost(service, instance);
    this.leases.hold(service, instance, known.entry.boot);
    if (heardBy === "this-node") this.#options.peers.renewed(service, instance, known.entry.boot);
    return {
      lease: formatDuration(leaseMs),
      renew: formatDuration(renewMs),
      sequence: known.sequence,
      boot: known.entry.boot,
    };
  }

  /** Drains an instance: answers when every live proxy sends it nothing new, or the wait is over; then it is gone. */
  async deregister(
    service: ServiceName,
    instance: InstanceName,
    holder: LeaseHolder,
    waitMs: Milliseconds,
  ): Promise<OrderAnswer> {
    const { orders, log } = this.#options;
    const key = catalogueKeys.instance(service, instance);
    const operation = randomUUID();
    const { answer, boot } = await this.#retry(async () => {
      const known = this.#holding(service, instance, holder);
      const draining: InstanceEntry = { ...known.entry, state: "draining" };
      const placed = await orders.place({
        journal: "catalogue",
        entry: { key, body: JSON.stringify(draining) },
        operation,
        expected: known.sequence,
        waitMs,
      });
      return { answer: placed, boot: known.entry.boot };
    });
    try {
      await this.#removeSoon(service, instance, answer.sequence);
      this.leases.drop(service, instance, boot);
    } catch (error) {
      // What was asked for is in force. The lease is still there to end, and the sweep removes what was drained.
      log.warn(
        { service, instance, cause: messageOf(error) },
        "drained instance cannot be removed yet",
      );
    }
    log.info(
      { service, instance, applied: answer.applied.count, expected: answer.applied.expected },
      "instance deregistered",
    );
    return answer;
  }

  /** A sign of life that every node hears by itself, over the bus. */
  heard(service: ServiceName, instance: InstanceName, { boot }: LeaseHolder): void {
    const known = this.#find(service, instance);
    if (known === undefined || known.entry.state === "draining") return;
    if (boot === undefined || boot === known.entry.boot)
      this.leases.renew(service, instance, known.entry.boot);
  }

  /**
   * Removes an instance whose lease ended, in the name of a leader.
   *
   * @returns false when it is not there any more, or lives another life
   */
  async removeLapsed({ service, instance, boot }: HeldLease, term: number): Promise<boolean> {
    const known = this.#find(service, instance);
    if (known === undefined || known.entry.boot !== boot) return false;
    await this.#remove(service, instance, known.sequence, { term });
    return true;
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#stop();
    return Promise.resolve();
  }

  #find(service: ServiceName, instance: InstanceName): Known | undefined {
    const held = this.#options.state.catalogue.get(catalogueKeys.instance(service, instance));
    return held?.value.kind === "instance"
      ? { entry: held.value, sequence: held.recorded.sequence }
      : undefined;
  }

  /** The instance, if the asker is the life that holds it. */
  #holding(service: ServiceName, instance: InstanceName, { boot }: LeaseHolder): Known {
    const known = this.#find(service, instance);
    if (known === undefined) throw lost(service, instance);
    if (boot !== undefined && boot !== known.entry.boot) {
      throw new Declined(409, "superseded", "Another process has registered as this instance", {
        detail: `${service}/${instance} is held by another boot`,
      });
    }
    return known;
  }

  /** {@link #remove}, given up after a while: somebody waits for an answer that does not hang on it. */
  async #removeSoon(
    service: ServiceName,
    instance: InstanceName,
    expected: Sequence,
  ): Promise<void> {
    const late = new AbortController();
    const cancel = this.#options.clock.after(removeWithinMs, () =>
      late.abort(new Error(`not within ${removeWithinMs} ms`)),
    );
    try {
      await this.#remove(service, instance, expected, { signal: late.signal });
    } finally {
      cancel();
    }
  }

  async #remove(
    service: ServiceName,
    instance: InstanceName,
    expected: Sequence,
    { term, signal }: { readonly term?: number; readonly signal?: AbortSignal } = {},
  ): Promise<void> {
    const gone: GoneEntry = {
      v: protocolVersion,
      kind: "gone",
      ...(term === undefined ? {} : { term }),
    };
    const body = JSON.stringify(gone);
    try {
      await this.#options.state.write(
        "catalogue",
        { key: catalogueKeys.instance(service, instance), body },
        { expected, ...(signal === undefined ? {} : { signal }) },
      );
    } catch (error) {
      // Registered anew meanwhile: it is not ours to remove.
      if (!(error instanceof JournalConflict)) throw error;
    }
  }

  /** Reads and writes anew when somebody else was first. */
  async #retry<T>(attempt: () => Promise<T>): Promise<T> {
    for (let tries = 1; ; tries++) {
      try {
        return await attempt();
      } catch (error) {
        if (!(error instanceof JournalConflict) || tries >= triesAtConflict) throw error;
        await new Promise<void>((resolve) => this.#options.clock.after(10 * tries, resolve));
      }
    }
  }
}

function lost(service: ServiceName, instance: InstanceName): Declined {
  return new Declined(404, "lease-lost", "There is no such lease: register again", {
    detail: `${service}/${instance} is not registered`,
  });
}

function instanceEntry(
  service: ServiceName,
  instance: InstanceName,
  boot: string,
  registration: Registration,
  address: string | undefined,
): InstanceEntry {
  const { url, weight, zone, version, health, metadata } = registration;
  return {
    v: protocolVersion,
    kind: "instance",
    service,
    instance,
    boot,
    url,
    ...(address === undefined ? {} : { address }),
    weight: weight ?? 1,
    ...(zone === undefined ? {} : { zone }),
    ...(version === undefined ? {} : { version }),
    ...(health === undefined
      ? {}
      : {
          health: {
            ...(health.path === undefined ? {} : { path: health.path }),
            ...(health.interval === undefined ? {} : { intervalMs: health.interval }),
            ...(health.timeout === undefined ? {} : { timeoutMs: health.timeout }),
          },
        }),
    ...(metadata === undefined ? {} : { metadata }),
    state: "active",
  };
}
