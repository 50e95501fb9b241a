import { timingSafeEqual } from "node:crypto";
import { Refusal } from "@tocsin/shared";
import type { Clock } from "@tocsin/shared";
import { digestOfKey, faultInKey, idIn, keyLength } from "@tocsin/shared/api-keys";
import type { ApiKeyPolicy } from "@tocsin/shared/contract";
import type { RevocationSet } from "@tocsin/shared/revocations";
import { Admission } from "../admission.ts";
import type { Presented } from "../identity.ts";
import type { IdentifiedPrincipal } from "../principal.ts";
import { KeyHeader } from "./header.ts";
import { ApiKeyTable, type HeldSecret } from "./table.ts";

export interface ApiKeysOptions {
  readonly clock: Clock;
  readonly revocations: RevocationSet;
  /** The keys that there are. Absent: none. */
  readonly apiKeys?: ApiKeyTable | undefined;
}

/** Characters of a digest. */
const digestLength = 43;
/** Never the digest of anything: a blank is not base64url. */
const nobodys = Buffer.alloc(digestLength, " ");

/**
 * API keys. Nothing is remembered of a key but its digest, so each request is hashed: that takes less than half a microsecond, and
 * no memory dump has a key in it (docs/design/decisions/0033-api-keys.md).
 */
export class ApiKeys {
  readonly #table: ApiKeyTable;
  readonly #admission: Admission;
  readonly #shown = Buffer.alloc(digestLength);
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
    this.#shown.write(digestOfKey(key), "latin1");
    const held = this.#table.get(idIn(key));
    // An id of nobody's and a key without a former secret are compared as often as the others.
    const isNewest = timingSafeEqual(this.#shown, held?.secrets[0].digest ?? nobodys);
    const isBefore = timingSafeEqual(this.#shown, held?.secrets[1]?.digest ?? nobodys);
    if (held === undefined || !(isNewest || isBefore)) throw invalid(key);
    if (held.revoked) throw new Refusal("credential-revoked");
    const { verified }: HeldSecret = isNewest ? held.secrets[0] : held.secrets[1]!;
    const principal = this.#admission.admit(verified);
    this.#table.note(held);
    return principal;
  }
}

function invalid(key: string): Refusal {
  return new Refusal("credential-invalid", {
    cause: `the API key: ${faultInKey(key) ?? "there is none with this id and this secret"}`,
  });
}
