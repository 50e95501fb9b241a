import type { AuthPolicy } from "@tocsin/shared/contract";
import type { Principal } from "./principal.ts";

/** What a request says about who it is. An exchange is one. */
export interface Presented {
  readonly method: string;
  readonly head: {
    /** The one `Authorization` field. */
    readonly authorization: string | undefined;
    readonly host: string | undefined;
    /** Only from a trusted peer to be believed. */
    readonly forwardedHost: string | undefined;
    readonly forwardedProto: string | undefined;
    /** The fields that go on to the upstream, names and values in turn. A credential that is not for the upstream is taken out. */
    passing: string[];
    /** Names of the fields that `Connection` took out of them, in lower case. */
    readonly hopByHop?: ReadonlySet<string> | undefined;
  };
  readonly origin: { readonly trusted: boolean };
  /** There is something when it is the handshake of a WebSocket. */
  readonly switching?: object | undefined;
}

/** The knowledge behind the `identify` stage: who speaks, and has that been taken back. */
export interface Identity {
  /**
   * Tells whom a request speaks for. Answers at once (no promise) when the credential was verified before.
   *
   * @throws Refusal credential-missing, credential-invalid, credential-expired, credential-revoked; stale-state when the issuer's keys
   * are not known and cannot be had; bad-request when there is more than one credential; for a session
   * also forbidden, session-store-unavailable
   */
  identify(request: Presented, policy: AuthPolicy): Principal | Promise<Principal>;
}
