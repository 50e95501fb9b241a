/** A long text in pieces that fit a message. */
import { createHash } from "node:crypto";

/** Bytes of a piece: half of what NATS takes at most by default. */
export const chunkBytes = 512 * 1024;

export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

export function* chunksOf(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.byteLength; at += chunkBytes)
    yield bytes.subarray(at, at + chunkBytes);
}

export function chunkCount(bytes: Uint8Array): number {
  return Math.ceil(bytes.byteLength / chunkBytes);
}
