/** API keys over the admin API: bodies and answers. */
import { z } from "zod";
import { Name } from "../names.ts";
import { Applied } from "./api.ts";
import { ApiKeyId, KeyText, UnixSeconds } from "./entries.ts";
import { Duration } from "./units.ts";
import { shown } from "../shown.ts";

/** RFC 6749 §3.3: no blanks, quotes or backslashes; those who look at scopes separate them by blanks. */
const Scope = z
  .string()
  .max(128)
  .regex(/^[\x21\x23-\x5b\x5d-\x7e]+$/, {
    error: (issue) =>
      `${shown(issue.input)} is not a scope: use visible ASCII without quotes, backslashes and blanks`,
  });

/** `POST /v1/api-keys`. */
export const NewApiKey = z.strictObject({
  principal: KeyText(512).describe("Whom the key speaks for: what upstreams see as X-User-ID."),
  roles: z.array(KeyText(128)).max(100).optional().describe("Default: none."),
  scopes: z.array(Scope).max(100).optional().describe("Default: none."),
  expiresAt: UnixSeconds.optional().describe("Unix seconds. Default: it does not expire."),
  limits: z
    .array(Name)
    .max(20)
    .optional()
    .describe("Names of quotas that count for this key. Kept; not applied yet."),
  description: KeyText(200).optional().describe("What it is for."),
});
export type NewApiKey = z.infer<typeof NewApiKey>;

/** `POST /v1/api-keys/{id}/rotate`. */
export const RotateApiKey = z.strictObject({
  overlap: Duration({ max: "90d" })
    .prefault("24h")
    .describe("How long the secret before is still good. Default 24h; 0s: not at all."),
});
export type RotateApiKey = z.infer<typeof RotateApiKey>;

/** What a key is, without its secret. */
export const ApiKeyView = z.object({
  id: ApiKeyId,
  state: z.enum(["active", "expired", "revoked"]),
  /** Counts the changes of the key from 1; what `If-Match` is compared with. */
  revision: z.int(),
  principal: z.string(),
  roles: z.array(z.string()),
  scopes: z.array(z.string()),
  limits: z.array(Name),
  description: z.string().optional(),
  /** Unix seconds, as all moments here. */
  createdAt: z.number(),
  expiresAt: z.number().optional(),
  /** When its secret was made last, and until when the one before is good. */
  rotatedAt: z.number().optional(),
  overlapEndsAt: z.number().optional(),
  revokedAt: z.number().optional(),
  /** To the minute, as far as proxies have said since this node started. Absent: nobody has said. */
  lastUsedAt: z.number().optional(),
});
export type ApiKeyView = z.infer<typeof ApiKeyView>;

/** `GET /v1/api-keys`: oldest first. */
export const ApiKeyPage = z.object({
  apiKeys: z.array(ApiKeyView),
  /** Where the next page begins (`?after=`); absent: this was the last one. */
  next: ApiKeyId.optional(),
  /** Since when this node hears which keys are used, in Unix seconds: an older use is not known. */
  usageSince: z.number(),
});
export type ApiKeyPage = z.infer<typeof ApiKeyPage>;

/** The facts of an order, and the key that it is about. */
const changed = {
  operation: z.string(),
  sequence: z.int(),
  epoch: z.string(),
  durableMs: z.number(),
  applied: Applied,
  apiKey: ApiKeyView,
  /** The same order was carried out before. Its secret was shown then, and is not known any more. */
  repeated: z.literal(true).optional(),
};

/** The answer to creating and to rotating. */
export const ApiKeyMade = z.object({
  id: ApiKeyId,
  /** The key itself, told once. Absent: the order is a repetition. */
  key: z.string().optional(),
  ...changed,
});
export type ApiKeyMade = z.infer<typeof ApiKeyMade>;

/** The answer to revoking. */
export const ApiKeyRevoked = z.object({ id: ApiKeyId, ...changed });
export type ApiKeyRevoked = z.infer<typeof ApiKeyRevoked>;

/** A trial: it would be carried out. */
export const ApiKeyChecked = z.object({ valid: z.literal(true) });
