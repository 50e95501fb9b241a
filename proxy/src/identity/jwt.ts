/** Signatures and the claims that every verifier knows (RFC 7515, RFC 7519). The only file that knows the library. */
import { calculateJwkThumbprint, errors, importJWK, jwtVerify } from "jose";
import { Denial } from "@tocsin/shared";
import type { DenialCause, WallTime } from "@tocsin/shared";
import type { Algorithm } from "@tocsin/shared/contract";
import type { IssuerRules } from "./rules.ts";

/** A key that can verify signatures of one algorithm, and nothing else. */
export interface VerificationKey {
  /** The `kid` under which its issuer publishes it; without one its thumbprint (RFC 7638, SHA-256). Undefined: a shared secret. */
  readonly id: string | undefined;
  readonly key: CryptoKey;
}

/** What a verified token says, and by which key. */
export interface VerifiedToken {
  readonly payload: Readonly<Record<string, unknown>>;
  /** As {@link VerificationKey.id}. */
  readonly keyId: string | undefined;
}

/** The members of a public key. All others are left out, so that a private key that was published by mistake stays a public one. */
const publicMembers = ["kty", "crv", "n", "e", "x", "y"] as const;
const minModulusBits = 2048;
const minExponent = 65_537;

/**
 * @throws Error when the key is malformed, or too weak to prove anything (RFC 8725 §3.5)
 */
export async function importPublicKey(
  jwk: Readonly<Record<string, unknown>>,
  algorithm: Algorithm,
): Promise<VerificationKey> {
  const members = Object.fromEntries(
    publicMembers.filter((name) => typeof jwk[name] === "string").map((name) => [name, jwk[name]]),
  );
  const key = await importJWK(members, algorithm);
  if (key instanceof Uint8Array) throw new Error("a shared secret has no place in a key set");
  assertStrong(key.algorithm);
  const { kid } = jwk;
  return { id: typeof kid === "string" ? kid : await calculateJwkThumbprint(members), key };
}

function assertStrong(algorithm: CryptoKey["algorithm"]): void {
  const { modulusLength, publicExponent } = algorithm as Partial<webRsaKeyAlgorithm>;
  if (modulusLength === undefined || publicExponent === undefined) return;
  if (modulusLength < minModulusBits)
    throw new Error(`an RSA key of ${modulusLength} bits, ${minModulusBits} are needed`);
  // With an exponent of 1 every message is its own signature; small ones have forgiven bad padding (NIST SP 800-56B §6.2).
  const exponent = publicExponent.reduce((sum, byte) => sum * 256 + byte, 0);
  if (exponent < minExponent || exponent % 2 === 0)
    throw new Error(`an RSA key with the exponent ${exponent}`);
}

interface webRsaKeyAlgorithm {
  readonly modulusLength: number;
  readonly publicExponent: Uint8Array;
}

/** @throws Error when the secret is shorter than the hash (RFC 7518 §3.2) */
export async function importSecret(secret: string, algorithm: Algorithm): Promise<VerificationKey> {
  const bytes = new TextEncoder().encode(secret);
  const bits = Number(algorithm.slice(2));
  if (bytes.length * 8 < bits)
    throw new Error(`a secret of ${bytes.length} bytes for ${algorithm}`);
  const hmac = { name: "HMAC", hash: `SHA-${bits}` };
  return {
    id: undefined,
    key: await crypto.subtle.importKey("raw", bytes, hmac, false, ["verify"]),
  };
}

/**
 * Verifies signature, `iss`, `aud`, `exp` and `nbf`.
 *
 * @param text a token that `readToken` took
 * @param keys those that may have signed it
 * @throws Refusal credential-invalid, credential-expired
 */
export async function verifyToken(
  text: string,
  algorithm: Algorithm,
  keys: readonly VerificationKey[],
  rules: IssuerRules,
  now: WallTime,
): Promise<VerifiedToken> {
  for (const { id, key } of keys) {
    try {
      const { payload } = await jwtVerify(text, key, {
        algorithms: [algorithm],
        issuer: rules.issuer,
        audience: [...rules.audience],
        clockTolerance: rules.toleranceSeconds,
        currentDate: new Date(now),
        requiredClaims: ["exp", "iat", "sub"],
      });
      return { payload, keyId: id };
    } catch (thrown) {
      // Another key of the same name may have signed it.
      if (thrown instanceof errors.JWSSignatureVerificationFailed) continue;
      const why = causeOf(thrown);
      const code = why === "expired" ? "credential-expired" : "credential-invalid";
      throw new Denial(code, why, { issuer: rules.issuer });
    }
  }
  const why = keys.length === 0 ? "key-unknown" : "signature-wrong";
  throw new Denial("credential-invalid", why, { issuer: rules.issuer });
}

/** What the library says about a token whose signature is right, in our words: its own may hold the token's. */
function causeOf(thrown: unknown): DenialCause {
  if (thrown instanceof errors.JWTExpired) return "expired";
  if (!(thrown instanceof errors.JWTClaimValidationFailed)) return "claim-malformed";
  const { claim, reason } = thrown;
  if (reason === "missing") return "claim-missing";
  if (reason !== "check_failed") return "claim-malformed";
  return claim === "aud" ? "audience-wrong" : claim === "nbf" ? "not-yet-valid" : "claim-malformed";
}
