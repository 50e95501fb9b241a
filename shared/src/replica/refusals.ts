import type { Sequence } from "../journal/journal.ts";
import type { Poisoned } from "./source.ts";

/** How many are remembered, so that one that comes again is not counted again. */
const remembered = 1_024;
/** How many are told. */
const told = 16;
const maxErrorLength = 500;

interface Refused {
  readonly sequence: Sequence;
  readonly error: string;
}

/** The entries of one epoch that a replica could not understand or put in force. */
export class Refusals {
  /** Ascending. */
  #refused: Refused[] = [];
  #count = 0;

  /** @returns the reason as it is told */
  add(sequence: Sequence, reason: string): string {
    const error = reason.slice(0, maxErrorLength);
    const before = this.#refused.findLastIndex((known) => known.sequence <= sequence);
    if (this.#refused[before]?.sequence === sequence) {
      this.#refused[before] = { sequence, error };
      return error;
    }
    this.#refused.splice(before + 1, 0, { sequence, error });
    this.#count++;
    if (this.#refused.length > remembered) this.#refused.shift();
    return error;
  }

  /** What stands under this number is in force after all: the journal was rewound. */
  remove(sequence: Sequence): void {
    if (this.#count === 0) return;
    const at = this.#refused.findLastIndex((known) => known.sequence === sequence);
    if (at < 0) return;
    this.#refused.splice(at, 1);
    this.#count--;
  }

  /** What was refused after a number is of a past that is no longer the journal's. */
  forgetAfter(sequence: Sequence): void {
    while ((this.#refused.at(-1)?.sequence ?? 0) > sequence) {
      this.#refused.pop();
      this.#count--;
    }
  }

  clear(): void {
    this.#refused = [];
    this.#count = 0;
  }

  status(): Poisoned | undefined {
    const last = this.#refused.at(-1);
    if (last === undefined) return undefined;
    return {
      count: this.#count,
      ...last,
      recent: this.#refused.slice(-told).map(({ sequence }) => sequence),
    };
  }
}
