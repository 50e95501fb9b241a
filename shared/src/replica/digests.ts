import type { Entry, Sequence } from "../journal/journal.ts";

/** FNV-1a, 32 bits: enough to tell an entry that was heard before from another one under its number. */
function digestOf({ key, body }: Entry): number {
  let hash = 0x811c9dc5;
  for (const text of [key, body]) {
    for (let index = 0; index < text.length; index++) {
      hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
    }
    hash = Math.imul(hash ^ 0x1f, 0x01000193);
  }
  return hash >>> 0;
}

/** What the last entries looked like, in constant memory. */
export class Digests {
  readonly #sequences: Float64Array;
  readonly #digests: Uint32Array;

  /** @param size how many entries are remembered. Default 1 024. */
  constructor(size = 1_024) {
    this.#sequences = new Float64Array(size);
    this.#digests = new Uint32Array(size);
  }

  /** How many entries are remembered. */
  get size(): number {
    return this.#sequences.length;
  }

  add(sequence: Sequence, entry: Entry): void {
    const slot = sequence % this.#sequences.length;
    this.#sequences[slot] = sequence;
    this.#digests[slot] = digestOf(entry);
  }

  /** Whether another entry is remembered under this number. An entry that is forgotten cannot differ. */
  differs(sequence: Sequence, entry: Entry): boolean {
    const slot = sequence % this.#sequences.length;
    return this.#sequences[slot] === sequence && this.#digests[slot] !== digestOf(entry);
  }

  clear(): void {
    this.#sequences.fill(0);
  }
}
