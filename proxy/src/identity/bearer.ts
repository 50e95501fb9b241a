import { challenge, Denial } from "@tocsin/shared";

/** RFC 6750 §2.1: the scheme, at least one blank, one token of the token68 alphabet, and nothing else. */
const credentials = /^bearer +([A-Za-z0-9\-._~+/]+=*)$/i;

const scheme = /^bearer(?: |$)/i;

/**
 * The token of an `Authorization` field.
 *
 * @throws Refusal credential-invalid when the field is anything else: another scheme, no token, more than one
 */
export function bearerToken(authorization: string): string {
  const token = credentials.exec(authorization)?.[1];
  if (token !== undefined) return token;
  // RFC 6750 §3.1: of another scheme than this one there is nothing to say but which one it is.
  const other = scheme.test(authorization) ? {} : { headers: { "www-authenticate": challenge() } };
  throw new Denial("credential-invalid", "authorization-malformed", other);
}
