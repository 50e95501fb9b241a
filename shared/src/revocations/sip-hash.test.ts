import { expect, test } from "vitest";
import { sipHash } from "./sip-hash.ts";

/** The reference vectors of the authors: key 00..0f, message 00, 00 01, 00 01 02, and so on. First the highest byte. */
const vectors: readonly (readonly [length: number, hash: string])[] = [
  [0, "726fdb47dd0e0e31"],
  [1, "74f839c593dc67fd"],
  [2, "0d6c8009d9a94f5a"],
  [3, "85676696d7fb7e2d"],
  [7, "ab0200f58b01d137"],
  [8, "93f5f5799a932462"],
  [15, "a129ca6149be45e5"],
  [63, "958a324ceb064572"],
];

const bytes = (length: number) => Uint8Array.from({ length }, (_, index) => index);

test.each(vectors)("hashes %i bytes as its authors do", (length, hash) => {
  const message = new Uint8Array(64 + 8);
  message.set(bytes(length));
  const found = { high: 0, low: 0 };
  sipHash(new Uint32Array(bytes(16).buffer), new Uint32Array(message.buffer), length, found);
  expect([found.high, found.low].map((half) => half.toString(16).padStart(8, "0")).join("")).toBe(
    hash,
  );
});
