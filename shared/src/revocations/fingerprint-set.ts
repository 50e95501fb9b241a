/**
 * A set of 64-bit fingerprints, each with an expiry, in typed arrays: 12 bytes a slot, nothing for the garbage collector to walk.
 *
 * Open addressing with linear probing, in 256 segments chosen by the fingerprint's highest bits. A lookup walks one segment; growing
 * and forgetting rebuild one segment at a time, so that no single step takes long, however many entries there are.
 *
 * Segments by fingerprint, not tables by expiry hour: the expiry of an entry is what the one who revoked said, not what the token
 * says, so that a lookup would have to ask the table of every hour.
 */
export const segmentCount = 256;
/** high, low, expiry; an expiry of 0 marks a free slot. */
export const wordsPerToken = 3;
export const bytesPerToken = wordsPerToken * 4;
const leastSlots = 8;
const latest = 0xffff_ffff;
const goldenRatio = (Math.sqrt(5) - 1) / 2;

export class FingerprintSet {
  readonly #segments: Uint32Array[] = [];
  readonly #masks = new Uint32Array(segmentCount);
  readonly #counts = new Uint32Array(segmentCount);
  #size = 0;
  #next = 0;
  /** What was a segment until the last rebuilding: while entries expire one after the other, the next one needs no other memory. */
  #spare: Uint32Array | undefined;

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
      const at = slot * wordsPerToken;
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
      for (let at = 2; at < words.length; at += wordsPerToken)
        if (words[at] !== 0 && words[at]! < now) expired += 1;
      if (expired === 0) continue;
      const slots = slotsFor(this.#counts[index]! - expired);
      this.#rebuild(index, Math.min(slots, this.#masks[index]! + 1), now);
      forgotten += expired;
    }
    return forgotten;
  }

  /** When an entry may be forgotten, in Unix seconds; 0: it is not there. */
  expiryOf(high: number, low: number): number {
    const index = high >>> 24;
    const words = this.#segments[index]!;
    const mask = this.#masks[index]!;
    for (let slot = low & mask; ; slot = (slot + 1) & mask) {
      const at = slot * wordsPerToken;
      const expiry = words[at + 2]!;
      if (expiry === 0 || (words[at + 1] === low && words[at] === high)) return expiry;
    }
  }

  /** How many entries a segment holds. */
  countIn(segment: number): number {
    return this.#counts[segment]!;
  }

  /**
   * Writes down the entries of a segment, three words each: high, low, expiry.
   *
   * Not in the order of their slots. Who takes in the first half of them, in a table that is made for a half, would find them all in
   * one part of it and go past thousands to find a free slot; so any part of these is spread over all.
   *
   * @param entries room for {@link countIn} entries
   */
  copy(segment: number, entries: Uint32Array): void {
    const words = this.#segments[segment]!;
    const mask = this.#masks[segment]!;
    // Odd, so that it comes by every slot, and no two of its multiples are close to each other for long.
    const stride = Math.floor((mask + 1) * goldenRatio) | 1;
    let end = 0;
    for (let turn = 0, slot = 0; turn <= mask; turn += 1, slot = (slot + stride) & mask) {
      const at = slot * wordsPerToken;
      if (words[at + 2] === 0) continue;
      entries[end] = words[at]!;
      entries[end + 1] = words[at + 1]!;
      entries[end + 2] = words[at + 2]!;
      end += wordsPerToken;
    }
  }

  /** The same, in an array of their own. */
  entriesIn(segment: number): Uint32Array {
    const entries = new Uint32Array(this.#counts[segment]! * wordsPerToken);
    this.copy(segment, entries);
    return entries;
  }

  /**
   * Adds entries as {@link copy} writes them, but for those that expired before `now`. Room is made once for all of one segment
   * that stand together, and none for those that are there already.
   *
   * @param now Unix seconds
   * @returns how many were not there before
   */
  addAll(entries: Uint32Array, now: number): number {
    const before = this.#size;
    for (let from = 0; from < entries.length;) {
      const index = entries[from]! >>> 24;
      let to = from;
      let coming = 0;
      for (; to < entries.length && entries[to]! >>> 24 === index; to += wordsPerToken) {
        const isLive = entries[to + 2]! >= now;
        if (isLive && !this.has(entries[to]!, entries[to + 1]!)) coming += 1;
      }
      const slots = slotsFor(this.#counts[index]! + coming);
      if (slots > this.#masks[index]! + 1) this.#rebuild(index, slots, 0);
      for (; from < to; from += wordsPerToken)
        if (entries[from + 2]! >= now)
          this.add(entries[from]!, entries[from + 1]!, entries[from + 2]!);
    }
    return this.#size - before;
  }

  /** Moves what expires at `now` or later into a fresh segment. */
  #rebuild(index: number, slots: number, now: number): void {
    const before = this.#segments[index]!;
    const held = this.#counts[index]!;
    const words = this.#replace(index, slots);
    const mask = slots - 1;
    let count = 0;
    for (let at = 0; at < before.length; at += wordsPerToken) {
      const expiry = before[at + 2]!;
      if (expiry === 0 || expiry < now) continue;
      put(words, mask, before[at]!, before[at + 1]!, expiry);
      count += 1;
    }
    this.#counts[index] = count;
    this.#size += count - held;
    this.#spare = before;
  }

  #replace(index: number, slots: number): Uint32Array {
    const length = slots * wordsPerToken;
    const words = this.#spare?.length === length ? this.#spare.fill(0) : new Uint32Array(length);
    this.#spare = undefined;
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
    const at = slot * wordsPerToken;
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
