import type { Cancel, Clock, Denial, Log, Milliseconds } from "@tocsin/shared";
import { LineBudget } from "./line-budget.ts";

/** A request that was refused for who it is, or for what it may. An exchange is one. */
export interface DeniedRequest {
  readonly id: string;
  readonly method: string;
  readonly clientAddress: string;
  readonly route: { readonly id: string } | undefined;
}

export interface SignInFailuresOptions {
  readonly log: Log;
  readonly clock: Clock;
  /** Hears of each. */
  readonly counted: (code: string) => void;
}

/** Lines in a second, of each process: whoever floods a proxy with bad credentials does not flood the log. */
const linesPerSecond = 10;
/** How long those that were left out are gathered before one line says how many they were. */
const gatheredForMs: Milliseconds = 5_000;

/**
 * Ordinary, however many there are: they are counted, and each has its access line. That nothing was shown is how every browser begins;
 * and an address was shut out by an order, so whoever is behind it must not use up the lines of others.
 */
const ordinary = new Set(["credential-missing", "address-blocked"]);

/** Counts whoever is not let in, and tells of them in the log: what was wrong, never what was shown. */
export class SignInFailures implements Disposable {
  readonly #options: SignInFailuresOptions;
  readonly #budget: LineBudget;
  readonly #leftOut = new Map<string, number>();
  #cancel: Cancel | undefined;

  constructor(options: SignInFailuresOptions) {
    this.#options = options;
    this.#budget = new LineBudget(linesPerSecond, options.clock);
  }

  note(request: DeniedRequest, denial: Denial): void {
    const { code } = denial;
    this.#options.counted(code);
    if (ordinary.has(code)) return;
    if (this.#budget.take()) this.#tell(request, denial);
    else this.#leaveOut(code);
  }

  /** Says what is left to be said. */
  [Symbol.dispose](): void {
    this.#cancel?.();
    this.#summarize();
  }

  #tell({ id, method, clientAddress, route }: DeniedRequest, { code, why, issuer }: Denial): void {
    this.#options.log.warn(
      {
        event: "sign-in-failed",
        request_id: id,
        method,
        route: route?.id ?? "",
        client_ip: clientAddress,
        code,
        cause: why,
        ...(issuer === undefined ? {} : { issuer }),
      },
      "sign-in failed",
    );
  }

  #leaveOut(code: string): void {
    this.#leftOut.set(code, (this.#leftOut.get(code) ?? 0) + 1);
    this.#cancel ??= this.#options.clock.after(gatheredForMs, () => this.#summarize());
  }

  #summarize(): void {
    this.#cancel = undefined;
    if (this.#leftOut.size === 0) return;
    const codes = Object.fromEntries(this.#leftOut);
    const count = [...this.#leftOut.values()].reduce((sum, each) => sum + each, 0);
    this.#leftOut.clear();
    this.#options.log.warn(
      { event: "sign-in-failures-left-out", count, codes },
      "sign-in failures without a line of their own",
    );
  }
}

/** Neither counts nor tells. */
export const unwatched: Pick<SignInFailures, "note"> = { note() {} };
