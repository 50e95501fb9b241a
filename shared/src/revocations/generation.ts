import { FingerprintSet } from "./fingerprint-set.ts";
import { sipHash } from "./sip-hash.ts";

/** What a token is known by: its issuer and `jti` in 64 bits, under a key. */
export interface Fingerprint {
  /** The key, as the generation holds it that made this: whether two are of one generation is told by identity. */
  readonly key: Uint32Array;
  readonly high: number;
  readonly low: number;
}

export const keyBytes = 16;

/** Issuer and `jti` have at most 512 characters each, 3 bytes a character, and something between them. */
const scratch = new Uint32Array(800);
const scratchBytes = new Uint8Array(scratch.buffer);
const encoder = new TextEncoder();
const hashed = { high: 0, low: 0 };

/** Tokens whose fingerprints were made under one key. */
export class Generation {
  readonly tokens = new FingerprintSet();
  /** The key as four words, little end first. */
  readonly key: Uint32Array;

  /** @param key 16 bytes, copied */
  constructor(key: Uint8Array) {
    if (key.length !== keyBytes) throw new RangeError(`a key has ${keyBytes} bytes`);
    this.key = new Uint32Array(Uint8Array.from(key).buffer);
  }

  /** The key as it travels. */
  get keyAsBytes(): Uint8Array {
    return new Uint8Array(this.key.slice().buffer);
  }

  isUnder(key: Uint8Array): boolean {
    return Buffer.from(this.key.buffer).equals(key);
  }

  /** @throws RangeError when the texts are longer than any issuer or `jti` may be */
  fingerprint(issuer: string, jti: string): Fingerprint {
    hash(this.key, issuer, jti);
    return { key: this.key, high: hashed.high, low: hashed.low };
  }

  /** Whether a token is there by its texts. @throws RangeError as {@link fingerprint} */
  has(issuer: string, jti: string): boolean {
    if (this.tokens.size === 0) return false;
    hash(this.key, issuer, jti);
    return this.tokens.has(hashed.high, hashed.low);
  }

  /** @returns whether it was not there before. @throws RangeError as {@link fingerprint} */
  add(issuer: string, jti: string, expiresAt: number): boolean {
    hash(this.key, issuer, jti);
    return this.tokens.add(hashed.high, hashed.low, expiresAt);
  }
}

function hash(key: Uint32Array, issuer: string, jti: string): void {
  let length = encodeInto(issuer, 0);
  // 0xFF is in no UTF-8 text, so that ("ab", "c") and ("a", "bc") differ.
  scratchBytes[length] = 0xff;
  length = encodeInto(jti, length + 1);
  // The last block is filled with zeros.
  scratchBytes.fill(0, length, (length + 7) & ~7);
  sipHash(key, scratch, length, hashed);
}

/** @returns where the text ends */
function encodeInto(text: string, at: number): number {
  if (at + text.length + 16 > scratchBytes.length) throw tooLong();
  // Nearly all are ASCII, and for so few characters the way into the encoder takes longer than the way through this loop.
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    if (code > 0x7f) return encodeAnyInto(text, at);
    scratchBytes[at + index] = code;
  }
  return at + text.length;
}

function encodeAnyInto(text: string, at: number): number {
  const { read, written } = encoder.encodeInto(text, scratchBytes.subarray(at));
  if (read < text.length || at + written + 16 > scratchBytes.length) throw tooLong();
  return at + written;
}

function tooLong(): RangeError {
  return new RangeError("an issuer or jti is too long");
}
