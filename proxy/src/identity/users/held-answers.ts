import type { HeldAnswer } from "./answer.ts";

/**
 * What is known of users, bounded in two halves: what is used moves into the young half, and when that is full it becomes the old
 * one, and what was old is forgotten.
 */
export class HeldAnswers {
  readonly #maxCount: number;
  #young = new Map<string, HeldAnswer>();
  #old = new Map<string, HeldAnswer>();

  /** @param maxCount Default 50 000. */
  constructor(maxCount = 50_000) {
    this.#maxCount = maxCount;
  }

  get size(): number {
    return this.#young.size + this.#old.size;
  }

  get(key: string): HeldAnswer | undefined {
    const young = this.#young.get(key);
    if (young !== undefined) return young;
    const old = this.#old.get(key);
    if (old !== undefined) {
      this.#old.delete(key);
      this.put(key, old);
    }
    return old;
  }

  put(key: string, held: HeldAnswer): void {
    if (this.#young.size >= this.#maxCount / 2 && !this.#young.has(key)) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#old.delete(key);
    this.#young.set(key, held);
  }

  clear(): void {
    this.#young = new Map();
    this.#old = new Map();
  }
}
