import type { Clock, Milliseconds } from "@tocsin/shared";
import type { CircuitPolicy } from "@tocsin/shared/contract";
import type { UpstreamInstance } from "./instances.ts";

export type CircuitState =
  /** All is well. `failures`: so many in a row. */
  | { readonly kind: "closed"; failures: number }
  /** Nothing gets through before this time, on the monotonic clock. */
  | { readonly kind: "open"; readonly until: Milliseconds }
  /** A few may try. `trying`: so many do now; `successes`: so many did well in a row. */
  | { readonly kind: "half-open"; trying: number; successes: number };

export type CircuitKind = CircuitState["kind"];

/** What a request got in through the circuit as. Its outcome counts only while the circuit is still in the state it was in then. */
export type Era = number;

/** Got in although the circuit did not let it: its outcome says nothing. */
const uncounted: Era = -1;

/**
 * Whether an instance gets requests: not while it keeps failing.
 *
 * closed → (failures in a row) → open → (rest, then somebody asks) → half-open → (successes in a row) → closed, or after one failure
 * open again. Nobody ever waits here: who is not let in is told so at once.
 */
export class Circuit {
  /** The policy of the last config counts. */
  policy: CircuitPolicy;
  instance: UpstreamInstance;
  /** By its verdict the instance may get no requests. */
  out = false;
  readonly #clock: Clock;
  readonly #changed: (circuit: Circuit, before: CircuitKind) => void;
  #state: CircuitState = { kind: "closed", failures: 0 };
  #era: Era = 0;

  constructor(
    instance: UpstreamInstance,
    policy: CircuitPolicy,
    clock: Clock,
    changed: (circuit: Circuit, before: CircuitKind) => void,
  ) {
    this.instance = instance;
    this.policy = policy;
    this.#clock = clock;
    this.#changed = changed;
  }

  get kind(): CircuitKind {
    return this.#state.kind;
  }

  /** Whether a request may get through now. */
  get lets(): boolean {
    const state = this.#state;
    switch (state.kind) {
      case "closed":
        return true;
      case "open":
        return this.#clock.monotonic() >= state.until;
      case "half-open":
        return state.trying < this.policy.trials;
      default:
        return state satisfies never;
    }
  }

  /** Time until a request may be let through, as far as that is known: how long a trial takes is not. */
  get waitMs(): Milliseconds {
    const state = this.#state;
    return state.kind === "open" ? Math.max(0, state.until - this.#clock.monotonic()) : 0;
  }

  /** A request goes to the instance. Exactly one of the methods below ends it. */
  enter(): Era {
    let state = this.#state;
    if (state.kind === "closed") return this.#era;
    if (!this.lets) return uncounted;
    if (state.kind === "open") state = this.#become({ kind: "half-open", trying: 0, successes: 0 });
    if (state.kind === "half-open") state.trying += 1;
    return this.#era;
  }

  /** It was answered well. @returns the failures in a row that this ended; {@link broke} wants to know */
  succeeded(era: Era): number {
    const state = this.#state;
    if (era !== this.#era) return 0;
    if (state.kind === "closed") {
      const { failures } = state;
      if (failures > 0) state.failures = 0;
      return failures;
    }
    if (state.kind === "half-open") {
      state.trying -= 1;
      state.successes += 1;
      if (state.successes >= this.policy.successes) this.#become({ kind: "closed", failures: 0 });
    }
    return 0;
  }

  /** It got no answer, or one that says that the instance fails. */
  failed(era: Era): void {
    if (era === this.#era) this.#count(0);
  }

  /** It ended in a way that says nothing about the instance. */
  withdrew(era: Era): void {
    if (era === this.#era && this.#state.kind === "half-open") this.#state.trying -= 1;
  }

  /** An answer that began well broke off: what it ended before goes on. @param failures what {@link succeeded} gave */
  broke(era: Era, failures: number): void {
    if (era === this.#era) this.#count(failures);
  }

  /** The fleet found that the instance is well again: it may be tried at once. */
  returned(): void {
    if (this.#state.kind === "open") this.#become({ kind: "half-open", trying: 0, successes: 0 });
  }

  #count(before: number): void {
    const state = this.#state;
    if (state.kind === "closed") {
      state.failures = Math.max(state.failures, before) + 1;
      if (state.failures < this.policy.failures) return;
    }
    this.#become({ kind: "open", until: this.#clock.monotonic() + this.policy.rest });
  }

  #become(state: CircuitState): CircuitState {
    const { kind: before } = this.#state;
    this.#state = state;
    this.#era += 1;
    this.#changed(this, before);
    return state;
  }
}

/**
 * What a status says about the instance that gave it.
 *
 * 500 and above speaks against it, except 501 and 505, which are about the request (RFC 9110 §15.6.2, §15.6.6). Neither they nor 4xx
 * speak for it: who asks for what is not there must not keep the circuit of a failing instance closed.
 */
export function verdictOf(status: number): "for" | "against" | "neither" {
  if (status < 400) return "for";
  return status < 500 || status === 501 || status === 505 ? "neither" : "against";
}
