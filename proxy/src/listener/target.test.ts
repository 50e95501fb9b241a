import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { readTarget } from "./target.ts";

test.each([
  ["/", "/", ""],
  ["/a/b", "/a/b", ""],
  ["/a?b=c", "/a", "?b=c"],
  ["/?", "/", "?"],
  ["/%41%7a", "/Az", ""],
  ["/%7Euser/%2d%5F%2E", "/~user/-_.", ""],
  ["/caf%c3%a9", "/caf%C3%A9", ""],
  ["/a%20b", "/a%20b", ""],
  ["/.well-known/x", "/.well-known/x", ""],
  ["/..a/...", "/..a/...", ""],
  ["/a?/../b", "/a", "?/../b"],
  ["/a?%2f%00%5c;", "/a", "?%2f%00%5c;"],
])("%s is %s and %s", (raw, path, query) => {
  expect(readTarget(raw)).toMatchObject({ path, query });
});

describe("refused", () => {
  test.each([
    "",
    "*",
    "a",
    "http://gw.test/",
    "/..",
    "/.",
    "/a/..",
    "/a/./b",
    "/a/../b",
    "/%2e%2e/b",
    "/.%2E/b",
    "/%2e",
    "/a/..;/b",
    "/a/.;x=1",
    "/a/%2e%2e;x/b",
    "/%252e%252e/b",
    "/%25252e%25252e/b",
    "/..%252fb",
    "/a/..%255cb",
    "/a%2fb",
    "/a%2Fb",
    "/a%5cb",
    "/a\\b",
    "/a%00",
    "/a%0d%0aX:%20y",
    "/a%7f",
    "/a%2500",
    "/%c0%af",
    "/%c1%9c",
    "/%e0%80%af",
    "/%f0%80%80%af",
    "/%",
    "/%4",
    "/%zz",
    "/%u002e",
    "/a#b",
    "/a?b#c",
    "/a b",
    "/a\u00e9",
    "/a?\u00e9",
    "/a\tb",
  ])("%j", (raw) => {
    expect(readTarget(raw)).toBeTypeOf("string");
  });
});

test.each([
  ["/a//b", ["/a/b"]],
  ["/a;x/b", ["/a/b"]],
  ["/a;x//b", ["/a//b", "/a;x/b", "/a/b"]],
  ["/%24a", ["/$a"]],
  ["/a%3bx/b", ["/a;x/b", "/a/b"]],
  ["/caf%C3%A9", undefined],
  ["/a%20b", undefined],
])("%s can be read as %j", (raw, variants) => {
  const target = readTarget(raw);
  if (typeof target === "string") throw new Error(target);
  if (variants === undefined) expect(target.variants).toBeUndefined();
  else expect(target.variants?.toSorted()).toEqual(variants.toSorted());
});

test("what is sent reads as itself, and has no dot segments however often it is decoded", () => {
  const piece = fc.constantFrom(
    "a",
    "/",
    ".",
    "..",
    "%2e",
    "%2E",
    "%25",
    "2e",
    "2f",
    ";",
    "%3b",
    "%61",
    "é",
    "%C3%A9",
    "\\",
    "%5c",
    "%2f",
    "//",
    "?",
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
      const target = readTarget(`/${pieces.join("")}`);
      if (typeof target === "string") return;
      expect(readTarget(target.path)).toMatchObject({ path: target.path, query: "" });
      let decoded = target.path;
      for (let round = 0; round < 4; round += 1) {
        expect(decoded.split(/[/\\]/).map((segment) => segment.split(";")[0])).not.toEqual(
          expect.arrayContaining([expect.stringMatching(/^\.{1,2}$/)]),
        );
        decoded = decoded.replace(/%([0-9A-Fa-f]{2})/g, (_, digits: string) =>
          String.fromCharCode(Number.parseInt(digits, 16)),
        );
      }
    }),
    { numRuns: 3_000 },
  );
});
