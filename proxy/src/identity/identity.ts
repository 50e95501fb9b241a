import type { AuthPolicy } from "@tocsin/shared/contract";
import type { Principal } from "./principal.ts";

/** The knowledge behind the `identify` stage: who speaks, and has that been taken back. */
export interface Identity {
  /**
   * Tells whom a request speaks for. Answers at once (no promise) when the credential was verified before.
   *
   * @param authorization the one `Authorization` field, or undefined
   * @throws Refusal credential-missing, credential-invalid, credential-expired, credential-revoked; stale-state when the issuer's keys
   * are not known and cannot be had
   */
  identify(authorization: string | undefined, policy: AuthPolicy): Principal | Promise<Principal>;
}
