/**
 * A set of 64-bit fingerprints, each with an expiry, in typed arrays: 12 bytes a slot, nothing for the garbage collector to walk.
 *
 * Open addressing with linear probing, in 256 segments chosen by the fingerprint's highest bits. A lookup walks one segment; growing
 * and forgetting rebuild one segment at a time, so that no single step takes long, however many entries there are.
 *
 * Segments by fingerprint, not tables by expiry hour: the expiry of an entry is what the one who revoked said, not what the token
 * says, so that a lookup would have to ask the table of every hour.
 */
const segmentCount = 256;
/** high, low, expiry; an expiry of 0 marks a free slot. */
const wordsPerSlot = 3;
const leastSlots = 8;
const latest = 0xffff_ffff;

export class FingerprintSet {
  readonly #segments: Uint32Array[] = [];
  readonly #masks = new Uint32Array(segmentCount);
  readonly #counts = new Uint32Array(segmentCount);
  #size = 0;
  #next = 0;

  constructor() {
    for (let index = 0; index < segmentCount; index += 1) this.#replace(index, leastSlots);
  }

  /** Entries held. */
  get size(): number {
    return this.#size;
  }

  /** Memory of the slots, in bytes. */
  get bytes(): number {
    return this.#segments.reduce((sum, segment) => sum + segment.byteLength, 0);
  }

  /**
   * Adds a fingerprint, or lets it live longer when it is there.
   *
   * @param expiresAt Unix seconds; beyond 2106 counts as 2106
   * @returns whether it was not there before
   */
  add(high: number, low: number, expiresAt: number): boolean {
    const index = high >>> 24;
    const expiry = Math.min(Math.max(Math.ceil(expiresAt), 1), latest);
    const count = this.#counts[index]!;
    const slots = this.#masks[index]! + 1;
    if ((count + 1) * 4 > slots * 3) this.#rebuild(index, slots * 2, 0);
    if (!put(this.#segments[index]!, this.#masks[index]!, high, low, expiry)) return false;
    this.#counts[index] = count + 1;
    this.#size += 1;
    return true;
  }

  has(high: number, low: number): boolean {
    const index = high >>> 24;
    const words = this.#segments[index]!;
    const mask = this.#masks[index]!;
    for (let slot = low & mask; ; slot = (slot + 1) & mask) {
      const at = slot * wordsPerSlot;
      if (words[at + 2] === 0) return false;
      if (words[at + 1] === low && words[at] === high) return true;
    }
  }

  /**
   * Forgets what expired before `now` and gives memory back.
   *
   * @param now Unix seconds
   * @param segments how many of the 256 segments to look at; the next call goes on where this one ended. Default all.
   * @returns how many were forgotten
   */
  sweep(now: number, segments = segmentCount): number {
    let forgotten = 0;
    for (let turn = 0; turn < segments; turn += 1) {
      const index = this.#next;
      this.#next = (index + 1) % segmentCount;
      const words = this.#segments[index]!;
      let expired = 0;
      for (let at = 2; at < words.length; at += wordsPerSlot)
        if (words[at] !== 0 && words[at]! < now) expired += 1;
      if (expired === 0) continue;
      const slots = slotsFor(this.#counts[index]! - expired);
      this.#rebuild(index, Math.min(slots, this.#masks[index]! + 1), now);
      forgotten += expired;
    }
    return forgotten;
  }

  /** All entries, three words each: high, low, expiry. */
  dump(): Uint32Array {
    const dump = new Uint32Array(this.#size * wordsPerSlot);
    let end = 0;
    for (const words of this.#segments) {
      for (let at = 0; at < words.length; at += wordsPerSlot) {
        if (words[at + 2] === 0) continue;
        dump[end] = words[at]!;
        dump[end + 1] = words[at + 1]!;
        dump[end + 2] = words[at + 2]!;
        end += wordsPerSlot;
      }
    }
    return dump;
  }

  /** Adds what {@link dump} gave. */
  load(dump: Uint32Array): void {
    const coming = this.#counts.slice();
    for (let at = 0; at + 2 < dump.length; at += wordsPerSlot) coming[dump[at]! >>> 24]! += 1;
    for (let index = 0; index < segmentCount; index += 1) {
      const slots = slotsFor(coming[index]!);
      if (slots > this.#masks[index]! + 1) this.#rebuild(index, slots, 0);
    }
    for (let at = 0; at + 2 < dump.length; at += wordsPerSlot)
      this.add(dump[at]!, dump[at + 1]!, dump[at + 2]!);
  }

  /** Moves what expires at `now` or later into a fresh segment. */
  #rebuild(index: number, slots: number, now: number): void {
    const before = this.#segments[index]!;
    const held = this.#counts[index]!;
    const words = this.#replace(index, slots);
    const mask = slots - 1;
    let count = 0;
    for (let at = 0; at < before.length; at += wordsPerSlot) {
      const expiry = before[at + 2]!;
      if (expiry === 0 || expiry < now) continue;
      put(words, mask, before[at]!, before[at + 1]!, expiry);
      count += 1;
    }
    this.#counts[index] = count;
    this.#size += count - held;
  }

  #replace(index: number, slots: number): Uint32Array {
    const words = new Uint32Array(slots * wordsPerSlot);
    this.#segments[index] = words;
    this.#masks[index] = slots - 1;
    return words;
  }
}

/** At most three of four slots are taken: beyond that the way to a free one grows quickly. */
function slotsFor(count: number): number {
  let slots = leastSlots;
  while (count * 4 > slots * 3) slots *= 2;
  return slots;
}

/** @returns false when it was there; its expiry is then the later one */
function put(words: Uint32Array, mask: number, high: number, low: number, expiry: number): boolean {
  for (let slot = low & mask; ; slot = (slot + 1) & mask) {
    const at = slot * wordsPerSlot;
    if (words[at + 2] === 0) {
      words[at] = high;
      words[at + 1] = low;
      words[at + 2] = expiry;
      return true;
    }
    if (words[at + 1] === low && words[at] === high) {
      if (words[at + 2]! < expiry) words[at + 2] = expiry;
      return false;
    }
  }
}
