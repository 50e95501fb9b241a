import { randomUUID } from "node:crypto";
import type { Registrar } from "@tocsin/proxy";
import { messageOf, sleep, type Clock, type Log, type Random } from "@tocsin/shared";
import type { RegistrationInput } from "@tocsin/shared/contract";
import { LeaseKeeper, RegistrationRefused } from "@tocsin/sdk/lease";

type KeeperOptions = ConstructorParameters<typeof LeaseKeeper>[0];

/** A control plane that said no (a rule of the config, the rights of the bus user) is asked again at this distance, in milliseconds. */
const refusedRestMs = 15_000;

export interface SidecarRegistrarOptions {
  readonly registry: KeeperOptions["registry"];
  /** What is registered; each time as another life of the instance. */
  readonly registration: Omit<RegistrationInput, "boot">;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** Registers a service again and again, as its instance comes and goes: one lease after the other, never two. */
export class SidecarRegistrar implements Registrar {
  readonly #options: SidecarRegistrarOptions;
  #wanted = false;
  #keeper: LeaseKeeper | undefined;
  /** Ends the wait for a first registration that is not wanted any more. */
  #unwanted = new AbortController();
  #working: Promise<void> | undefined;
  #refused = false;

  constructor(options: SidecarRegistrarOptions) {
    this.#options = options;
  }

  get state(): string {
    if (this.#keeper !== undefined) return this.#keeper.state;
    return this.#refused ? "refused" : "deregistered";
  }

  announce(): void {
    if (this.#wanted) return;
    this.#wanted = true;
    this.#unwanted = new AbortController();
    void this.#work();
  }

  withdraw(): Promise<void> {
    this.#wanted = false;
    this.#unwanted.abort(new Error("not wanted any more"));
    return this.#work();
  }

  /** One at a time: what is under way ends with what is wanted by then. */
  #work(): Promise<void> {
    return (this.#working ??= this.#reach().finally(() => (this.#working = undefined)));
  }

  async #reach(): Promise<void> {
    while (this.#wanted !== (this.#keeper !== undefined)) {
      if (this.#wanted) await this.#acquire();
      else await this.#release();
    }
  }

  async #acquire(): Promise<void> {
    const { registration, log } = this.#options;
    const { signal } = this.#unwanted;
    const keeper = new LeaseKeeper({
      ...this.#options,
      registration: { ...registration, boot: randomUUID() },
      onState: () => {},
    });
    try {
      await keeper.acquire(signal);
      this.#keeper = keeper;
      this.#refused = false;
    } catch (error) {
      if (signal.aborted) return;
      this.#refused = error instanceof RegistrationRefused;
      log.error({ url: registration.url, reason: messageOf(error) }, "could not register");
      await this.#rest(signal);
    }
  }

  async #release(): Promise<void> {
    await this.#keeper?.release();
    this.#keeper = undefined;
  }

  async #rest(signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#options;
    // Cut short when it is not wanted any more.
    await sleep(clock, refusedRestMs * (0.75 + random() / 4), signal).catch(() => {});
  }
}
