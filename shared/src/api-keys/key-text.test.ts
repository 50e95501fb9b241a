import { crc32 } from "node:zlib";
import { expect, test } from "vitest";
import { apiKeyIdOf, apiKeyIdPattern } from "./id.ts";
import { digestOfKey, faultInKey, freshApiKeyId, freshKey, keyLength } from "./key-text.ts";

const id = "abcdefgh2345";

test("a key has a form that a scanner can look for", () => {
  for (let round = 0; round < 200; round += 1) {
    const key = freshKey(id);
    expect(key).toMatch(/^tocsin_abcdefgh2345_[A-Za-z0-9_-]{43}[0-9A-Za-z]{6}$/);
    expect(key).toHaveLength(keyLength);
    expect(faultInKey(key)).toBeUndefined();
  }
});

test("the checksum is the CRC-32 of what stands before it, so that others can compute it", () => {
  const key = freshKey(id);
  let rest = crc32(key.slice(0, -6));
  const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  for (const character of key.slice(-6).split("").toReversed()) {
    expect(character).toBe(digits[rest % 62]);
    rest = Math.floor(rest / 62);
  }
});

test("every change of one character is told by the text alone", () => {
  const key = freshKey(id);
  for (let at = 0; at < key.length; at += 1) {
    const other = key[at] === "A" ? "B" : "A";
    expect(faultInKey(key.slice(0, at) + other + key.slice(at + 1))).toBeDefined();
  }
  expect(faultInKey(key.slice(0, -1))).toBe("it has 68 characters, not 69");
  expect(faultInKey(`${key}=`)).toBe("it has 70 characters, not 69");
  expect(faultInKey("")).toBeDefined();
});

test("ids are random, short and fit for a subject", () => {
  const ids = Array.from({ length: 1_000 }, freshApiKeyId);
  for (const one of ids) expect(one).toMatch(apiKeyIdPattern);
  expect(new Set(ids).size).toBe(1_000);
  // The same bytes are the same id, and each of the 60 bits counts.
  const bytes = new Uint8Array(8);
  const seen = new Set([apiKeyIdOf(bytes)]);
  for (let bit = 4; bit < 64; bit += 1) {
    const other = new Uint8Array(8);
    other[bit >> 3]! |= 0x80 >> (bit & 7);
    seen.add(apiKeyIdOf(other));
  }
  expect(seen.size).toBe(61);
});

test("what is stored says nothing about the key, and differs by the id", () => {
  const key = freshKey(id);
  const digest = digestOfKey(key);
  expect(digest).toMatch(/^[A-Za-z0-9_-]{43}$/);
  expect(key).not.toContain(digest);
  expect(digestOfKey(key.replace(id, "zzzzzzzzzzzz"))).not.toBe(digest);
});
