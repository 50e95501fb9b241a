/**
 * What can be said about a token before any key is touched (RFC 7515, RFC 7519, RFC 8725).
 *
 * A token that could be read in two ways is refused here, so that whatever verifies it later reads what was read here.
 */
import { Denial } from "@tocsin/shared";
import type { DenialCause } from "@tocsin/shared";
import { isObject, readObject } from "./json.ts";

/** A token that has the right form. Nothing in it is proven yet. */
export interface ReadToken {
  readonly text: string;
  /** Of the header. */
  readonly algorithm: string;
  /** Of the header. */
  readonly keyId: string | undefined;
  /** The `iss` claim. */
  readonly issuer: string;
}

/** Longest token, in characters. */
export const maxTokenLength = 16 * 1024;

/** Lower case, without `application/`: RFC 7515 §4.1.9 lets it be left out, RFC 9068 §2.1 names the second. */
const types = new Set(["jwt", "at+jwt"]);

/** @throws Refusal credential-invalid */
export function readToken(text: string): ReadToken {
  if (text.length > maxTokenLength) throw invalid("token-too-long");
  const parts = text.split(".");
  if (parts.length !== 3) throw invalid("token-parts");
  const [header, claims] = parts.map(canonicalBytes);
  const { alg, kid } = readHeader(header!);
  const payload = readObject(claims!);
  if (payload === undefined) throw invalid("token-claims");
  if (typeof payload["iss"] !== "string") throw invalid("token-claims");
  return { text, algorithm: alg, keyId: kid, issuer: payload["iss"] };
}

/**
 * The bytes of a part in base64url. The same bytes can be spelled in several ways (padding, unused bits of the last character,
 * characters that lenient decoders skip); only the one of RFC 7515 §2 counts.
 */
function canonicalBytes(part: string): Uint8Array {
  const bytes = Buffer.from(part, "base64url");
  if (bytes.length === 0) throw invalid("token-encoding");
  if (bytes.toString("base64url") !== part) throw invalid("token-encoding");
  return bytes;
}

function readHeader(bytes: Uint8Array): { alg: string; kid: string | undefined } {
  const header = readObject(bytes);
  if (header === undefined) throw invalid("token-header");
  const { alg, kid, typ } = header;
  if (typeof alg !== "string") throw invalid("token-header");
  if (kid !== undefined && (typeof kid !== "string" || kid.length > 512))
    throw invalid("token-header");
  if (typ !== undefined) {
    if (typeof typ !== "string" || !types.has(typ.toLowerCase().replace(/^application\//, "")))
      throw invalid("token-type");
  }
  // RFC 7515 §4.1.11: what is critical must be understood, and no extension is. RFC 7797 would change what is signed.
  if (Object.hasOwn(header, "crit") || Object.hasOwn(header, "b64"))
    throw invalid("token-extension");
  // RFC 8725 §3.10: keys come from the issuer's own set. References to others (jku, x5u) are never followed; a key that the token
  // brings along can only be meant to deceive.
  if (isObject(header["jwk"])) throw invalid("token-brings-key");
  return { alg, kid };
}

function invalid(why: DenialCause): Denial {
  return new Denial("credential-invalid", why);
}
