/** A long text in pieces that fit a message. */
import { createHash } from "node:crypto";
import { turn } from "./slices.ts";

/** Bytes of a piece: half of what NATS takes at most by default. */
export const chunkBytes = 512 * 1024;

/** How much is hashed before others have their turn: two or three milliseconds' worth, without help from the processor ten. */
const hashedAtOnce = 4 * chunkBytes;

/** SHA-256, hexadecimal, in slices. */
export async function sha256(bytes: Uint8Array): Promise<string> {
  const hash = createHash("sha256");
  for (let at = 0; at < bytes.byteLength; at += hashedAtOnce) {
    if (at > 0) await turn();
    hash.update(bytes.subarray(at, at + hashedAtOnce));
  }
  return hash.digest("hex");
}

export function* chunksOf(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.byteLength; at += chunkBytes)
    yield bytes.subarray(at, at + chunkBytes);
}

export function chunkCount(bytes: Uint8Array): number {
  return Math.ceil(bytes.byteLength / chunkBytes);
}
