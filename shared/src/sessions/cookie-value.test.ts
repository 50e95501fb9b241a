import { expect, test } from "vitest";
import { freshCookieValue, readCookieValue, writeCookieValue } from "./cookie-value.ts";

test("a session's name can be typed behind a command, and no two are alike", () => {
  const made = Array.from({ length: 2_000 }, freshCookieValue);
  expect(made.filter(({ sid }) => sid.startsWith("-"))).toEqual([]);
  expect(new Set(made.map(({ sid }) => sid)).size).toBe(made.length);
  for (const value of made) expect(readCookieValue(writeCookieValue(value))).toEqual(value);
});
