import { messageOf, type Clock, type Log, type Milliseconds } from "@tocsin/shared";
import type { Bus } from "@tocsin/shared/bus";
import type { Leader } from "../leader/leader.ts";
import type { HeldLease } from "./leases.ts";
import type { Registry } from "./registry.ts";

/** How often lapsed leases are looked for, in milliseconds. */
const sweepEveryMs: Milliseconds = 250;
/** A sweep that comes so late, in milliseconds, tells that this very process stood still and has renewals yet to read. */
const stoodStillMs: Milliseconds = 2_000;

export interface ReaperOptions {
  readonly bus: Bus;
  readonly registry: Registry;
  readonly leader: Pick<Leader, "leading" | "term" | "onChange">;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * Removes instances whose lease was not renewed. The leader alone does it, and takes nobody's silence for an end while it could not
 * have heard: a new leader, one that was cut off, or one that stood still, gives everybody a fresh lease.
 */
export class Reaper implements Disposable {
  readonly #options: ReaperOptions;
  readonly #stop: (() => void)[];
  #sweeping = false;
  #sweptAt: Milliseconds;

  constructor(options: ReaperOptions) {
    this.#options = options;
    const { clock, leader, registry } = options;
    this.#sweptAt = clock.monotonic();
    this.#stop = [
      clock.every(sweepEveryMs, () => void this.#sweep()),
      leader.onChange((leading) => {
        if (leading) registry.leases.prolongAll();
      }),
    ];
  }

  [Symbol.dispose](): void {
    for (const stop of this.#stop) stop();
  }

  async #sweep(): Promise<void> {
    const { bus, clock, leader, registry } = this.#options;
    const { leases } = registry;
    const now = clock.monotonic();
    const stood = now - this.#sweptAt > stoodStillMs;
    this.#sweptAt = now;
    // A renewal that could not be heard is not one that was not sent.
    if (stood || bus.state !== "connected") return leases.prolongAll();
    if (this.#sweeping || !leader.leading) return;
    this.#sweeping = true;
    try {
      for (const lease of leases.lapsed()) {
        // A removal takes its time while the store is slow; others may have renewed meanwhile, or we lead no more.
        if (leader.leading && leases.hasLapsed(lease.service, lease.instance))
          await this.#reap(lease);
      }
    } finally {
      this.#sweeping = false;
    }
  }

  async #reap(lease: HeldLease): Promise<void> {
    const { registry, leader, log } = this.#options;
    const { service, instance, boot } = lease;
    registry.leases.drop(service, instance, boot);
    try {
      if (await registry.removeLapsed(lease, leader.term))
        log.warn({ service, instance }, "lease lapsed, instance removed");
    } catch (error) {
      // The store is away: try again when it may be back.
      registry.leases.hold(service, instance, boot);
      log.warn(
        { service, instance, cause: messageOf(error) },
        "lapsed instance cannot be removed yet",
      );
    }
  }
}
