import { Denial } from "@tocsin/shared";
import type { Clock, WallTime } from "@tocsin/shared";
import type { RevocationSet } from "@tocsin/shared/revocations";
import type { IdentifiedPrincipal } from "./principal.ts";

/** A credential that was found good, and what must be asked again for each request. */
export interface Verified {
  readonly principal: IdentifiedPrincipal;
  /** From then on the credential has expired, tolerance included. Infinity: never. */
  readonly endsAt: WallTime;
  /** The version of the revocations at which it was last found unrevoked; 0: not asked yet. */
  clearedAt: number;
}

/** Asks what may have changed since a credential was verified: the time, and the revocations. */
export class Admission {
  readonly #clock: Clock;
  readonly #revocations: RevocationSet;

  constructor(clock: Clock, revocations: RevocationSet) {
    this.#clock = clock;
    this.#revocations = revocations;
  }

  /** @throws Refusal credential-expired, credential-revoked */
  admit(verified: Verified): IdentifiedPrincipal {
    const { issuer, credential } = verified.principal;
    if (this.#clock.wall() >= verified.endsAt)
      throw new Denial("credential-expired", "expired", { issuer });
    if (verified.clearedAt !== this.#revocations.version) {
      if (this.#revocations.has(credential))
        throw new Denial("credential-revoked", "revoked", { issuer });
      // Nothing was revoked since that version: until something is, the answer stays the same.
      verified.clearedAt = this.#revocations.version;
    }
    return verified.principal;
  }
}
