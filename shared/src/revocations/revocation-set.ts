import { randomFillSync } from "node:crypto";
import type { FingerprintsEntry, RevocationEntry } from "../contract/entries.ts";
import { turn } from "../replica/slices.ts";
import { isRevokedByName } from "./by-name.ts";
import type { Credential } from "./credential.ts";
import { blocksOf } from "./dump-format.ts";
import { dumpedParts } from "./dump.ts";
import { bytesPerToken } from "./fingerprint-set.ts";
import { keyBytes, type Fingerprint } from "./generation.ts";
import { Generations } from "./generations.ts";
import { LiftedTokens } from "./lifted-tokens.ts";
import { ofNobody, registerOf } from "./names.ts";
import type { Revocation, RevocationTarget } from "../contract/entries.ts";
import { lackingOf, type Held } from "./lacking.ts";
import { Marks } from "./marks.ts";
import type { DumpedMark } from "./marks.ts";
import { Temporary } from "./temporary.ts";

/** Tokens that are taken in before others have their turn: about two milliseconds' worth. */
const tokensAtOnce = 8_192;
const marksSweepSeconds = 60;
/** A longer one cannot be revoked by name. */
const longestName = 512;

/** What is known of an order. */
interface Ordered {
  /** When it was given, in Unix milliseconds. Absent: before that was written down. */
  readonly at?: number | undefined;
}

/**
 * What was taken back: single tokens by issuer and `jti`, all tokens of a subject issued up to a moment, and whatever else has a name.
 * What was lifted again stays known as such, so it only grows, but for what has expired. Exact as far as 64 bits under a secret key are: no two tokens are mistaken for each other by design or by luck.
 *
 * The key is the fleet's, so that the set can be handed from node to node as it is. Of tokens under another key only the
 * fingerprints are known; they stay in an older generation until they have expired, and every question is put to it too.
 */
export class RevocationSet {
  readonly #generations: Generations;
  readonly #temporary = new Temporary();
  readonly #marks = new Marks((name, namespace, moment) =>
    this.#temporary.changed(name, namespace, moment),
  );
  readonly #listeners = new Set<() => void>();
  readonly #lifted: LiftedTokens;
  #version = 1;
  #marksSweptAt = 0;

  /** @param key 16 bytes. Default: random, so that nobody can prepare texts whose fingerprints meet. */
  constructor(key: Uint8Array = randomFillSync(new Uint8Array(keyBytes))) {
    this.#generations = new Generations(key);
    this.#lifted = new LiftedTokens(this.#generations, this.#marks);
  }

  /** The primary key: what is added from now on is under it. */
  get key(): Uint8Array {
    return this.#generations.primary.keyAsBytes;
  }

  /** Grows with each addition: who asked at this version has an answer that still holds. Starts above 0. */
  get version(): number {
    return this.#version;
  }

  /** How many blocks of addresses are shut out. */
  get addresses(): number {
    return this.#temporary.addresses.size;
  }

  /** Grows whenever {@link blocks} may say something else than before. */
  get addressVersion(): number {
    return this.#temporary.addressVersion;
  }

  /** Tokens and names held. */
  get size(): number {
    return this.#generations.size + this.#marks.size;
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
    this.#lifted.changed();
    // Nothing more is revoked, but a dump is another one.
    this.#version += 1;
  }

  /** @throws RangeError when the texts are longer than any issuer or `jti` may be */
  fingerprint(issuer: string, jti: string): Fingerprint {
    return this.#generations.primary.fingerprint(issuer, jti);
  }

  /**
   * Calls back when more is taken back than before, at once: whoever let somebody in can ask again. What a merge brings is told part by
   * part.
   *
   * @returns how to stop it
   */
  onAdded(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /**
   * @param token a fingerprint of this set
   * @param expiresAt Unix seconds after which the entry may be forgotten
   */
  addToken(token: Fingerprint, expiresAt: number, { at }: Ordered = {}): void {
    const version = this.#version;
    this.#addToken(token, expiresAt, at);
    this.#tellSince(version);
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
    { at }: Ordered = {},
  ): void {
    const version = this.#version;
    if (this.#marks.add(subject, issuer, issuedBefore, expiresAt, at)) this.#version += 1;
    this.#tellSince(version);
  }

  /**
   * Puts an entry of the journal in force, but for what expired before `forgetBefore` (Unix seconds).
   *
   * @throws Error or RangeError when it cannot be; then nothing of it is
   */
  apply(entry: RevocationEntry, forgetBefore: number): void {
    const version = this.#version;
    this.#apply(entry, forgetBefore);
    this.#tellSince(version);
  }

  has(credential: Credential): boolean {
    const { fingerprint, jti, issuer, session } = credential;
    if (session !== undefined && this.#hasByName(ofNobody, session)) return true;
    if (fingerprint !== undefined && fingerprint.key === this.#generations.primary.key) {
      const { tokens } = this.#generations.primary;
      if (tokens.has(fingerprint.high, fingerprint.low) && !this.#lifted.has(issuer, jti!))
        return true;
      if (this.#generations.older.length > 0 && this.#hasByName(issuer, jti!)) return true;
    } else if (jti !== undefined && this.#hasByName(issuer, jti)) return true;
    return isRevokedByName(this.#marks, credential, this.#temporary.now);
  }

  /** Whether this address is shut out, in whatever spelling. */
  blocks(address: string): boolean {
    return this.#temporary.addresses.has(address, this.#temporary.now);
  }

  /**
   * Tells what time it is, in Unix seconds: a client, a key or an address that was revoked until a moment counts again behind it. To be
   * told as often as that should be exact. Not the time of {@link sweep}, which is late on purpose: what it forgets is gone.
   */
  pass(now: number): void {
    // Whoever asked before may get another answer.
    if (this.#temporary.pass(now, this.#marks)) this.#version += 1;
  }

  /** When something was lifted last, in Unix milliseconds. 0: never. */
  liftedAt(target: RevocationTarget | Revocation): number {
    const { name, namespace } = registerOf(target);
    return this.#marks.liftedAt(name, namespace);
  }

  /** When something was revoked or lifted last, in Unix milliseconds, as far as that is known. 0: it is not. */
  lastChange(target: RevocationTarget): number {
    const { name, namespace } = registerOf(target);
    return this.#marks.lastChange(name, namespace);
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
    if (segments === undefined || now - this.#marksSweptAt >= marksSweepSeconds) {
      this.#marksSweptAt = now;
      this.#lifted.keepUp();
      forgotten += this.#marks.sweep(now);
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
  dumpInParts(): Generator<Uint8Array> {
    this.#lifted.keepUp();
    return dumpedParts(this.#generations, this.#marks);
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
    let version = this.#version;
    for (const _ of this.#absorb(dump, forgetBefore)) {
      this.#tellSince(version);
      version = this.#version;
      await turn();
    }
  }

  /**
   * What this set holds and the other one lacks, or would forget earlier, as entries to be appended: each in less than 400 KB of
   * JSON, what expired before `forgetBefore` (Unix seconds) left out.
   */
  *lacking(other: RevocationSet, forgetBefore: number): Generator<FingerprintsEntry> {
    for (const entry of lackingOf(this.#held, other.#held, forgetBefore))
      if (entry !== undefined) yield entry;
  }

  /** As {@link lacking}, in slices of a few milliseconds: of ten million it takes most of a second to find that nothing is lacking. */
  async *lackingInSlices(
    other: RevocationSet,
    forgetBefore: number,
  ): AsyncGenerator<FingerprintsEntry> {
    for (const entry of lackingOf(this.#held, other.#held, forgetBefore)) {
      if (entry === undefined) await turn();
      else yield entry;
    }
  }

  get #held(): Held {
    this.#lifted.keepUp();
    return { generations: this.#generations, marks: this.#marks };
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

  #apply(entry: RevocationEntry, forgetBefore: number): void {
    switch (entry.kind) {
      case "token":
      case "session": {
        if (entry.expiresAt < forgetBefore) return;
        const [issuer, id] =
          entry.kind === "token" ? [entry.issuer, entry.jti] : [ofNobody, entry.sid];
        return this.#addToken(this.fingerprint(issuer, id), entry.expiresAt, entry.at);
      }
      case "user":
      case "client":
      case "signing-key":
      case "issuer":
      case "api-key":
      case "address": {
        if (entry.expiresAt < forgetBefore) return;
        const { name, namespace } = registerOf(entry);
        const before = "issuedBefore" in entry ? entry.issuedBefore : entry.expiresAt;
        if (this.#marks.add(name, namespace, before, entry.expiresAt, entry.at)) this.#version += 1;
        return;
      }
      case "lifting": {
        if (entry.expiresAt < forgetBefore) return;
        const { name, namespace } = registerOf(entry.target);
        if (!this.#marks.lift(name, namespace, entry.at, entry.expiresAt)) return;
        this.#lifted.heard(name, namespace);
        this.#version += 1;
        return;
      }
      case "batch":
        for (const item of entry.items) this.#apply(item, forgetBefore);
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

  #addToken(token: Fingerprint, expiresAt: number, at = 0): void {
    const { primary } = this.#generations;
    const { key } = token;
    const { tokens } =
      key === primary.key ? primary : this.#generations.under(new Uint8Array(key.buffer));
    if (tokens.add(token.high, token.low, expiresAt)) this.#version += 1;
    if (this.#lifted.revokeAgain(token, expiresAt, at)) this.#version += 1;
  }

  /** Whether a token or session is there by its texts, under whichever key, and was not lifted. */
  #hasByName(issuer: string, id: string): boolean {
    // A longer one cannot be revoked by name.
    if (id.length > longestName) return false;
    for (const generation of this.#generations)
      if (generation.has(issuer, id)) return !this.#lifted.has(issuer, id);
    return false;
  }

  #tellSince(version: number): void {
    if (this.#version === version) return;
    for (const listener of this.#listeners) listener();
  }

  #addTokens(key: Uint8Array, bytes: Uint8Array, forgetBefore: number): void {
    // A copy, because words must begin at a multiple of four.
    const entries = new Uint32Array(Uint8Array.from(bytes).buffer);
    // Looked for anew each time: a generation may have become empty, and been dropped, since the last slice.
    const { length } = this.#generations.older;
    if (this.#generations.under(key).tokens.addAll(entries, forgetBefore) > 0) this.#version += 1;
    if (this.#generations.older.length !== length) this.#lifted.changed();
  }

  #addMarks(marks: readonly DumpedMark[], forgetBefore: number): void {
    for (const mark of marks)
      if (mark[3] >= forgetBefore && this.#marks.take(mark)) this.#version += 1;
    this.#lifted.changed();
  }
}
