import type { Verified } from "./admission.ts";

/**
 * Tokens that were verified, by their exact text: another spelling is verified anew.
 *
 * Bounded in two halves: what is used moves into the young half, and when that is full it becomes the old one, and what was old is
 * forgotten. A hit among the young writes nothing.
 */
export class VerifiedTokens {
  readonly #maxCount: number;
  readonly #maxCharacters: number;
  #young = new Map<string, Verified>();
  #old = new Map<string, Verified>();
  #characters = 0;

  /**
   * @param maxCount tokens held at most. Default 20 000.
   * @param maxCharacters their texts together, at most. Default 16 Mi.
   */
  constructor(maxCount = 20_000, maxCharacters = 16 * 1024 * 1024) {
    this.#maxCount = maxCount;
    this.#maxCharacters = maxCharacters;
  }

  get size(): number {
    return this.#young.size + this.#old.size;
  }

  get(text: string): Verified | undefined {
    const young = this.#young.get(text);
    if (young !== undefined) return young;
    const old = this.#old.get(text);
    if (old !== undefined) {
      this.#old.delete(text);
      this.put(text, old);
    }
    return old;
  }

  put(text: string, verified: Verified): void {
    if (
      this.#young.size >= this.#maxCount / 2 ||
      this.#characters + text.length > this.#maxCharacters / 2
    ) {
      this.#old = this.#young;
      this.#young = new Map();
      this.#characters = 0;
    }
    if (!this.#young.has(text)) this.#characters += text.length;
    this.#young.set(text, verified);
  }

  forget(text: string): void {
    if (this.#young.delete(text)) this.#characters -= text.length;
    this.#old.delete(text);
  }

  clear(): void {
    this.#young = new Map();
    this.#old = new Map();
    this.#characters = 0;
  }
}
