import { randomUUID } from "node:crypto";
import type { Clock, Milliseconds, Random } from "@tocsin/shared";
import { messageOf } from "@tocsin/shared";
import type { RegistrationInput } from "@tocsin/shared/contract";
import { backoff } from "./backoff.ts";
import { RegistrationRefused, RegistrationUnavailable } from "./errors.ts";
import type { RegistrationLog, RegistrationState, StateChange } from "./options.ts";
import type { Registry } from "./registry.ts";

/** A refusal in the middle of a life may be mended by an operator (a token, a policy): asked again at this distance. */
const refusedRestMs = 30_000;
/** How long deregistering is tried. After that the lease ends by itself. */
const departureMs = 10_000;

export interface LeaseKeeperOptions {
  readonly registry: Registry;
  readonly registration: RegistrationInput & { readonly boot: string };
  readonly clock: Clock;
  readonly random: Random;
  readonly log: RegistrationLog;
  readonly onState: (change: StateChange) => void;
}

/** Holds one lease: registers, renews, registers again when it was lost, and gives it back. */
export class LeaseKeeper {
  readonly #options: LeaseKeeperOptions;
  readonly #ending = new AbortController();
  #state: RegistrationState = "registering";
  #registration: LeaseKeeperOptions["registration"];
  #renewMs: Milliseconds = 0;
  #keeping: Promise<void> = Promise.resolve();
  #wake: () => void = () => {};
  #released: Promise<void> | undefined;

  constructor(options: LeaseKeeperOptions) {
    this.#options = options;
    this.#registration = options.registration;
  }

  get state(): RegistrationState {
    return this.#state;
  }

  /**
   * Registers for the first time, trying again while nobody answers.
   *
   * @throws RegistrationRefused when the answer is no
   * @throws the signal's reason when it aborts first
   */
  async acquire(signal: AbortSignal): Promise<void> {
    const { registry, registration, random } = this.#options;
    for (let failures = 1; ; failures++) {
      signal.throwIfAborted();
      const attempt = registry.register(registration);
      try {
        this.#renewMs = (await unlessAborted(attempt, signal)).renewMs;
        break;
      } catch (error) {
        // The attempt may still succeed when nobody waits for it any more; then it is taken back.
        if (signal.aborted)
          void attempt.then(() => registry.deregister(registration.boot)).catch(() => {});
        if (!(error instanceof RegistrationUnavailable)) throw error;
        this.#tell("unreachable", error);
        await this.#pause(backoff(failures, random), signal);
      }
    }
    this.#tell("registered");
    registry.onReturn(() => this.#wake());
    this.#keeping = this.#keep();
  }

  /** Gives the lease back and waits for the answer, at most 10 s. Never rejects. */
  release(): Promise<void> {
    return (this.#released ??= this.#release());
  }

  async #keep(): Promise<void> {
    const { registry, random } = this.#options;
    const ending = this.#ending.signal;
    let delayMs = this.#spread();
    let failures = 0;
    let held = true;
    while (!ending.aborted) {
      await this.#pause(delayMs, ending).catch(() => {});
      if (ending.aborted) return;
      try {
        const grant = held
          ? await registry.renew(this.#registration.boot)
          : await registry.register(this.#registration);
        this.#renewMs = grant.renewMs;
        held = true;
        failures = 0;
        delayMs = this.#spread();
        this.#tell("registered");
      } catch (error) {
        const failure = error instanceof Error ? error : new Error(messageOf(error));
        if (!(failure instanceof RegistrationRefused)) {
          delayMs = backoff(++failures, random);
          this.#tell("unreachable", failure);
        } else if (failure.code === "superseded") {
          this.#tell("superseded", failure);
          return;
        } else if (held && (failure.code === "lease-lost" || failure.status === 404)) {
          held = false;
          delayMs = 0;
          // What was gone begins another life: what proxies knew of the one before went with it, and nobody would say it again.
          this.#registration = { ...this.#registration, boot: randomUUID() };
        } else {
          delayMs = refusedRestMs * (0.75 + random() / 4);
          this.#tell("refused", failure);
        }
      }
    }
  }

  async #release(): Promise<void> {
    const { registry, clock, random, log } = this.#options;
    this.#ending.abort();
    // A registration still under way must arrive before the deregistration, or it would undo it.
    await this.#keeping;
    if (this.#state === "superseded") {
      await registry[Symbol.asyncDispose]();
      return;
    }
    this.#tell("draining");
    const until = clock.monotonic() + departureMs;
    for (let failures = 1; ; failures++) {
      try {
        const { missing } = await registry.deregister(this.#registration.boot);
        if (missing.length > 0)
          log.warn({ missing }, "deregistered, but not every proxy has said so in time");
        break;
      } catch (error) {
        // Somebody else holds the lease, or nobody does: there is nothing to give back.
        if (error instanceof RegistrationRefused) {
          if (error.status !== 404 && error.status !== 409)
            log.warn({ reason: error.message }, "could not deregister");
          break;
        }
        const delayMs = backoff(failures, random);
        if (clock.monotonic() + delayMs > until) {
          log.warn(
            { reason: messageOf(error) },
            "could not deregister; the lease ends by itself, and until then requests may come",
          );
          break;
        }
        await this.#pause(delayMs, new AbortController().signal);
      }
    }
    this.#tell("deregistered");
    await registry[Symbol.asyncDispose]();
  }

  /** Up to a tenth earlier than asked: instances that began together do not stay together. */
  #spread(): Milliseconds {
    return this.#renewMs * (0.9 + this.#options.random() / 10);
  }

  /** Waits; a return of the control plane ends the wait early. @throws the signal's reason */
  async #pause(delayMs: Milliseconds, signal: AbortSignal): Promise<void> {
    let cancel = () => {};
    const waited = new Promise<void>((resolve) => {
      cancel = this.#options.clock.after(delayMs, resolve);
      this.#wake = resolve;
    });
    try {
      await unlessAborted(waited, signal);
    } finally {
      cancel();
      this.#wake = () => {};
    }
  }

  #tell(state: RegistrationState, error?: Error): void {
    const previous = this.#state;
    if (state === previous) return;
    this.#state = state;
    const { log, onState } = this.#options;
    const { level, message } = lines[state];
    log[level](error === undefined ? {} : { reason: error.message }, message);
    try {
      onState({ state, previous, ...(error === undefined ? {} : { error }) });
    } catch (thrown) {
      log.error({ reason: messageOf(thrown) }, "onState threw");
    }
  }
}

const lines: Readonly<
  Record<RegistrationState, { level: "info" | "warn" | "error"; message: string }>
> = {
  registering: { level: "info", message: "registering" },
  registered: { level: "info", message: "registered with the gateway" },
  unreachable: { level: "warn", message: "the control plane cannot be reached, trying again" },
  refused: { level: "error", message: "the control plane refuses the registration" },
  superseded: { level: "error", message: "another process has taken this instance's place" },
  draining: { level: "info", message: "telling the gateway to send nothing new" },
  deregistered: { level: "info", message: "out of the gateway" },
};

/** The promise's outcome, or the signal's reason if that comes first. The promise's own late rejection is nobody's business then. */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason as Error);
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
}
