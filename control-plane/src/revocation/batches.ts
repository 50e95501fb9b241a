import { contentOf } from "./operation.ts";
import type { ReducedItem } from "./entries.ts";

/** The most that one entry holds: items, and bytes of its body. */
const maxItems = 1_000;
const maxBytes = 256 * 1024;
/** What an entry has beside what was ordered, at most, in bytes: names of fields, id, expiry. */
const overheadBytes = 160;

/**
 * Where an order of many is cut into entries: the place of the first item of each.
 *
 * By what was ordered alone, not by the clock or the config, so that an order that is repeated is cut alike.
 */
export function batchStarts(items: readonly ReducedItem[]): number[] {
  const starts: number[] = [];
  let count = maxItems;
  let bytes = 0;
  for (const [place, item] of items.entries()) {
    const more = Buffer.byteLength(contentOf(item)) + overheadBytes;
    if (count === maxItems || bytes + more > maxBytes) {
      starts.push(place);
      count = 0;
      bytes = 0;
    }
    count += 1;
    bytes += more;
  }
  return starts;
}
