/**
 * The text of an API key: `tocsin_<id>_<secret><checksum>`, 69 characters (docs/design/decisions/0033-api-keys.md).
 *
 * The id is public: it names the key in lists and revocations. The secret is 256 random bits in base64url. The checksum lets a typing
 * error, and a scanner that looks for leaked secrets, be told without asking anybody.
 */
import { hash, randomBytes } from "node:crypto";
import { crc32 } from "node:zlib";
import { apiKeyIdOf, idLength, type ApiKeyId } from "./id.ts";

const prefix = "tocsin_";
const secretLength = 43;
const checksumLength = 6;
export const keyLength = prefix.length + idLength + 1 + secretLength + checksumLength;

/** The last of 43 characters stands for four bits: only every fourth character can be there (RFC 4648 §3.5). */
const form = /^tocsin_[a-z2-7]{12}_[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048][0-9A-Za-z]{6}$/;

const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/** A new secret for an id. What it returns is told once and stored nowhere. */
export function freshKey(id: ApiKeyId): string {
  const unchecked = `${prefix}${id}_${randomBytes(32).toString("base64url")}`;
  return unchecked + checksumOf(unchecked);
}

export function freshApiKeyId(): ApiKeyId {
  return apiKeyIdOf(randomBytes(8));
}

/** What is wrong with a text as it stands, in words for a log; undefined: it may be a key. Costs more than {@link digestOfKey}. */
export function faultInKey(text: string): string | undefined {
  if (text.length !== keyLength) return `it has ${text.length} characters, not ${keyLength}`;
  if (!form.test(text)) return "it has not the form of a key";
  const end = text.length - checksumLength;
  if (checksumOf(text.slice(0, end)) !== text.slice(end)) return "the checksum does not fit";
  return undefined;
}

/**
 * What is stored of a key: SHA-256 of its whole text, in base64url.
 *
 * One round is enough: a slow hash makes up for what people choose, and nobody guesses 256 random bits. The id is part of what is
 * hashed, so that a digest is of no use under another id.
 */
export function digestOfKey(text: string): string {
  return hash("sha256", text, "base64url");
}

/** CRC-32 in base 62, with zeros before it. */
function checksumOf(text: string): string {
  let rest = crc32(text);
  let checksum = "";
  for (let at = 0; at < checksumLength; at += 1) {
    checksum = digits[rest % 62]! + checksum;
    rest = Math.floor(rest / 62);
  }
  return checksum;
}
