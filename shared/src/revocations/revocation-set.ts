import { randomFillSync } from "node:crypto";
import type { FingerprintsEntry, RevocationEntry } from "../contract/entries.ts";
import { turn } from "../replica/slices.ts";
import type { Credential } from "./credential.ts";
import { blocksOf, DumpWriter } from "./dump-format.ts";
import { bytesPerToken, segmentCount } from "./fingerprint-set.ts";
import { keyBytes, type Fingerprint } from "./generation.ts";
import { Generations } from "./generations.ts";
import { lackingMarks, lackingTokens } from "./lacking.ts";
import { UserMarks } from "./user-marks.ts";
import type { DumpedMark } from "./user-marks.ts";

/** Tokens that are taken in before others have their turn: about two milliseconds' worth. */
const tokensAtOnce = 8_192;
const marksPerBlock = 4_096;
const usersSweepSeconds = 60;
/** Sessions stand among the tokens, under an issuer that no token has. */
const ofNobody = "";
/** A longer one cannot be revoked by name. */
const longestName = 512;

/**
 * What was taken back: single tokens by issuer and `jti`, and all tokens of a subject issued up to a moment. It only grows, but for
 * what has expired. Exact as far as 64 bits under a secret key are: no two tokens are mistaken for each other by design or by luck.
 *
 * The key is the fleet's, so that the set can be handed from node to node as it is. Of tokens under another key only the
 * fingerprints are known; they stay in an older generation until they have expired, and every question is put to it too.
 */
export class RevocationSet {
  readonly #generations: Generations;
  readonly #users = new UserMarks();
  #version = 1;
  #usersSweptAt = 0;

  /** @param key 16 bytes. Default: random, so that nobody can prepare texts whose fingerprints meet. */
  constructor(key: Uint8Array = randomFillSync(new Uint8Array(keyBytes))) {
    this.#generations = new Generations(key);
  }

  /** The primary key: what is added from now on is under it. */
  get key(): Uint8Array {
    return this.#generations.primary.keyAsBytes;
  }

  /** Grows with each addition: who asked at this version has an answer that still holds. Starts above 0. */
  get version(): number {
    return this.#version;
  }

  /** Tokens and users held. */
  get size(): number {
    return this.#generations.size + this.#users.size;
  }

  /** Memory of the tokens, in bytes. */
  get bytes(): number {
    return this.#generations.bytes;
  }

  /**
   * Makes this the primary key. A set without tokens adopts it; another one keeps what it has under the old key, as an older
   * generation.
   *
   * @param key 16 bytes
   */
  useKey(key: Uint8Array): void {
    if (!this.#generations.use(key)) return;
    // Nothing more is revoked, but a dump is another one.
    this.#version += 1;
  }

  /** @throws RangeError when the texts are longer than any issuer or `jti` may be */
  fingerprint(issuer: string, jti: string): Fingerprint {
    return this.#generations.primary.fingerprint(issuer, jti);
  }

  /**
   * @param token a fingerprint of this set
   * @param expiresAt Unix seconds after which the entry may be forgotten
   */
  addToken(token: Fingerprint, expiresAt: number): void {
    const { primary } = this.#generations;
    const { key } = token;
    const { tokens } =
      key === primary.key ? primary : this.#generations.under(new Uint8Array(key.buffer));
    if (tokens.add(token.high, token.low, expiresAt)) this.#version += 1;
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

  /**
   * Puts an entry of the journal in force, but for what expired before `forgetBefore` (Unix seconds).
   *
   * @throws Error or RangeError when it cannot be; then nothing of it is
   */
  apply(entry: RevocationEntry, forgetBefore: number): void {
    switch (entry.kind) {
      case "token":
        if (entry.expiresAt < forgetBefore) return;
        if (this.#generations.primary.add(entry.issuer, entry.jti, entry.expiresAt))
          this.#version += 1;
        return;
      case "user":
        if (entry.expiresAt < forgetBefore) return;
        return this.addUser(entry.subject, entry.issuer, entry.issuedBefore, entry.expiresAt);
      case "session":
        if (entry.expiresAt < forgetBefore) return;
        if (this.#generations.primary.add(ofNobody, entry.sid, entry.expiresAt)) this.#version += 1;
        return;
      case "batch":
        for (const item of entry.items) this.apply(item, forgetBefore);
        return;
      case "fingerprint-key":
        return this.useKey(Buffer.from(entry.key, "base64url"));
      case "fingerprints": {
        const tokens = Buffer.from(entry.tokens, "base64");
        if (tokens.length % bytesPerToken !== 0) throw new Error("half a fingerprint");
        this.#addTokens(Buffer.from(entry.key, "base64url"), tokens, forgetBefore);
        return this.#addMarks(entry.users, forgetBefore);
      }
      default:
        return entry satisfies never;
    }
  }

  has(credential: Credential): boolean {
    const { fingerprint, jti, issuer, session } = credential;
    if (session !== undefined && session.length <= longestName) {
      for (const generation of this.#generations)
        if (generation.has(ofNobody, session)) return true;
    }
    const { primary, older } = this.#generations;
    if (fingerprint !== undefined && fingerprint.key === primary.key) {
      if (primary.tokens.has(fingerprint.high, fingerprint.low)) return true;
    } else if (jti !== undefined && primary.has(issuer, jti)) return true;
    if (older.length > 0 && jti !== undefined)
      for (const generation of older) if (generation.has(issuer, jti)) return true;
    return this.#users.covers(credential.subject, issuer, credential.issuedAt);
  }

  /**
   * Forgets what expired before `now` (Unix seconds).
   *
   * @param segments how many of 256 parts to look at; the next call goes on from there, and users are looked at once a minute.
   * Default all.
   * @returns how many entries were forgotten
   */
  sweep(now: number, segments?: number): number {
    let forgotten = this.#generations.sweep(now, segments);
    if (segments === undefined || now - this.#usersSweptAt >= usersSweepSeconds) {
      this.#usersSweptAt = now;
      forgotten += this.#users.sweep(now);
    }
    return forgotten;
  }

  /** The whole set with its keys: for those alone who may know them, in one piece. */
  dump(): Uint8Array {
    return Buffer.concat([...this.dumpInParts()]);
  }

  /** As {@link dump}, in slices of a few milliseconds. What is added meanwhile may be in it or not. */
  async dumpInSlices(): Promise<Uint8Array> {
    let dump = Buffer.allocUnsafeSlow(this.#generations.size * bytesPerToken + 65_536);
    let end = 0;
    for (const part of this.dumpInParts()) {
      if (end + part.byteLength > dump.byteLength)
        dump = Buffer.concat([dump], 2 * (end + part.byteLength));
      dump.set(part, end);
      end += part.byteLength;
      await turn();
    }
    return dump.subarray(0, end);
  }

  /**
   * The same, in parts, of which each is made when it is asked for. What is added meanwhile may be in it or not.
   */
  *dumpInParts(): Generator<Uint8Array> {
    const writer = new DumpWriter();
    yield writer.begin();
    for (const generation of this.#generations) {
      yield writer.key(generation.keyAsBytes);
      const { tokens } = generation;
      for (let segment = 0; segment < segmentCount; segment += 1) {
        const count = tokens.countIn(segment);
        if (count > 0) yield writer.tokens(count, (entries) => tokens.copy(segment, entries));
      }
    }
    let marks: DumpedMark[] = [];
    for (const mark of this.#users.dump()) {
      marks.push(mark);
      if (marks.length < marksPerBlock) continue;
      yield writer.users(marks);
      marks = [];
    }
    if (marks.length > 0) yield writer.users(marks);
    yield writer.end();
  }

  /**
   * A set as {@link dump} left it, under the same keys.
   *
   * @throws Error when the bytes are not a whole dump
   */
  static restore(bytes: Uint8Array): RevocationSet {
    for (const _ of blocksOf(bytes));
    const set = new RevocationSet();
    for (const _ of set.#absorb(bytes, 0));
    return set;
  }

  /**
   * Adds what a dump holds, generation by generation, but for what expired before `forgetBefore` (Unix seconds). A set without tokens
   * adopts its primary key. Works in slices of a few milliseconds; the set may be used between them.
   *
   * @throws Error when the bytes are not a whole dump; then nothing of it was added
   */
  async merge(dump: Uint8Array, forgetBefore: number): Promise<void> {
    for (const _ of blocksOf(dump)) await turn();
    for (const _ of this.#absorb(dump, forgetBefore)) await turn();
  }

  /**
   * What this set holds and the other one lacks, or would forget earlier, as entries to be appended: each in less than 400 KB of
   * JSON, what expired before `forgetBefore` (Unix seconds) left out.
   */
  *lacking(other: RevocationSet, forgetBefore: number): Generator<FingerprintsEntry> {
    for (const entry of this.#lacking(other, forgetBefore)) if (entry !== undefined) yield entry;
  }

  /** As {@link lacking}, in slices of a few milliseconds: of ten million it takes most of a second to find that nothing is lacking. */
  async *lackingInSlices(
    other: RevocationSet,
    forgetBefore: number,
  ): AsyncGenerator<FingerprintsEntry> {
    for (const entry of this.#lacking(other, forgetBefore)) {
      if (entry === undefined) await turn();
      else yield entry;
    }
  }

  *#lacking(other: RevocationSet, forgetBefore: number): Generator<FingerprintsEntry | undefined> {
    for (const generation of this.#generations) {
      if (generation.tokens.size === 0) continue;
      yield* lackingTokens(
        generation,
        other.#generations.find(generation.keyAsBytes),
        forgetBefore,
      );
    }
    yield* lackingMarks(this.#users, other.#users, this.#generations.primary, forgetBefore);
  }

  /** Takes in a dump that was checked; yields wherever others may have their turn. */
  *#absorb(dump: Uint8Array, forgetBefore: number): Generator<void> {
    let key: Uint8Array | undefined;
    for (const block of blocksOf(dump)) {
      switch (block.kind) {
        case "key":
          if (key === undefined && this.#generations.primary.tokens.size === 0)
            this.useKey(block.key);
          key = block.key;
          break;
        case "tokens":
          for (let at = 0; at < block.bytes.length; at += tokensAtOnce * bytesPerToken) {
            this.#addTokens(
              key!,
              block.bytes.subarray(at, at + tokensAtOnce * bytesPerToken),
              forgetBefore,
            );
            yield;
          }
          break;
        case "users":
          this.#addMarks(block.marks, forgetBefore);
          yield;
          break;
        default:
          block satisfies never;
      }
    }
  }

  #addTokens(key: Uint8Array, bytes: Uint8Array, forgetBefore: number): void {
    // A copy, because words must begin at a multiple of four.
    const entries = new Uint32Array(Uint8Array.from(bytes).buffer);
    // Looked for anew each time: a generation may have become empty, and been dropped, since the last slice.
    if (this.#generations.under(key).tokens.addAll(entries, forgetBefore) > 0) this.#version += 1;
  }

  #addMarks(marks: readonly DumpedMark[], forgetBefore: number): void {
    for (const [subject, issuer, issuedBefore, expiresAt] of marks)
      if (expiresAt >= forgetBefore)
        this.addUser(subject, issuer ?? undefined, issuedBefore, expiresAt);
  }
}
