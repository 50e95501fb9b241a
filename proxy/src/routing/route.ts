import type { AuthPolicy, ServicePolicy, WebSocketPolicy } from "@tocsin/shared/contract";
import type { Milliseconds } from "@tocsin/shared";
import type { StandIn } from "./fallback.ts";
import type { Split } from "./split.ts";

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
  /** How requests get to the service. */
  readonly upstream: ServicePolicy;
  /** Between which services requests are split; undefined: all go to the one. */
  readonly split: Split | undefined;
  /** What stands in when the service has no answer; undefined: the refusal. */
  readonly fallback: StandIn | undefined;
  /** Undefined: a request to upgrade is served as a plain one. */
  readonly websocket: WebSocketPolicy | undefined;
}
