import type { Credential } from "./credential.ts";
import { namespaces, type Marks } from "./marks.ts";
import { signingKeyName } from "./names.ts";

/**
 * Whether anything that a credential bears the name of is revoked: its user, its issuer, its client, its key.
 *
 * @param now Unix seconds
 */
export function isRevokedByName(marks: Marks, credential: Credential, now: number): boolean {
  if (marks.size === 0) return false;
  const { subject, issuer, issuedAt, client, keyId, apiKey } = credential;
  return (
    marks.covers(subject, issuer, issuedAt) ||
    marks.has(issuer, namespaces.issuer, Math.floor(issuedAt)) ||
    (client !== undefined && marks.has(client, namespaces.client, now)) ||
    (apiKey !== undefined && marks.has(apiKey, namespaces.apiKey, now)) ||
    (keyId !== undefined && marks.has(signingKeyName(issuer, keyId), namespaces.signingKey, now))
  );
}
