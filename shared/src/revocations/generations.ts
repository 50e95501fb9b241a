import { Generation } from "./generation.ts";

/** The primary generation, which is added to, and those under other keys, which are not: they last until they are empty. */
export class Generations {
  #primary: Generation;
  #older: readonly Generation[] = [];

  /** @param key the primary one, 16 bytes */
  constructor(key: Uint8Array) {
    this.#primary = new Generation(key);
  }

  get primary(): Generation {
    return this.#primary;
  }

  get older(): readonly Generation[] {
    return this.#older;
  }

  /** Tokens held. */
  get size(): number {
    return this.#older.reduce((sum, { tokens }) => sum + tokens.size, this.#primary.tokens.size);
  }

  /** Memory of the tokens, in bytes. */
  get bytes(): number {
    return this.#older.reduce((sum, { tokens }) => sum + tokens.bytes, this.#primary.tokens.bytes);
  }

  /** Makes this the primary key. @returns false when it was already */
  use(key: Uint8Array): boolean {
    const before = this.#primary;
    if (before.isUnder(key)) return false;
    const next = this.find(key) ?? new Generation(key);
    const others = this.#older.filter((generation) => generation !== next);
    this.#primary = next;
    this.#older = before.tokens.size > 0 ? [...others, before] : others;
    return true;
  }

  find(key: Uint8Array): Generation | undefined {
    if (this.#primary.isUnder(key)) return this.#primary;
    return this.#older.find((generation) => generation.isUnder(key));
  }

  /** The generation of a key, made when there is none. */
  under(key: Uint8Array): Generation {
    let generation = this.find(key);
    if (generation === undefined) {
      generation = new Generation(key);
      this.#older = [...this.#older, generation];
    }
    return generation;
  }

  /** Forgets tokens that expired before `now` (Unix seconds), and older generations that are empty. @returns how many tokens */
  sweep(now: number, segments?: number): number {
    let forgotten = 0;
    for (const { tokens } of this) forgotten += tokens.sweep(now, segments);
    if (this.#older.some(({ tokens }) => tokens.size === 0))
      this.#older = this.#older.filter(({ tokens }) => tokens.size > 0);
    return forgotten;
  }

  *[Symbol.iterator](): Generator<Generation> {
    yield this.#primary;
    yield* this.#older;
  }
}
