import { timingSafeEqual } from "node:crypto";
import { Denial } from "@tocsin/shared";
import type { Clock } from "@tocsin/shared";
import { digestOfKey, faultInKey, keyLength } from "@tocsin/shared/api-keys";
import type { ApiKeyPolicy } from "@tocsin/shared/contract";
import type { RevocationSet } from "@tocsin/shared/revocations";
import { Admission } from "../admission.ts";
import type { Presented } from "../identity.ts";
import type { IdentifiedPrincipal } from "../principal.ts";
import { KeyHeader } from "./header.ts";
import { ApiKeyTable } from "./table.ts";

export interface ApiKeysOptions {
  readonly clock: Clock;
  readonly revocations: RevocationSet;
  /** The keys that there are. Absent: none. */
  readonly apiKeys?: ApiKeyTable | undefined;
}

/** Characters of a digest. */
const digestLength = 43;
/** Never the digest of anything: a blank is not base64url. Made as digests are, because the way it is made tells in the time. */
const nobodys = Buffer.from(" ".repeat(digestLength), "latin1");

/**
 * API keys. Nothing is remembered of a key but its digest, so each request is hashed: that takes less than half a microsecond, and
 * no dump of this memory has a key in it (docs/design/decisions/0033-api-keys.md).
 */
export class ApiKeys {
  readonly #table: ApiKeyTable;
  readonly #admission: Admission;
  readonly #shown = Buffer.from(nobodys);
  #header: KeyHeader | undefined;

  constructor({ clock, revocations, apiKeys = new ApiKeyTable() }: ApiKeysOptions) {
    this.#table = apiKeys;
    this.#admission = new Admission(clock, revocations);
  }

  configure(policy: ApiKeyPolicy | undefined): void {
    this.#header = policy && new KeyHeader(policy.header);
  }

  /**
   * Takes the key out of what goes on to the upstream, whether it will be looked at or not.
   *
   * @throws Refusal bad-request when there is more than one
   */
  take(head: Presented["head"]): string | undefined {
    return this.#header?.take(head);
  }

  /** Whom a key speaks for. @throws Refusal credential-invalid, credential-expired, credential-revoked */
  identify(key: string): IdentifiedPrincipal {
    // What is far too long is not worth a hash.
    if (key.length !== keyLength) throw invalid(key);
    const digest = digestOfKey(key);
    const held = this.#table.find(digest);
    this.#shown.write(digest, "latin1");
    const isTheirs = timingSafeEqual(this.#shown, held?.digest ?? nobodys);
    if (held === undefined || !isTheirs) throw invalid(key);
    if (held.key.revoked) throw new Denial("credential-revoked", "revoked");
    const principal = this.#admission.admit(held.verified);
    this.#table.note(held.key);
    return principal;
  }
}

function invalid(key: string): Denial {
  const isKey = faultInKey(key) === undefined;
  return new Denial("credential-invalid", isKey ? "api-key-unknown" : "api-key-malformed");
}
