import { Denial, type Clock, type WallTime } from "@tocsin/shared";
import type { RevocationSet } from "@tocsin/shared/revocations";
import { forbidden, tryAgainLater, unauthorized, type StreamPrincipal } from "./streams.ts";

/** Why somebody who was let in may not go on. */
export type Ending = "revoked" | "expired" | "blocked" | "forbidden" | "unavailable";

/** What decides whether somebody who was let in may go on. */
export class Standing {
  readonly #revocations: RevocationSet;
  readonly #clock: Clock;
  readonly #isBlocked: (address: string) => boolean;
  readonly #keyEndsAt: (digest: string) => WallTime | undefined;

  /**
   * @param isBlocked whether an address is shut out
   * @param keyEndsAt until when the secret of an API key is good; undefined: not any more. Default: as it was when it was shown
   */
  constructor(
    revocations: RevocationSet,
    clock: Clock,
    isBlocked: (address: string) => boolean,
    keyEndsAt: (digest: string) => WallTime | undefined = () => Infinity,
  ) {
    this.#revocations = revocations;
    this.#clock = clock;
    this.#isBlocked = isBlocked;
    this.#keyEndsAt = keyEndsAt;
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

  /** What no revocation tells, because it is a matter of time, or of an API key that was rotated: quicker asked. @param now see {@link now} */
  byTime(principal: StreamPrincipal | undefined, now: WallTime): Ending | undefined {
    if (principal?.expiresAt === undefined) return undefined;
    const { expiresAt, endsAt = expiresAt * 1_000, keyDigest } = principal;
    if (now >= endsAt) return "expired";
    if (keyDigest === undefined) return undefined;
    // A rotation gives the secret that was shown an end which it had not then, or takes it away.
    const keyEndsAt = this.#keyEndsAt(keyDigest);
    if (keyEndsAt === undefined) return "revoked";
    return now >= keyEndsAt ? "expired" : undefined;
  }

  /** Calls back when {@link of} may say more than before. Returns how to stop it. */
  onChange(listener: () => void): () => void {
    return this.#revocations.onAdded(listener);
  }
}

/** What is told to somebody who has no answer yet. */
export function refusalOf(ending: Ending): Denial {
  switch (ending) {
    case "revoked":
      return new Denial("credential-revoked", "revoked");
    case "expired":
      return new Denial("credential-expired", "expired");
    case "blocked":
      return new Denial("address-blocked", "address-blocked");
    case "forbidden":
      return new Denial("forbidden", "role-missing");
    case "unavailable":
      return new Denial("service-unavailable", "users-unavailable");
    default:
      return ending satisfies never;
  }
}

/** What is told to a WebSocket: the code of the close frame. */
export function codeOf(ending: Ending): number {
  switch (ending) {
    case "revoked":
    case "expired":
      return unauthorized;
    case "blocked":
    case "forbidden":
      return forbidden;
    case "unavailable":
      return tryAgainLater;
    default:
      return ending satisfies never;
  }
}
