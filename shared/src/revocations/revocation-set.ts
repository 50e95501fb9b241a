import { randomFillSync } from "node:crypto";
import { z } from "zod";
import { FingerprintSet } from "./fingerprint-set.ts";
import { sipHash } from "./sip-hash.ts";
import { UserMarks } from "./user-marks.ts";
import type { DumpedMark } from "./user-marks.ts";

/** What a token is known by: its issuer and `jti` in 64 bits, under this set's key. */
export interface Fingerprint {
  readonly high: number;
  readonly low: number;
}

/** What is asked about: a verified token, by what cannot be spelled in two ways. */
export interface Credential {
  readonly issuer: string;
  readonly subject: string;
  /** Unix seconds. */
  readonly issuedAt: number;
  /** Absent: the token has no `jti` and can only be revoked by its user. */
  readonly fingerprint: Fingerprint | undefined;
}

/** `TOCSREV1` */
const magic = Buffer.from("TOCSREV1");
const keyBytes = 16;
const headBytes = magic.length + keyBytes + 8;

const usersSweepSeconds = 60;

/** Issuer and `jti` have at most 512 characters each, 3 bytes a character, and something between them. */
const scratch = new Uint32Array(800);
const scratchBytes = new Uint8Array(scratch.buffer);
const encoder = new TextEncoder();

/**
 * What was taken back: single tokens by issuer and `jti`, and all tokens of a subject issued up to a moment. It only grows, but for
 * what has expired. Exact as far as 64 bits under a secret key are: no two tokens are mistaken for each other by design or by luck.
 */
export class RevocationSet {
  readonly #key: Uint32Array;
  readonly #tokens = new FingerprintSet();
  readonly #users = new UserMarks();
  #version = 1;
  #usersSweptAt = 0;

  /** @param key 16 bytes. Default: random, so that nobody can prepare texts whose fingerprints meet. */
  constructor(key: Uint8Array = randomFillSync(new Uint8Array(keyBytes))) {
    if (key.length !== keyBytes) throw new RangeError(`a key has ${keyBytes} bytes`);
    this.#key = new Uint32Array(new Uint8Array(key).buffer);
  }

  /** Grows with each addition: who asked at this version has an answer that still holds. Starts above 0. */
  get version(): number {
    return this.#version;
  }

  /** Tokens and users held. */
  get size(): number {
    return this.#tokens.size + this.#users.size;
  }

  /** Memory of the tokens, in bytes. */
  get bytes(): number {
    return this.#tokens.bytes;
  }

  /** @throws RangeError when the texts are longer than any issuer or `jti` may be */
  fingerprint(issuer: string, jti: string): Fingerprint {
    let length = encodeInto(issuer, 0);
    // 0xFF is in no UTF-8 text, so that ("ab", "c") and ("a", "bc") differ.
    scratchBytes[length] = 0xff;
    length = encodeInto(jti, length + 1);
    // The last block is filled with zeros.
    scratchBytes.fill(0, length, (length + 7) & ~7);
    const fingerprint = { high: 0, low: 0 };
    sipHash(this.#key, scratch, length, fingerprint);
    return fingerprint;
  }

  /**
   * @param token a fingerprint of this set
   * @param expiresAt Unix seconds after which the entry may be forgotten
   */
  addToken(token: Fingerprint, expiresAt: number): void {
    if (this.#tokens.add(token.high, token.low, expiresAt)) this.#version += 1;
  }

  /**
   * @param issuer undefined: at every issuer
   * @param issuedBefore Unix seconds; tokens issued in that very second are meant too
   * @param expiresAt Unix seconds after which the entry may be forgotten
   */
  addUser(
    subject: string,
    issuer: string | undefined,
    issuedBefore: number,
    expiresAt: number,
  ): void {
    if (this.#users.add(subject, issuer, issuedBefore, expiresAt)) this.#version += 1;
  }

  has(credential: Credential): boolean {
    const { fingerprint } = credential;
    if (fingerprint !== undefined && this.#tokens.has(fingerprint.high, fingerprint.low))
      return true;
    return this.#users.covers(credential.subject, credential.issuer, credential.issuedAt);
  }

  /**
   * Forgets what expired before `now` (Unix seconds).
   *
   * @param segments how many of 256 parts to look at; the next call goes on from there, and users are looked at once a minute.
   * Default all.
   * @returns how many entries were forgotten
   */
  sweep(now: number, segments?: number): number {
    let forgotten = this.#tokens.sweep(now, segments);
    if (segments === undefined || now - this.#usersSweptAt >= usersSweepSeconds) {
      this.#usersSweptAt = now;
      forgotten += this.#users.sweep(now);
    }
    return forgotten;
  }

  /** The whole set with its key, for a file that only this user may read. */
  dump(): Uint8Array {
    const tokens = this.#tokens.dump();
    const users = Buffer.from(JSON.stringify([...this.#users.dump()]));
    const dump = Buffer.allocUnsafe(headBytes + tokens.byteLength + users.length);
    magic.copy(dump);
    dump.set(new Uint8Array(this.#key.buffer), magic.length);
    dump.writeDoubleLE(this.#tokens.size, magic.length + keyBytes);
    dump.set(new Uint8Array(tokens.buffer), headBytes);
    users.copy(dump, headBytes + tokens.byteLength);
    return dump;
  }

  /**
   * A set as {@link dump} left it, under the same key.
   *
   * @throws Error when the bytes are not a whole dump
   */
  static restore(bytes: Uint8Array): RevocationSet {
    const dump = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (dump.length < headBytes || !dump.subarray(0, magic.length).equals(magic))
      throw new Error("not a dump of revocations");
    const count = dump.readDoubleLE(magic.length + keyBytes);
    const end = headBytes + count * 12;
    if (!Number.isSafeInteger(count) || count < 0 || end > dump.length)
      throw new Error("a dump of revocations that is cut short");
    const set = new RevocationSet(dump.subarray(magic.length, magic.length + keyBytes));
    // A copy, because words must begin at a multiple of four.
    set.#tokens.load(new Uint32Array(new Uint8Array(dump.subarray(headBytes, end)).buffer));
    const users = DumpedMarks.parse(JSON.parse(dump.toString("utf8", end)));
    for (const [subject, issuer, issuedBefore, expiresAt] of users)
      set.#users.add(subject, issuer ?? undefined, issuedBefore, expiresAt);
    set.#version += 1;
    return set;
  }
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

const DumpedMarks = z.array(
  z.tuple([z.string(), z.string().nullable(), z.number(), z.number()]),
) satisfies z.ZodType<DumpedMark[]>;
