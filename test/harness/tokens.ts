import { randomUUID } from "node:crypto";
import { SignJWT } from "jose";

export const secret = "a secret for tests that is long enough for HS256";
export const issuer = "tests";
export const audience = "tests-api";

export interface TokenClaims {
  readonly subject?: string;
  readonly roles?: readonly string[];
  readonly jti?: string;
  /** Unix seconds. */
  readonly issuedAt?: number;
  readonly lifetimeSeconds?: number;
}

/** A token of the test issuer. */
export async function token(claims: TokenClaims = {}): Promise<string> {
  const issuedAt = claims.issuedAt ?? Math.floor(Date.now() / 1000);
  return new SignJWT({ roles: claims.roles ?? ["user"] })
    .setProtectedHeader({ alg: "HS256", typ: "JWT" })
    .setIssuer(issuer)
    .setAudience(audience)
    .setSubject(claims.subject ?? "alice")
    .setJti(claims.jti ?? randomUUID())
    .setIssuedAt(issuedAt)
    .setExpirationTime(issuedAt + (claims.lifetimeSeconds ?? 3600))
    .sign(new TextEncoder().encode(secret));
}

/** The issuer of {@link token}, as a piece of config. */
export const issuerConfig = `identity:
  issuers:
    - { issuer: ${issuer}, audience: ${audience}, algorithms: [HS256], secret: "${secret}" }
`;
