/** What a bearer token lacks (RFC 6750 §3.1). */
export type BearerError = "invalid_request" | "invalid_token" | "insufficient_scope";

export interface Challenge {
  /** Absent: no bearer token was shown, so there is nothing to say about it (RFC 6750 §3.1). */
  readonly error?: BearerError;
  /** A sentence that is safe to show to the client. What RFC 6750 §3 does not allow in it is left out. */
  readonly description?: string | undefined;
  /** Names of the scopes that the route wants. Those that are no scope tokens are left out. */
  readonly scopes?: readonly string[];
}

const scopeToken = /^[\x21\x23-\x5b\x5d-\x7e]+$/;
const undescribable = /[^\x20\x21\x23-\x5b\x5d-\x7e]/g;

/** The value of `WWW-Authenticate` (RFC 6750 §3): each attribute once, in quotes. */
export function challenge({ error, description, scopes = [] }: Challenge = {}): string {
  const attributes = ['realm="tocsin"'];
  if (error !== undefined) attributes.push(`error="${error}"`);
  if (description !== undefined)
    attributes.push(`error_description="${description.replace(undescribable, "")}"`);
  const tokens = [...new Set(scopes)].filter((name) => scopeToken.test(name));
  // An empty list is no list (RFC 6750 §3, RFC 6749 §3.3).
  if (tokens.length > 0) attributes.push(`scope="${tokens.join(" ")}"`);
  return `Bearer ${attributes.join(", ")}`;
}
