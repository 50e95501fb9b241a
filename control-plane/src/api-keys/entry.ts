/** How the entry of an API key comes to be, and how it changes. */
import { createHash } from "node:crypto";
import type { Clock, Milliseconds } from "@tocsin/shared";
import { apiKeyIdOf, digestOfKey, type ApiKeyId } from "@tocsin/shared/api-keys";
import {
  ApiKeyEntry,
  catalogueKeys,
  protocolVersion,
  type ApiKeySecret,
  type ApiKeyView,
  type NewApiKey,
  type OrderAnswer,
} from "@tocsin/shared/contract";
import type { Entry, OperationId } from "@tocsin/shared/journal";
import type { Credential } from "@tocsin/shared/revocations";

const digest = (text: string) => createHash("sha256").update(text).digest();

/** The same operation is the same key, so that there is one of it, on whichever node and however often it is ordered. */
export function idOfOperation(operation: OperationId): ApiKeyId {
  return apiKeyIdOf(digest(`api-key ${operation}`));
}

/** What a secret remembers of the rotation that made it. */
export function markOf(operation: OperationId): string {
  return digest(`api-key-secret ${operation}`).subarray(0, 16).toString("base64url");
}

/** One operation may be used for a key's making and for its rotation: to the journal these are two. */
export function stepOperation(step: string, operation: OperationId): OperationId {
  return digest(`api-key ${step} ${operation}`).toString("hex").slice(0, 32);
}

/** Downwards: a mark on the principal of that very second covers it. */
export function secondsOf(clock: Clock): number {
  return Math.floor(clock.wall() / 1_000);
}

/** @param rotation the operation by which its owner may order it again */
export function secretOf(key: string, issuedAt: number, rotation?: OperationId): ApiKeySecret {
  const operation = rotation === undefined ? {} : { operation: markOf(rotation) };
  return { hash: digestOfKey(key), issuedAt, ...operation };
}

export function newEntry(id: ApiKeyId, asked: NewApiKey, secret: ApiKeySecret): ApiKeyEntry {
  const { principal, roles = [], scopes = [], limits = [], expiresAt, description } = asked;
  return {
    v: protocolVersion,
    kind: "api-key",
    id,
    revision: 1,
    principal,
    roles: [...new Set(roles)],
    scopes: [...new Set(scopes)],
    limits: [...new Set(limits)],
    ...(description === undefined ? {} : { description }),
    createdAt: secret.issuedAt,
    ...(expiresAt === undefined ? {} : { expiresAt }),
    secrets: [secret],
  };
}

/** Whether two entries of one key were ordered alike. What happened to them since does not count. */
export function orderedAlike(one: ApiKeyEntry, other: ApiKeyEntry): boolean {
  const asked = ({ principal, roles, scopes, limits, expiresAt, description }: ApiKeyEntry) =>
    JSON.stringify([principal, roles, scopes, limits, expiresAt, description]);
  return asked(one) === asked(other);
}

/** @param overlapMs how long the secret before is still good. The one before that is good no more. */
export function rotated(
  entry: ApiKeyEntry,
  secret: ApiKeySecret,
  overlapMs: Milliseconds,
): ApiKeyEntry {
  const [before] = entry.secrets;
  // Not by a moment where none is to pass: a proxy's clock may be behind.
  const endsAt = overlapMs === 0 ? 0 : secret.issuedAt + Math.ceil(overlapMs / 1_000);
  return {
    ...entry,
    revision: entry.revision + 1,
    secrets: [secret, { ...before!, endsAt }],
  };
}

export function revoked(entry: ApiKeyEntry, at: number): ApiKeyEntry {
  return { ...entry, revision: entry.revision + 1, revokedAt: at };
}

/** Without the secret before the last one. */
export function withoutFormer(entry: ApiKeyEntry): ApiKeyEntry {
  return { ...entry, revision: entry.revision + 1, secrets: entry.secrets.slice(0, 1) };
}

/** What is asked of the revocations, as proxies ask it. */
export function credentialOf(
  { id, principal }: ApiKeyEntry,
  { issuedAt }: ApiKeySecret,
): Credential {
  return {
    issuer: "",
    subject: principal,
    issuedAt,
    jti: undefined,
    fingerprint: undefined,
    apiKey: id,
  };
}

export function stateOf(
  { revokedAt, expiresAt = Infinity }: ApiKeyEntry,
  now: number,
): ApiKeyView["state"] {
  if (revokedAt !== undefined) return "revoked";
  return expiresAt <= now ? "expired" : "active";
}

/** @param lastUsedAt Unix seconds; undefined: nobody has said */
export function viewOf(
  entry: ApiKeyEntry,
  now: number,
  lastUsedAt: number | undefined,
): ApiKeyView {
  const { id, revision, principal, roles, scopes, limits, description, createdAt } = entry;
  const { expiresAt, revokedAt, secrets } = entry;
  const [newest, before] = secrets;
  return {
    id,
    state: stateOf(entry, now),
    revision,
    principal,
    roles,
    scopes,
    limits,
    ...(description === undefined ? {} : { description }),
    createdAt,
    ...(expiresAt === undefined ? {} : { expiresAt }),
    ...(newest!.issuedAt === createdAt && before === undefined
      ? {}
      : { rotatedAt: newest!.issuedAt }),
    ...(before?.endsAt !== undefined && before.endsAt > now
      ? { overlapEndsAt: before.endsAt }
      : {}),
    ...(revokedAt === undefined ? {} : { revokedAt }),
    ...(lastUsedAt === undefined ? {} : { lastUsedAt }),
  };
}

/**
 * Whether the secret that was made for an order is the one that is stored. That an order is a repetition may mean that it was sent
 * twice on its way to the store.
 */
export function isOurs(
  { repeated }: OrderAnswer,
  held: ApiKeyEntry | undefined,
  { secrets: [secret] }: ApiKeyEntry,
): boolean {
  return repeated !== true || held?.secrets.some(({ hash }) => hash === secret!.hash) === true;
}

export function written(entry: ApiKeyEntry): Entry {
  return { key: catalogueKeys.apiKey(entry.id), body: JSON.stringify(entry) };
}

/** Undefined: it is not one that this version can read. */
export function readEntry(body: string): ApiKeyEntry | undefined {
  const read = ApiKeyEntry.safeParse(JSON.parse(body));
  return read.success ? read.data : undefined;
}
