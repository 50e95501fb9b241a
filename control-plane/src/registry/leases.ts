import type { Clock, InstanceName, Milliseconds, ServiceName } from "@tocsin/shared";

/** How long an instance is believed alive without a word, in milliseconds. */
export const leaseMs: Milliseconds = 10_000;
/** How often an instance should renew, in milliseconds: two renewals may be lost. */
export const renewMs: Milliseconds = 3_000;

export interface HeldLease {
  readonly service: ServiceName;
  readonly instance: InstanceName;
  readonly boot: string;
  /** By the monotonic clock. */
  readonly endsAt: Milliseconds;
}

/** The promises of instances to be alive, in memory: renewals are too many for a journal. */
export class Leases {
  readonly #clock: Clock;
  readonly #held = new Map<string, HeldLease>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Begins or prolongs a lease. */
  hold(service: ServiceName, instance: InstanceName, boot: string): void {
    this.#held.set(`${service}.${instance}`, {
      service,
      instance,
      boot,
      endsAt: this.#clock.monotonic() + leaseMs,
    });
  }

  /** Prolongs the lease of one life; that of another one stays as it is. */
  renew(service: ServiceName, instance: InstanceName, boot: string): void {
    if (this.get(service, instance)?.boot === boot) this.hold(service, instance, boot);
  }

  get(service: ServiceName, instance: InstanceName): HeldLease | undefined {
    return this.#held.get(`${service}.${instance}`);
  }

  remainingMs(service: ServiceName, instance: InstanceName): Milliseconds | undefined {
    const held = this.get(service, instance);
    return held === undefined ? undefined : Math.max(0, held.endsAt - this.#clock.monotonic());
  }

  /** Ends the lease of one life; that of a successor stays. */
  drop(service: ServiceName, instance: InstanceName, boot: string): void {
    if (this.get(service, instance)?.boot === boot) this.#held.delete(`${service}.${instance}`);
  }

  /** Begins every lease anew: for a time nobody could be heard, so nobody's silence says anything. */
  prolongAll(): void {
    for (const { service, instance, boot } of this.#held.values())
      this.hold(service, instance, boot);
  }

  hasLapsed(service: ServiceName, instance: InstanceName): boolean {
    return this.remainingMs(service, instance) === 0;
  }

  /** Those that were not renewed in time. */
  lapsed(): HeldLease[] {
    const now = this.#clock.monotonic();
    return [...this.#held.values()].filter(({ endsAt }) => endsAt <= now);
  }

  get size(): number {
    return this.#held.size;
  }
}
