import type { ApiKeyEntry, ApiKeySecret } from "@tocsin/shared/contract";
import type { Verified } from "../admission.ts";
import { identityHeaders } from "../identity-headers.ts";

/** Whom a key speaks for, when it is shown with this secret. */
export function principalOf(
  { id, principal, roles, scopes, expiresAt = Infinity }: ApiKeyEntry,
  { hash, issuedAt, endsAt = Infinity }: ApiKeySecret,
): Verified {
  const expires = Math.min(expiresAt, endsAt);
  return {
    principal: {
      method: "api-key",
      subject: principal,
      issuer: "",
      roles,
      scopes,
      expiresAt: expires,
      credential: {
        issuer: "",
        subject: principal,
        issuedAt,
        jti: undefined,
        fingerprint: undefined,
        apiKey: id,
      },
      keyDigest: hash,
      headers: identityHeaders("api-key", principal, roles, scopes),
    },
    endsAt: expires * 1_000,
    clearedAt: 0,
  };
}
