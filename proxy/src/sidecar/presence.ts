import { sleep, type Clock, type Log, type Milliseconds } from "@tocsin/shared";
import type { Verdict } from "@tocsin/shared/probe";
import type { LocalInstance } from "./local-instance.ts";
import type { Registrar } from "./registrar.ts";

/**
 * How long an instance that is not well, but still takes connections, goes on getting requests until the gateway sends none any more,
 * in milliseconds. With an instance that says by its health path that it is about to go, none is lost that way.
 */
const farewellMs: Milliseconds = 2_000;

export interface PresenceOptions {
  readonly instance: LocalInstance;
  readonly clock: Clock;
  readonly log: Log;
}

/** Whether the service is in the gateway: when the instance is well, the sidecar serves, and does not go away. */
export class Presence {
  readonly #options: PresenceOptions;
  #registrar: Registrar | undefined;
  #well = false;
  #serving = false;
  #leaving = false;

  constructor(options: PresenceOptions) {
    this.#options = options;
  }

  get state(): string {
    return this.#registrar?.state ?? "starting";
  }

  /** The sidecar listens. */
  open(registrar: Registrar): void {
    this.#registrar = registrar;
    this.#settle();
  }

  /** Its routes are in force. */
  serve(): void {
    this.#serving = true;
    this.#settle();
  }

  /** @param dead nobody listens there, so that there is nothing to wait for */
  judge(verdict: Verdict, dead: boolean): void {
    const { instance, log } = this.#options;
    this.#well = verdict === "healthy";
    log[this.#well ? "info" : "warn"]({ verdict }, "local instance");
    if (this.#well) {
      instance.eligible = true;
      this.#settle();
      return;
    }
    if (dead) instance.eligible = false;
    void this.#sayFarewell();
  }

  /** Takes the service out for good. Resolves when nobody sends any more, at the latest after this time. */
  async leave(withinMs: Milliseconds): Promise<void> {
    this.#leaving = true;
    const { clock } = this.#options;
    await Promise.race([this.#registrar?.withdraw(), sleep(clock, withinMs)]);
  }

  #settle(): void {
    if (this.#well && this.#serving && !this.#leaving) this.#registrar?.announce();
  }

  async #sayFarewell(): Promise<void> {
    const { instance, clock } = this.#options;
    await Promise.race([this.#registrar?.withdraw(), sleep(clock, farewellMs)]);
    if (!this.#well) instance.eligible = false;
  }
}
