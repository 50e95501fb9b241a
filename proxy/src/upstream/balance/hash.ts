/**
 * A 32-bit hash of a text, the same on every proxy: FNV-1a over its UTF-16 units, then MurmurHash3's last mix, without which texts
 * that differ at their end alone would lie side by side on a ring.
 *
 * Not keyed: who can choose keys can choose an instance, which is what `on: header:…` lets everybody do anyway.
 */
export function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1) {
    const unit = text.charCodeAt(index);
    value = Math.imul(value ^ (unit & 0xff), 0x01000193);
    value = Math.imul(value ^ (unit >>> 8), 0x01000193);
  }
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
  return (value ^ (value >>> 16)) >>> 0;
}
