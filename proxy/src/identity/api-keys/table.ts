import type { ApiKeyId } from "@tocsin/shared/api-keys";
import type { ApiKeyEntry } from "@tocsin/shared/contract";
import type { Verified } from "../admission.ts";
import { principalOf } from "./principal-of.ts";

/** A secret as it is compared: its digest as bytes of text. */
export interface HeldSecret {
  readonly digest: Buffer;
  readonly verified: Verified;
}

export interface HeldKey {
  readonly id: ApiKeyId;
  readonly revoked: boolean;
  /** The newest, and the one before where it is known. */
  readonly secrets: readonly [HeldSecret, ...HeldSecret[]];
  /** That it is in use waits to be told, or was told lately. */
  noted: boolean;
}

/** Ids in one report of what was used. */
const usedAtOnce = 1_000;

/**
 * The API keys that there are, ready to be compared. Who they speak for is made when they arrive, not when a request does: a request
 * with the id of a key costs the same as one with an id of nobody's.
 */
export class ApiKeyTable {
  #keys = new Map<ApiKeyId, HeldKey>();
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

  set(entry: ApiKeyEntry): void {
    this.#keys.set(entry.id, heldKey(entry));
  }

  delete(id: ApiKeyId): void {
    this.#keys.delete(id);
  }

  clear(): void {
    this.#keys = new Map();
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

function heldKey(entry: ApiKeyEntry): HeldKey {
  const [newest, ...before] = entry.secrets.map((secret) => ({
    digest: Buffer.from(secret.hash, "latin1"),
    verified: principalOf(entry, secret),
  }));
  return {
    id: entry.id,
    revoked: entry.revokedAt !== undefined,
    secrets: [newest!, ...before],
    noted: false,
  };
}
