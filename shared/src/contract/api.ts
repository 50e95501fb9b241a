/**
 * Bodies and answers of the admin API; the bus requests of services have the same ones.
 */
import { z } from "zod";
import { Name } from "../names.ts";
import { apiKeyIdIn, sidIn } from "../pasted.ts";
import { credentialIn, withoutCredentials } from "../shown.ts";
import { InstanceUrl } from "./service.ts";
import { ApiKeyId, RevocableName, UnixSeconds } from "./entries.ts";
import { JournalReport } from "./messages.ts";
import { Duration } from "./units.ts";

/** `PUT /v1/services/{service}/instances/{instance}` and the bus request `register`. */
export const Registration = z.strictObject({
  url: InstanceUrl.describe("Where the instance answers: scheme, host and port."),
  weight: z
    .int()
    .min(1)
    .max(1000)
    .optional()
    .describe("Share of the requests, relative to the others. Default 1."),
  zone: Name.optional(),
  version: z.string().max(64).optional(),
  health: z
    .strictObject({
      path: z
        .string()
        .startsWith("/")
        .max(512)
        .optional()
        .describe(
          "Probed with GET. Absent: that of the service's config; absent there too: an accepted connection is enough.",
        ),
      interval: Duration({ min: "100ms", max: "1h" }).optional(),
      timeout: Duration({ min: "10ms", max: "1m" }).optional(),
    })
    .optional(),
  metadata: z.record(z.string().max(64), z.string().max(256)).optional(),
  /** Which life of the instance this is; random per process. Another boot supersedes the one before. Default: made up. */
  boot: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,64}$/)
    .optional(),
});
export type Registration = z.infer<typeof Registration>;
/** What is sent, before durations become numbers. */
export type RegistrationInput = z.input<typeof Registration>;

export const Lease = z.object({
  /** How long the promise holds without renewal, as a duration text. */
  lease: z.string(),
  /** How often to renew. */
  renew: z.string(),
  /** The catalogue entry. */
  sequence: z.int(),
  /** Echo of the registration's boot, or the one that was made up. */
  boot: z.string(),
});
export type Lease = z.infer<typeof Lease>;

/** Body of renew and deregister. Without a boot: whichever life holds the lease. */
export const LeaseHolder = z.strictObject({ boot: z.string().max(64).optional() });
export type LeaseHolder = z.infer<typeof LeaseHolder>;

const reason = z
  .string()
  .max(200)
  .overwrite(withoutCredentials)
  .optional()
  .describe("Why, for the list and the audit.");
const operation = z
  .string()
  .regex(/^[A-Za-z0-9_-]{1,64}$/)
  .optional()
  .describe("Repeating an order with the same operation has one effect.");

/** A name that is revoked. What lets somebody in is none, and would be stored: an order that took it would revoke nothing. */
const named = <Schema extends z.ZodString>(schema: Schema) =>
  schema.refine((text) => credentialIn(text) === undefined, {
    error: (issue) =>
      credentialIn(String(issue.input)) === "token"
        ? "is a token: write { token } to revoke it"
        : "has a credential in it, where its id belongs",
  });
const name = named(RevocableName);
const text = named(z.string().min(1).max(512));
const untilLifted = UnixSeconds.optional().describe("Unix seconds. Default: until it is lifted.");

/** The forms of a revocation, each with what else stands beside them. */
const revocationForms = <More extends z.ZodRawShape>(more: More) =>
  z.union([
    z.discriminatedUnion(
      "kind",
      [
        z.strictObject({
          kind: z.literal("token"),
          issuer: text,
          jti: text,
          expiresAt: UnixSeconds.optional(),
          reason,
          ...more,
        }),
        z.strictObject({
          kind: z.literal("user"),
          subject: text,
          issuer: name.optional(),
          issuedBefore: UnixSeconds.optional().describe(
            "Unix seconds; default now. A token issued in that very second is revoked.",
          ),
          reason,
          ...more,
        }),
        z.strictObject({
          kind: z.literal("session"),
          sid: named(z.string().min(1).max(512).overwrite(sidIn)).describe(
            "Of a session of this gateway, or the `sid` of tokens. A whole cookie is reduced to it.",
          ),
          expiresAt: UnixSeconds.optional().describe(
            "When it is over anyway. Default: when the longest session or token would be.",
          ),
          reason,
          ...more,
        }),
        z.strictObject({
          kind: z.literal("client"),
          clientId: name.describe("The client that tokens were issued to (`azp`)."),
          expiresAt: untilLifted,
          reason,
          ...more,
        }),
        z.strictObject({
          kind: z.literal("signing-key"),
          issuer: name,
          kid: name.describe(
            "As the issuer publishes it; of a key without one its thumbprint (RFC 7638).",
          ),
          expiresAt: untilLifted,
          reason,
          ...more,
        }),
        z.strictObject({
          kind: z.literal("issuer"),
          issuer: name,
          issuedBefore: UnixSeconds.optional().describe(
            "Unix seconds; default now. A token issued in that very second is revoked.",
          ),
          reason,
          ...more,
        }),
        z.strictObject({
          kind: z.literal("api-key"),
          id: z
            .string()
            .overwrite(apiKeyIdIn)
            .pipe(ApiKeyId)
            .describe("As `tocsin keys list` shows it. A whole key is reduced to it."),
          reason,
          ...more,
        }),
        z.strictObject({
          kind: z.literal("address"),
          cidr: z
            .string()
            .min(1)
            .max(64)
            .describe(
              "`192.0.2.7`, `10.0.0.0/8`, `2001:db8::/32`. An IPv6 address alone means its /64.",
            ),
          force: z
            .boolean()
            .optional()
            .describe("Blocks more than a /8 of IPv4 or a /16 of IPv6 only when this is true."),
          expiresAt: untilLifted,
          reason,
          ...more,
        }),
      ],
      {
        error:
          "is no kind of revocation: write token, user, session, client, signing-key, issuer, api-key or address",
      },
    ),
    z.strictObject({
      token: z
        .string()
        .min(1)
        .max(16384)
        .describe("A token; verified, reduced to issuer, jti and exp, never stored."),
      reason,
      ...more,
    }),
  ]);

/** `POST /v1/revocations`, one. */
export const RevocationOrder = revocationForms({ operation });
export type RevocationOrder = z.infer<typeof RevocationOrder>;

/** One of many revocations: the operation is that of the whole order. */
export const RevocationItem = revocationForms({});
export type RevocationItem = z.infer<typeof RevocationItem>;

/** The most revocations that one order takes. */
export const maxRevocations = 10_000;

/** `POST /v1/revocations`, many: all of them, or where one of them is wrong none. */
export const BulkRevocationOrder = z.strictObject({
  revocations: z.array(RevocationItem).min(1).max(maxRevocations),
  reason: reason.describe("Why, for those that do not say it themselves."),
  operation,
  partOf: z
    .string()
    .min(1)
    .max(64)
    .optional()
    .describe(
      "A digest of the whole that this is a part of: the same operation with another one is another order.",
    ),
});
export type BulkRevocationOrder = z.infer<typeof BulkRevocationOrder>;

/** `POST /v1/revocations?dryRun=true`: what would be revoked, each token reduced to what identifies it. Nothing was changed. */
export const RevocationsChecked = z.object({
  valid: z.literal(true),
  count: z.int(),
  revocations: z.array(RevocationItem),
});
export type RevocationsChecked = z.infer<typeof RevocationsChecked>;

/** A proxy on which an order is not known to be in force. */
export const MissingProxy = z.object({
  proxy: z.string(),
  /** How many entries it is behind; absent: it has not said, or counts in another epoch. */
  lag: z.int().optional(),
  /** Time since it was heard, in milliseconds. */
  lastSeenMs: z.number().optional(),
  /** Why it refused the order. */
  error: z.string().optional(),
});
export type MissingProxy = z.infer<typeof MissingProxy>;

/** How far an order has come. */
export const Applied = z.object({
  /** Proxies that it concerns: those that applied it, and those that are missing. */
  expected: z.int(),
  count: z.int(),
  /** From the append to the last acknowledgement, by the control plane's monotonic clock. */
  ms: z.number(),
  slowest: z.string().optional(),
  missing: z.array(MissingProxy),
});
export type Applied = z.infer<typeof Applied>;

/** The answer to every order. */
export const OrderAnswer = z.object({
  operation: z.string(),
  sequence: z.int(),
  epoch: z.string(),
  durableMs: z.number(),
  applied: Applied,
  /** How many revocations, where it was an order of many. */
  count: z.int().optional(),
  /** The same order was durable before: nothing was written now. */
  repeated: z.literal(true).optional(),
});
export type OrderAnswer = z.infer<typeof OrderAnswer>;

export const ConfigApplied = z.object({
  revision: z.int(),
  sequence: z.int(),
  epoch: z.string(),
  operation: z.string(),
  durableMs: z.number(),
  applied: Applied,
});
export type ConfigApplied = z.infer<typeof ConfigApplied>;

export const InstanceView = z.object({
  instance: Name,
  url: z.string(),
  source: z.enum(["registered", "config"]),
  state: z.enum(["active", "draining"]),
  verdict: z.enum(["healthy", "unhealthy", "unknown"]),
  by: z.string().optional(),
  reason: z.string().optional(),
  /** The node that looks after it does not reach it, others do: it stays in the rotation. Since when, and who. */
  held: z.object({ since: z.number(), reason: z.string() }).optional(),
  /**
   * Of the proxies that had requests for it in the last 10 s: how many send it nothing because it kept failing there, and how many
   * try it again. Absent: none had any. Open on one of twelve is a split, not a death.
   */
  circuit: z
    .object({ open: z.int().min(0), halfOpen: z.int().min(0), of: z.int().min(0) })
    .optional(),
  weight: z.int(),
  zone: z.string().optional(),
  version: z.string().optional(),
  lease: z.object({ remainingMs: z.number() }).optional(),
});
export type InstanceView = z.infer<typeof InstanceView>;

export const ServiceView = z.object({ service: Name, instances: z.array(InstanceView) });
export type ServiceView = z.infer<typeof ServiceView>;

export const ProxyView = z.object({
  proxy: Name,
  version: z.string(),
  /** Which life of the process, random. */
  boot: z.string().optional(),
  /** How long that process runs; absent: it has not said. */
  uptimeMs: z.number().optional(),
  /** Heard in the last 6 s, and not leaving. */
  live: z.boolean(),
  /** Said goodbye: it drains, or has ended. */
  leaving: z.literal(true).optional(),
  lastSeenMs: z.number(),
  journals: z.record(
    z.string(),
    JournalReport.extend({
      /** How many entries it was behind what the control plane knew when it was heard; absent: they count in different epochs. */
      lag: z.int().optional(),
    }),
  ),
});
export type ProxyView = z.infer<typeof ProxyView>;

/** One control-plane node, as another one hears it. */
export const ControlPlaneView = z.object({
  node: Name,
  version: z.string().optional(),
  /** Which life of the process, random. */
  boot: z.string(),
  /** Heard in the last 3 s, and not on its way out. */
  live: z.boolean(),
  /** The leader: what only one may do is done there. */
  leading: z.boolean(),
  /** The highest term of a leader that it knows of. */
  term: z.int().min(0),
  lastSeenMs: z.number().min(0),
});
export type ControlPlaneView = z.infer<typeof ControlPlaneView>;

/** One revocation in the list, or what a recovered store still knows of many. */
export const RevocationView = z.object({
  /** Absent: of a kind that has none. */
  id: z.string().optional(),
  /**
   * `fingerprints`: what was recovered after a loss of the store; of its tokens only fingerprints are known. `unreadable`: an entry
   * that this version does not understand, and that every proxy of it refuses.
   */
  kind: z.enum([
    "token",
    "user",
    "session",
    "client",
    "signing-key",
    "issuer",
    "api-key",
    "address",
    "fingerprints",
    "unreadable",
  ]),
  sequence: z.int(),
  issuer: z.string().optional(),
  jti: z.string().optional(),
  subject: z.string().optional(),
  sid: z.string().optional(),
  clientId: z.string().optional(),
  kid: z.string().optional(),
  /** The id of an API key. */
  key: z.string().optional(),
  cidr: z.string().optional(),
  issuedBefore: z.number().optional(),
  /** When it was ordered, in Unix milliseconds. */
  at: z.number().optional(),
  expiresAt: z.number().optional(),
  reason: z.string().optional(),
  /** Of `fingerprints`: how many. */
  count: z.int().optional(),
  /** When it was lifted, in Unix milliseconds; absent: it is in force. */
  liftedAt: z.number().optional(),
});
export type RevocationView = z.infer<typeof RevocationView>;

/** `GET /v1/revocations`: oldest first. */
export const RevocationPage = z.object({
  revocations: z.array(RevocationView),
  /** Where the next page begins (`?after=`); absent: this was the last one. */
  next: z.int().optional(),
});
export type RevocationPage = z.infer<typeof RevocationPage>;
