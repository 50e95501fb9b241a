/** How the entries of an answer travel: one JSON text a line, so that neither end has to deal with all of them at once. */
import { SyncEntry } from "../contract/messages.ts";
import type { Epoch, Recorded } from "../journal/journal.ts";
import { turn } from "./slices.ts";

/** How much text is written or read before others have their turn: two or three milliseconds' worth. */
const sliceLength = 128 * 1024;

const lineFeed = 0x0a;

/** Writes entries down, in slices. */
export async function packEntries(entries: readonly Recorded[]): Promise<Uint8Array> {
  const slices: Buffer[] = [];
  let slice = "";
  for (const entry of entries) {
    slice += `${JSON.stringify(pack(entry))}\n`;
    if (slice.length < sliceLength) continue;
    slices.push(Buffer.from(slice));
    slice = "";
    await turn();
  }
  slices.push(Buffer.from(slice));
  return slices.length === 1 ? slices[0]! : Buffer.concat(slices);
}

/**
 * Reads what {@link packEntries} wrote, in slices.
 *
 * @throws Error when it is not understood, or `signal` its reason
 */
export async function unpackEntries(
  bytes: Buffer,
  epoch: Epoch,
  signal: AbortSignal,
): Promise<Recorded[]> {
  const entries: Recorded[] = [];
  for (let at = 0; at < bytes.byteLength;) {
    // JSON has no bare line feed inside a text, so a slice may end at any of them.
    let end = bytes.indexOf(lineFeed, Math.min(at + sliceLength, bytes.byteLength - 1));
    if (end < 0) end = bytes.byteLength;
    const lines = bytes.toString("utf8", at, end).trimEnd().replaceAll("\n", ",");
    for (const entry of JSON.parse(`[${lines}]`) as unknown[])
      entries.push(unpack(SyncEntry.parse(entry), epoch));
    at = end + 1;
    if (at >= bytes.byteLength) break;
    await turn();
    signal.throwIfAborted();
  }
  return entries;
}

function pack({ sequence, key, body, operation }: Recorded): SyncEntry {
  return operation === undefined ? [sequence, key, body] : [sequence, key, body, operation];
}

function unpack([sequence, key, body, operation]: SyncEntry, epoch: Epoch): Recorded {
  return { sequence, key, body, epoch, ...(operation === undefined ? {} : { operation }) };
}
