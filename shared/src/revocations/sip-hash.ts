/**
 * SipHash-2-4 (Aumasson and Bernstein, 2012): a short keyed hash. Without the key nobody can make two texts meet in one fingerprint.
 *
 * On 32-bit halves, because a BigInt would be allocated for each step.
 */

/** Where the 64 bits of the answer go, so that no object is made for it. */
export interface HashTarget {
  high: number;
  low: number;
}

/**
 * @param key four words
 * @param message words, little end first; the bytes between `length` and the next multiple of 8 are zero
 * @param length in bytes
 */
export function sipHash(
  key: Uint32Array,
  message: Uint32Array,
  length: number,
  target: HashTarget,
): void {
  const k0l = key[0]! | 0;
  const k0h = key[1]! | 0;
  const k1l = key[2]! | 0;
  const k1h = key[3]! | 0;
  let v0l = k0l ^ 0x70736575;
  let v0h = k0h ^ 0x736f6d65;
  let v1l = k1l ^ 0x6e646f6d;
  let v1h = k1h ^ 0x646f7261;
  let v2l = k0l ^ 0x6e657261;
  let v2h = k0h ^ 0x6c796765;
  let v3l = k1l ^ 0x79746573;
  let v3h = k1h ^ 0x74656462;

  // The whole blocks, one more that carries the rest and the length, and one turn of four rounds to finish.
  const blocks = length >>> 3;
  for (let block = 0; block <= blocks + 1; block += 1) {
    let ml = 0;
    let mh = 0;
    let rounds = 2;
    if (block < blocks) {
      ml = message[block * 2]! | 0;
      mh = message[block * 2 + 1]! | 0;
    } else if (block === blocks) {
      if ((length & 7) !== 0) ml = message[block * 2]! | 0;
      if ((length & 7) > 4) mh = message[block * 2 + 1]! | 0;
      mh |= length << 24;
    } else {
      v2l ^= 0xff;
      rounds = 4;
    }
    v3l ^= ml;
    v3h ^= mh;
    for (; rounds > 0; rounds -= 1) {
      let l = 0;
      // v0 += v1; v1 <<<= 13; v1 ^= v0; v0 <<<= 32
      l = (v0l + v1l) | 0;
      v0h = (v0h + v1h + (l >>> 0 < v0l >>> 0 ? 1 : 0)) | 0;
      v0l = l;
      l = (v1l << 13) | (v1h >>> 19);
      v1h = ((v1h << 13) | (v1l >>> 19)) ^ v0h;
      v1l = l ^ v0l;
      l = v0l;
      v0l = v0h;
      v0h = l;
      // v2 += v3; v3 <<<= 16; v3 ^= v2
      l = (v2l + v3l) | 0;
      v2h = (v2h + v3h + (l >>> 0 < v2l >>> 0 ? 1 : 0)) | 0;
      v2l = l;
      l = (v3l << 16) | (v3h >>> 16);
      v3h = ((v3h << 16) | (v3l >>> 16)) ^ v2h;
      v3l = l ^ v2l;
      // v0 += v3; v3 <<<= 21; v3 ^= v0
      l = (v0l + v3l) | 0;
      v0h = (v0h + v3h + (l >>> 0 < v0l >>> 0 ? 1 : 0)) | 0;
      v0l = l;
      l = (v3l << 21) | (v3h >>> 11);
      v3h = ((v3h << 21) | (v3l >>> 11)) ^ v0h;
      v3l = l ^ v0l;
      // v2 += v1; v1 <<<= 17; v1 ^= v2; v2 <<<= 32
      l = (v2l + v1l) | 0;
      v2h = (v2h + v1h + (l >>> 0 < v2l >>> 0 ? 1 : 0)) | 0;
      v2l = l;
      l = (v1l << 17) | (v1h >>> 15);
      v1h = ((v1h << 17) | (v1l >>> 15)) ^ v2h;
      v1l = l ^ v2l;
      l = v2l;
      v2l = v2h;
      v2h = l;
    }
    v0l ^= ml;
    v0h ^= mh;
  }
  target.low = (v0l ^ v1l ^ v2l ^ v3l) >>> 0;
  target.high = (v0h ^ v1h ^ v2h ^ v3h) >>> 0;
}
