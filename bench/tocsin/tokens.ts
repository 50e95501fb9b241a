/** Tokens of an issuer that exists for the benchmark. */
import { randomUUID } from "node:crypto";
import { SignJWT } from "jose";

export const issuer = "bench";
export const audience = "bench-api";
export const secret = "a secret for benchmarks that is long enough for HS256";

const key = new TextEncoder().encode(secret);

export function tokenOf(claims: {
  readonly subject: string;
  readonly roles: readonly string[];
  readonly jti?: string;
}): Promise<string> {
  return new SignJWT({ roles: claims.roles, scope: "items:read items:write" })
    .setProtectedHeader({ alg: "HS256", typ: "JWT" })
    .setIssuer(issuer)
    .setAudience(audience)
    .setSubject(claims.subject)
    .setJti(claims.jti ?? randomUUID())
    .setIssuedAt()
    .setExpirationTime("1h")
    .sign(key);
}
