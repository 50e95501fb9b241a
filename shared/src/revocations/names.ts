/** Under which name something stands in the registers of what was revoked and lifted. */
import type { Revocation, RevocationTarget } from "../contract/entries.ts";
import { namespaces } from "./marks.ts";

/** Sessions stand among the tokens, under an issuer that no token has. */
export const ofNobody = "";

interface RegisterName {
  readonly name: string;
  /** Undefined: of a user at every issuer. */
  readonly namespace: string | undefined;
}

/** @param target a revocation itself, or what a lifting says of one */
export function registerOf(target: RevocationTarget | Revocation): RegisterName {
  switch (target.kind) {
    case "token":
      return { name: tokenName(target.issuer, target.jti), namespace: namespaces.lifted };
    case "session":
      return { name: tokenName(ofNobody, target.sid), namespace: namespaces.lifted };
    case "user":
      return { name: target.subject, namespace: target.issuer };
    case "client":
      return { name: target.clientId, namespace: namespaces.client };
    case "signing-key":
      return {
        name: signingKeyName(target.issuer, target.kid),
        namespace: namespaces.signingKey,
      };
    case "issuer":
      return { name: target.issuer, namespace: namespaces.issuer };
    case "api-key":
      return { name: target.key, namespace: namespaces.apiKey };
    case "address":
      return { name: target.cidr, namespace: namespaces.address };
    default:
      return target satisfies never;
  }
}

/** The same as one text: what two revocations have in common that are about the same thing. */
export function registerName(target: RevocationTarget | Revocation): string {
  const { name, namespace } = registerOf(target);
  return JSON.stringify([namespace ?? null, name]);
}

/** Two texts as one that no other two make. */
export function tokenName(issuer: string, id: string): string {
  return JSON.stringify([issuer, id]);
}

/** Asked for with each request while signing keys are revoked, so made quickly. No issuer has a NUL. */
export function signingKeyName(issuer: string, keyId: string): string {
  return `${issuer}\u0000${keyId}`;
}
