/**
 * A 32-bit hash of a text, the same on every proxy: FNV-1a over its UTF-16 units, then mixed, without which texts that differ at
 * their end alone would be neighbours.
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
  return mixed(value);
}

/** MurmurHash3's last mix: every bit of the value changes about half of those that come out, 0 to 2³² - 1. */
export function mixed(value: number): number {
  let mix = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  mix = Math.imul(mix ^ (mix >>> 13), 0xc2b2ae35);
  return (mix ^ (mix >>> 16)) >>> 0;
}
