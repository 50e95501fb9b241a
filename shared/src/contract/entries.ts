/**
 * What the journals hold. A proxy parses each body with these schemas: an entry that does not validate is refused, and the last
 * good state stays. Objects are strict on purpose: an unknown field could be a condition that this version does not understand.
 */
import { z } from "zod";
import { apiKeyIdPattern } from "../api-keys/id.ts";
import { isBlock } from "../revocations/address-blocks.ts";
import { Name } from "../names.ts";
import { protocolVersion } from "./messages.ts";
import { shown } from "../shown.ts";

const v = z.literal(protocolVersion);

/** Seconds since the Unix epoch, as in a token's claims (RFC 7519 §2, NumericDate). */
export const UnixSeconds = z.number().min(0).max(1e11);

/** Catalogue, key `config`: the whole applied config, so that a revision is never half applied. */
export const ConfigEntry = z.strictObject({
  v,
  kind: z.literal("config"),
  /** Counts applied configs from 1. */
  revision: z.int().min(1),
  /** The document with its environment references resolved; parsed again by `Config` on every node. */
  document: z.unknown(),
  /** The text as it was written, secrets unresolved; for `tocsin config show`. */
  source: z.string(),
  /**
   * SHA-256 of the last file that a node was started with, and of what its references meant then. Edits keep it: a node that starts
   * with the same file does not undo them.
   */
  file: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .optional(),
});
export type ConfigEntry = z.infer<typeof ConfigEntry>;

export const InstanceHealth = z.strictObject({
  path: z.string().startsWith("/").optional(),
  intervalMs: z.number().min(100).optional(),
  timeoutMs: z.number().min(10).optional(),
});

/** Catalogue, key `instance.<service>.<instance>`: one place where a service answers. */
export const InstanceEntry = z.strictObject({
  v,
  kind: z.literal("instance"),
  service: Name,
  instance: Name,
  /** Which life of this instance; a verdict counts only for the life that it was given to. */
  boot: z.string().min(1).max(64),
  /** Origin: scheme, host, port. */
  url: z.url(),
  /** The address that was checked at registration and that proxies connect to, whatever the host name resolves to later. */
  address: z.string().optional(),
  weight: z.int().min(1).max(1000),
  zone: Name.optional(),
  version: z.string().max(64).optional(),
  health: InstanceHealth.optional(),
  metadata: z.record(z.string().max(64), z.string().max(256)).optional(),
  /** `draining`: finish what is in flight, send nothing new. */
  state: z.enum(["active", "draining"]),
});
export type InstanceEntry = z.infer<typeof InstanceEntry>;

export const ApiKeyId = z.string().regex(apiKeyIdPattern, {
  error: (issue) =>
    `${shown(issue.input)} is not the id of an API key: 12 of the characters a to z and 2 to 7`,
});

/** Text that can stand in a header and a log line. */
export const KeyText = (longest: number) =>
  z
    .string()
    .min(1)
    .max(longest)
    .refine((text) => text.isWellFormed() && !/\p{Cc}/u.test(text), {
      error: "has control characters, or is not well-formed Unicode",
    });

/** One secret of an API key, by its hash alone. */
export const ApiKeySecret = z.strictObject({
  /** SHA-256 of the whole key, in base64url. */
  hash: z.base64url().length(43),
  /** When it was made. Whole seconds, downwards: a mark on its principal of that very second covers it. */
  issuedAt: UnixSeconds,
  /** From then on it is good no more, because another one took its place. 0: at once, whatever a proxy's clock says. */
  endsAt: UnixSeconds.optional(),
  /** Of the operation that made it, so that its repetition is known. */
  operation: z.base64url().length(22).optional(),
});
export type ApiKeySecret = z.infer<typeof ApiKeySecret>;

/** Catalogue, key `api-key.<id>`: whom an API key speaks for, and how it is known. */
export const ApiKeyEntry = z.strictObject({
  v,
  kind: z.literal("api-key"),
  id: ApiKeyId,
  /** Counts the changes from 1. */
  revision: z.int().min(1),
  principal: KeyText(512),
  roles: z.array(KeyText(128)).max(100),
  scopes: z.array(KeyText(128)).max(100),
  /** Names of quotas. */
  limits: z.array(Name).max(20),
  description: KeyText(200).optional(),
  createdAt: UnixSeconds,
  expiresAt: UnixSeconds.optional(),
  /** The newest first. */
  secrets: z.array(ApiKeySecret).min(1).max(2),
  /** It was taken back, for ever: an entry of the revocations is forgotten one day, this is not. */
  revokedAt: UnixSeconds.optional(),
});
export type ApiKeyEntry = z.infer<typeof ApiKeyEntry>;

/**
 * Catalogue, key `leader`: which control-plane node does what only one may do. Written when that changes, by compare-and-set; that
 * the leader is alive is told by its heartbeats.
 */
export const LeaderEntry = z.strictObject({
  v,
  kind: z.literal("leader"),
  node: Name,
  boot: z.string().min(1).max(64),
  /** Grows by one with each leader. */
  term: z.int().min(1),
});
export type LeaderEntry = z.infer<typeof LeaderEntry>;

/**
 * Catalogue: the key means nothing any more.
 *
 * With a `term` it was written by the leader of that term on its own account. Where an entry of a later leader stands before it in
 * the journal, the writer was deposed without knowing, and the entry has no effect on anybody: the order of the journal decides,
 * so all decide alike.
 */
export const GoneEntry = z.strictObject({
  v,
  kind: z.literal("gone"),
  term: z.int().min(1).optional(),
});

export type GoneEntry = z.infer<typeof GoneEntry>;

const FingerprintKeyText = z.base64url().length(22);

/**
 * Catalogue, key `fingerprint-key`: the 16 bytes under which every node of the fleet reduces issuer and `jti` to 64 bits, so that
 * what one node holds another can take over. Written once, by compare-and-set; not in the journal of revocations, which forgets.
 */
export const FingerprintKey = z.strictObject({
  v,
  kind: z.literal("fingerprint-key"),
  key: FingerprintKeyText,
});
export type FingerprintKey = z.infer<typeof FingerprintKey>;

export const CatalogueEntry = z.discriminatedUnion("kind", [
  ConfigEntry,
  InstanceEntry,
  ApiKeyEntry,
  LeaderEntry,
  FingerprintKey,
  GoneEntry,
]);
export type CatalogueEntry = z.infer<typeof CatalogueEntry>;

export const catalogueKeys = {
  config: "config",
  leader: "leader",
  fingerprintKey: "fingerprint-key",
  apiKey: (id: string) => `api-key.${id}`,
  instance: (service: string, instance: string) => `instance.${service}.${instance}`,
} as const;

/** Health, key `<service>.<instance>`: what the prober found, or what the circuits of the proxies say together. */
export const VerdictEntry = z.strictObject({
  v,
  service: Name,
  instance: Name,
  boot: z.string().min(1).max(64),
  verdict: z.enum(["healthy", "unhealthy"]),
  /** The control-plane node that says so. */
  by: Name,
  /** Why not healthy: `status 500`, `connect refused`, `timeout after 2s`, `circuit open on 3 of 4 proxies`. */
  reason: z.string().max(200).optional(),
});
export type VerdictEntry = z.infer<typeof VerdictEntry>;

/** A name that can be revoked. Without NUL, which keeps names apart where several are one text, and kinds of names from issuers. */
export const RevocableName = z
  .string()
  .min(1)
  .max(512)
  .regex(/^[^\0]*$/, { error: "has a NUL, which no issuer, client or key has in its name" });

const revocationBase = {
  v,
  id: z.string().min(1).max(64),
  reason: z.string().max(200).optional(),
  /**
   * When it was ordered, in Unix milliseconds; later than any lifting of the same thing that the control plane knew of. Absent: before
   * liftings there were.
   */
  at: z.number().min(0).optional(),
  /** A copy: when it was made, in Unix milliseconds, and the sequence of the entry that has it already. */
  renewed: z.strictObject({ at: z.number().min(0), of: z.int().min(1) }).optional(),
};

/** Revocations, key `token`: one token by issuer and `jti`. */
export const TokenRevocation = z.strictObject({
  ...revocationBase,
  kind: z.literal("token"),
  issuer: z.string().min(1).max(512),
  jti: z.string().min(1).max(512),
  /** When the token would have expired anyway; after that (plus tolerance) the entry may be forgotten. */
  expiresAt: UnixSeconds,
});

/** Revocations, key `user`: every token of a subject issued at or before a moment. */
export const UserRevocation = z.strictObject({
  ...revocationBase,
  kind: z.literal("user"),
  subject: z.string().min(1).max(512),
  /** Absent: at every issuer. */
  issuer: RevocableName.optional(),
  /** A token whose `iat` is not greater than this is revoked: one issued in that very second too. */
  issuedBefore: UnixSeconds,
  /** When the last such token will have expired. */
  expiresAt: UnixSeconds,
});

/** Revocations, key `session`: one session, and every token that says it belongs to it. */
export const SessionRevocation = z.strictObject({
  ...revocationBase,
  kind: z.literal("session"),
  sid: z.string().min(1).max(512),
  /** When the session would be over anyway. */
  expiresAt: UnixSeconds,
});

/** Revocations, key `client`: every token that was issued to a client. */
export const ClientRevocation = z.strictObject({
  ...revocationBase,
  kind: z.literal("client"),
  clientId: RevocableName,
  expiresAt: UnixSeconds,
});

/** Revocations, key `signing-key`: every token that was signed with a key, even if its issuer still publishes it. */
export const SigningKeyRevocation = z.strictObject({
  ...revocationBase,
  kind: z.literal("signing-key"),
  issuer: RevocableName,
  kid: RevocableName,
  expiresAt: UnixSeconds,
});

/** Revocations, key `issuer`: every token of an issuer issued at or before a moment. */
export const IssuerRevocation = z.strictObject({
  ...revocationBase,
  kind: z.literal("issuer"),
  issuer: RevocableName,
  issuedBefore: UnixSeconds,
  expiresAt: UnixSeconds,
});

/** Revocations, key `api-key`: one API key, by its id. */
export const ApiKeyRevocation = z.strictObject({
  ...revocationBase,
  kind: z.literal("api-key"),
  key: RevocableName,
  expiresAt: UnixSeconds,
});

/** Revocations, key `address`: nobody comes in from there. */
export const AddressRevocation = z.strictObject({
  ...revocationBase,
  kind: z.literal("address"),
  /** In its one spelling, see `cidrOf`. */
  cidr: z.string().min(1).max(64).refine(isBlock, { error: "is not the one spelling of a block" }),
  expiresAt: UnixSeconds,
});

/** One thing that is taken back. */
export const Revocation = z.discriminatedUnion("kind", [
  TokenRevocation,
  UserRevocation,
  SessionRevocation,
  ClientRevocation,
  SigningKeyRevocation,
  IssuerRevocation,
  ApiKeyRevocation,
  AddressRevocation,
]);
export type Revocation = z.infer<typeof Revocation>;

/** What a revocation is about, without when and why. */
export const RevocationTarget = z.discriminatedUnion("kind", [
  TokenRevocation.pick({ kind: true, issuer: true, jti: true }),
  UserRevocation.pick({ kind: true, subject: true, issuer: true }),
  SessionRevocation.pick({ kind: true, sid: true }),
  ClientRevocation.pick({ kind: true, clientId: true }),
  SigningKeyRevocation.pick({ kind: true, issuer: true, kid: true }),
  IssuerRevocation.pick({ kind: true, issuer: true }),
  ApiKeyRevocation.pick({ kind: true, key: true }),
  AddressRevocation.pick({ kind: true, cidr: true }),
]);
export type RevocationTarget = z.infer<typeof RevocationTarget>;

/** Revocations, key `lifting`: whatever was ordered about this before counts no more. */
export const LiftingEntry = z.strictObject({
  ...revocationBase,
  kind: z.literal("lifting"),
  at: z.number().min(0),
  /** The revocation that was named. */
  lifts: z.string().min(1).max(64),
  target: RevocationTarget,
  /** When what it lifts has ended everywhere, whoever had not heard of the lifting. */
  expiresAt: UnixSeconds,
});
export type LiftingEntry = z.infer<typeof LiftingEntry>;

/** Revocations, key `batch`: many at once, in force together. An entry stays below 512 KiB. */
export const BatchRevocation = z.strictObject({
  v,
  kind: z.literal("batch"),
  items: z.array(Revocation).min(1).max(1_000),
});
export type BatchRevocation = z.infer<typeof BatchRevocation>;

/**
 * Revocations, key `fingerprints`: what a node still held when the store had lost it. Of tokens nothing but the fingerprint is
 * known any more.
 */
export const FingerprintsEntry = z.strictObject({
  v,
  kind: z.literal("fingerprints"),
  key: FingerprintKeyText,
  /** 12 bytes a token, little-endian: upper half, lower half, Unix seconds after which it may be forgotten. */
  tokens: z.base64().max(400_000),
  /** See `DumpedMark`: `[subject, issuer or null for every issuer, issued before, expires at, …]`, and other names likewise. */
  users: z
    .array(
      z.tuple(
        [
          z.string().min(1).max(1_300),
          z.string().min(1).max(512).nullable(),
          z.number().min(-1).max(1e11),
          UnixSeconds,
        ],
        z.number(),
      ),
    )
    .max(1_000),
});
export type FingerprintsEntry = z.infer<typeof FingerprintsEntry>;

/** What the journal of revocations holds. A fingerprint key there counts from that entry on. */
export const RevocationEntry = z.discriminatedUnion("kind", [
  TokenRevocation,
  UserRevocation,
  SessionRevocation,
  ClientRevocation,
  SigningKeyRevocation,
  IssuerRevocation,
  ApiKeyRevocation,
  AddressRevocation,
  LiftingEntry,
  BatchRevocation,
  FingerprintKey,
  FingerprintsEntry,
]);
export type RevocationEntry = z.infer<typeof RevocationEntry>;
