import type { Bus } from "../bus/bus.ts";
import type { Clock, Milliseconds } from "../time.ts";

/** Beacons come every second; a silence longer than this says that this process, or the link, stood still. */
const silenceMs: Milliseconds = 1_500;

/**
 * Keeps beacons of the past from being taken for the present.
 *
 * A process that was stopped, or a link that was stuck, hears all at once what was said long ago, and a beacon of half a minute ago
 * agrees well with what was held then. So what comes after a silence proves nothing until the server has answered a ping that was
 * sent after the silence: by then everything that had been under way has arrived. No clocks are compared.
 */
export class BeaconGate {
  readonly #bus: Pick<Bus, "flush">;
  readonly #clock: Clock;
  #heardAt: Milliseconds;
  #checking = false;
  #last: (() => void) | undefined;

  constructor(bus: Pick<Bus, "flush">, clock: Clock) {
    this.#bus = bus;
    this.#clock = clock;
    this.#heardAt = clock.monotonic();
  }

  /** A beacon was heard. It is delivered at once, or after the check if it is the last one by then, or never. */
  heard(deliver: () => void): void {
    const now = this.#clock.monotonic();
    const silentMs = now - this.#heardAt;
    this.#heardAt = now;
    if (!this.#checking && silentMs < silenceMs) return deliver();
    this.#last = deliver;
    if (!this.#checking) void this.#check();
  }

  async #check(): Promise<void> {
    this.#checking = true;
    try {
      await this.#bus.flush();
      this.#last?.();
    } catch {
      // The connection is gone, and what it said with it. What the next one says first has to be checked again.
      this.#heardAt = -Infinity;
    } finally {
      this.#checking = false;
      this.#last = undefined;
    }
  }
}
