/** `identity.apiKeys`: keys for programs, in a header field of their own. */
import { z } from "zod";
import type { Inconsistency } from "./references.ts";
import { authPlaces } from "./auth-places.ts";
import { shown } from "../shown.ts";

/**
 * Fields that mean something to HTTP, to browsers or to this gateway. A key is taken out of its field on every route, so none of
 * these could be it.
 */
const taken = new Set([
  "authorization",
  "cookie",
  "set-cookie",
  "host",
  "connection",
  "expect",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "keep-alive",
  "http2-settings",
  "forwarded",
  "via",
  "from",
  "date",
  "range",
  "origin",
  "referer",
  "user-agent",
  "cache-control",
  "pragma",
  "max-forwards",
  "traceparent",
  "tracestate",
  "baggage",
  "idempotency-key",
  "last-event-id",
  "x-request-id",
  "x-user-id",
  "x-user-roles",
  "x-user-scopes",
  "x-auth-method",
  "x-auth-session",
  "x-real-ip",
  "x-original-url",
  "x-rewrite-url",
]);
const takenPrefixes = [
  "accept",
  "access-control-",
  "content-",
  "if-",
  "proxy-",
  "sec-",
  "x-forwarded-",
];

function isTaken(name: string): boolean {
  return taken.has(name) || takenPrefixes.some((prefix) => name.startsWith(prefix));
}

/** Letters, digits and hyphens, of what RFC 9110 §5.6.2 allows: an underscore would be the same field to some servers, not to others. */
const HeaderName = z
  .string()
  .regex(/^[A-Za-z0-9]([A-Za-z0-9-]{0,62}[A-Za-z0-9])?$/, {
    error: (issue) =>
      `${shown(issue.input)} is not a name for this field: use 1 to 64 letters, digits and inner hyphens`,
  })
  .transform((name) => name.toLowerCase())
  .refine((name) => !isTaken(name), {
    error: (issue) =>
      `${shown(issue.input)} means something else already: use a field of its own, such as x-api-key`,
  });

export const ApiKeyPolicy = z.strictObject({
  header: HeaderName.prefault("x-api-key").describe(
    "The header field that carries the key; taken out before a request is forwarded. Default x-api-key.",
  ),
});
export type ApiKeyPolicy = z.infer<typeof ApiKeyPolicy>;

type Table = Readonly<Record<string, unknown>>;

/** Routes that ask for API keys where there are none. */
export function apiKeyProblems(config: Table, routes: readonly unknown[]): Inconsistency[] {
  const identity = config["identity"] as Table | null | undefined;
  if (typeof identity === "object" && identity !== null && identity["apiKeys"] !== undefined)
    return [];
  return authPlaces(config, routes, "api-key").map((path) => ({
    path,
    message: "there are no API keys: identity.apiKeys is not set",
  }));
}
