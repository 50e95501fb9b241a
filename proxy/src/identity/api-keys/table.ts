import type { WallTime } from "@tocsin/shared";
import type { ApiKeyId } from "@tocsin/shared/api-keys";
import type { ApiKeyEntry, ApiKeySecret } from "@tocsin/shared/contract";
import type { Verified } from "../admission.ts";
import { principalOf } from "./principal-of.ts";

export interface HeldKey {
  readonly id: ApiKeyId;
  readonly revoked: boolean;
  readonly secrets: readonly ApiKeySecret[];
  /** That it is in use waits to be told, or was told lately. */
  noted: boolean;
}

/** One secret of a key, ready to be compared. */
export interface HeldSecret {
  readonly key: HeldKey;
  /** The characters of its digest. */
  readonly digest: Buffer;
  readonly verified: Verified;
}

/** Ids in one report of what was used. */
const usedAtOnce = 1_000;

/**
 * The API keys that there are, by the digests of their secrets. To look for a digest tells nothing by its time: nobody can choose what
 * the digest of a guess begins with, and an id that there is costs as much as one that there is not.
 */
export class ApiKeyTable {
  #keys = new Map<ApiKeyId, HeldKey>();
  #secrets = new Map<string, HeldSecret>();
  /** In use, and not told yet. */
  #used: HeldKey[] = [];
  /** Told in this round and in the one before. */
  #told: HeldKey[] = [];
  #toldBefore: HeldKey[] = [];

  get size(): number {
    return this.#keys.size;
  }

  get(id: ApiKeyId): HeldKey | undefined {
    return this.#keys.get(id);
  }

  /** @param digest of a whole key, in base64url */
  find(digest: string): HeldSecret | undefined {
    return this.#secrets.get(digest);
  }

  /**
   * Until when a secret is good, in Unix milliseconds. Infinity: until it is taken back.
   *
   * @param digest as of {@link find}
   * @returns undefined: it is not, because it was rotated away or its key was revoked
   */
  endsAt(digest: string): WallTime | undefined {
    const held = this.#secrets.get(digest);
    return held === undefined || held.key.revoked ? undefined : held.verified.endsAt;
  }

  set(entry: ApiKeyEntry): void {
    this.delete(entry.id);
    const { id, secrets, revokedAt } = entry;
    const key = { id, revoked: revokedAt !== undefined, secrets, noted: false };
    this.#keys.set(id, key);
    for (const secret of secrets) {
      const digest = Buffer.from(secret.hash, "latin1");
      this.#secrets.set(secret.hash, { key, digest, verified: principalOf(entry, secret) });
    }
  }

  delete(id: ApiKeyId): void {
    for (const { hash } of this.#keys.get(id)?.secrets ?? []) this.#secrets.delete(hash);
    this.#keys.delete(id);
  }

  clear(): void {
    this.#keys = new Map();
    this.#secrets = new Map();
  }

  /** A key let somebody in. */
  note(key: HeldKey): void {
    if (key.noted) return;
    key.noted = true;
    this.#used.push(key);
  }

  /** Keys that were used, each told once in a round or two. */
  takeUsed(): ApiKeyId[] {
    const taken = this.#used.splice(0, usedAtOnce);
    this.#told.push(...taken);
    return taken.map(({ id }) => id);
  }

  /** Another round: what was told in the one before it is told again when it is used. */
  nextRound(): void {
    for (const key of this.#toldBefore) key.noted = false;
    this.#toldBefore = this.#told;
    this.#told = [];
  }
}
