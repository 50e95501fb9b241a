import { Refusal, type Clock, type WallTime } from "@tocsin/shared";
import type { RevocationSet } from "@tocsin/shared/revocations";
import type { StreamPrincipal } from "./streams.ts";

/** Why somebody who was let in may not go on. */
export type Ending = "revoked" | "expired" | "blocked";

/** What decides whether somebody who was let in may go on. */
export class Standing {
  readonly #revocations: RevocationSet;
  readonly #clock: Clock;
  readonly #isBlocked: (address: string) => boolean;

  /** @param isBlocked whether an address is shut out */
  constructor(revocations: RevocationSet, clock: Clock, isBlocked: (address: string) => boolean) {
    this.#revocations = revocations;
    this.#clock = clock;
    this.#isBlocked = isBlocked;
  }

  get now(): WallTime {
    return this.#clock.wall();
  }

  /** Whether it was taken back. @returns undefined: it was not */
  of(principal: StreamPrincipal | undefined, clientAddress: string): Ending | undefined {
    if (this.#isBlocked(clientAddress)) return "blocked";
    const credential = principal?.credential;
    return credential !== undefined && this.#revocations.has(credential) ? "revoked" : undefined;
  }

  /** The same as far as the time alone decides: quicker asked. @param now see {@link now} */
  byTime(principal: StreamPrincipal | undefined, now: WallTime): Ending | undefined {
    if (principal?.expiresAt === undefined) return undefined;
    const { expiresAt, endsAt = expiresAt * 1_000 } = principal;
    return now >= endsAt ? "expired" : undefined;
  }

  /** Calls back when {@link of} may say more than before. Returns how to stop it. */
  onChange(listener: () => void): () => void {
    return this.#revocations.onAdded(listener);
  }
}

/** What is told to somebody who has no answer yet. */
export function refusalOf(ending: Ending): Refusal {
  switch (ending) {
    case "revoked":
      return new Refusal("credential-revoked");
    case "expired":
      return new Refusal("credential-expired");
    case "blocked":
      return new Refusal("address-blocked");
    default:
      return ending satisfies never;
  }
}
