import { Denial } from "@tocsin/shared";

/** RFC 6750 §2.1: the scheme, at least one blank, one token of the token68 alphabet, and nothing else. */
const credentials = /^bearer +([A-Za-z0-9\-._~+/]+=*)$/i;

/**
 * The token of an `Authorization` field.
 *
 * @throws Refusal credential-invalid when the field is anything else: another scheme, no token, more than one
 */
export function bearerToken(authorization: string): string {
  const token = credentials.exec(authorization)?.[1];
  if (token === undefined) throw new Denial("credential-invalid", "authorization-malformed");
  return token;
}
