/** The public name of an API key: in its text, in lists, in revocations and in the key of its entry. */
export type ApiKeyId = string;

export const apiKeyIdPattern = /^[a-z2-7]{12}$/;
export const idLength = 12;
/** Letters and digits that are not taken for each other (RFC 4648 §6): 12 of them are 60 bits. */
const alphabet = "abcdefghijklmnopqrstuvwxyz234567";

/** @param bytes at least 8 of them: random, or derived from something that is to lead to the same id again */
export function apiKeyIdOf(bytes: Uint8Array): ApiKeyId {
  let bits = 0n;
  for (const byte of bytes.subarray(0, 8)) bits = (bits << 8n) | BigInt(byte);
  let id = "";
  for (let at = 0; at < idLength; at += 1) {
    id += alphabet[Number(bits & 31n)]!;
    bits >>= 5n;
  }
  return id;
}
