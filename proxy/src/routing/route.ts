import type { AuthPolicy, Timeouts } from "@tocsin/shared/contract";
import type { Milliseconds } from "@tocsin/shared";

/** A route as requests meet it: everything resolved, nothing to look up. */
export interface Route {
  readonly id: string;
  readonly service: string;
  readonly auth: AuthPolicy;
  readonly revocation: {
    /** How old the knowledge of revocations may be. */
    readonly maxStalenessMs: Milliseconds;
    /** Whether older knowledge means no entry. */
    readonly denyWhenStale: boolean;
  };
  readonly timeouts: Timeouts;
}
