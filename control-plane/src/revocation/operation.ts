/** What is derived from the id of an operation, so that the same operation is the same entries, on whichever node and however often. */
import { createHash } from "node:crypto";
import type { RevocationItem } from "@tocsin/shared/contract";
import type { JournalKey, OperationId } from "@tocsin/shared/journal";

const digest = (text: string) => createHash("sha256").update(text);

/** The key of the entry of an operation that its sender may repeat: there is one entry under it, ever. */
export function operationKey(operation: OperationId): JournalKey {
  return `operation.${digest(operation).digest("hex").slice(0, 32)}`;
}

/** The operation of one entry of an order of several. */
export function partOperation(operation: OperationId, part: number): OperationId {
  return `${digest(operation).digest("hex").slice(0, 32)}-${part}`;
}

/**
 * The id of a revocation: 16 characters that say which operation, 8 that say what. The same operation with other content has
 * another one.
 *
 * @param item its place in an order of many
 */
export function revocationId(
  operation: OperationId,
  item: number | undefined,
  content: string,
): string {
  const which = item === undefined ? operation : `${operation} ${item}`;
  const id =
    digest(which).digest("base64url").slice(0, 16) +
    digest(content).digest("base64url").slice(0, 8);
  // Where it is typed behind a command, a hyphen in front would make it an option.
  return id.replace(/^-/, "0");
}

/** Whether a text may be such an id. */
export function isRevocationId(text: string): boolean {
  return /^[A-Za-z0-9_-]{24}$/.test(text);
}

/** What was ordered, in one spelling. A token has to be reduced before: it has several. */
export function contentOf(item: Exclude<RevocationItem, { token: string }>): string {
  switch (item.kind) {
    case "token":
      return JSON.stringify([item.kind, item.issuer, item.jti, item.expiresAt, item.reason]);
    case "user":
      return JSON.stringify([item.kind, item.subject, item.issuer, item.issuedBefore, item.reason]);
    case "session":
      return JSON.stringify([item.kind, item.sid, item.expiresAt, item.reason]);
    case "client":
      return JSON.stringify([item.kind, item.clientId, item.expiresAt, item.reason]);
    case "signing-key":
      return JSON.stringify([item.kind, item.issuer, item.kid, item.expiresAt, item.reason]);
    case "issuer":
      return JSON.stringify([item.kind, item.issuer, item.issuedBefore, item.reason]);
    case "api-key":
      return JSON.stringify([item.kind, item.id, item.reason]);
    case "address":
      return JSON.stringify([item.kind, item.cidr, item.force, item.expiresAt, item.reason]);
    default:
      return item satisfies never;
  }
}
