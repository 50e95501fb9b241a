import { expect, test } from "vitest";
import { wholeLines } from "./log.ts";

const cut = (text: string) => [...wholeLines(Buffer.from(text))].map(String);

test("lines for a pipe that others write to are cut between lines, in pieces that stay whole", () => {
  const lines = Array.from({ length: 200 }, (_, index) => `${"x".repeat(index)}\n`).join("");
  const pieces = cut(lines);
  expect(pieces.join("")).toBe(lines);
  expect(pieces.every((piece) => piece.endsWith("\n") && piece.length <= 4_096)).toBe(true);
  expect(pieces.length).toBe(5);
});

test("a line that is longer than fits goes alone, and what has no end at the end", () => {
  const long = `${"y".repeat(5_000)}\n`;
  expect(cut(`a\n${long}b\n`)).toEqual(["a\n", long, "b\n"]);
  expect(cut("no end")).toEqual(["no end"]);
  expect(cut("y".repeat(5_000))).toEqual(["y".repeat(5_000)]);
  expect(cut("")).toEqual([]);
});
