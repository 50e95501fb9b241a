import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BadAnswer } from "./answer-head.ts";
import { ChunkedDecoder } from "./chunked.ts";
import { readTrailers } from "./trailers.ts";

/** Decodes a text that comes in pieces. */
function decode(text: string, cuts: readonly number[] = []) {
  const decoder = new ChunkedDecoder();
  const bytes = Buffer.from(text, "latin1");
  let body = "";
  let taken = 0;
  const ends = [...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].toSorted(
    (a, b) => a - b,
  );
  let start = 0;
  for (const end of ends) {
    if (end > start && !decoder.done)
      taken += decoder.write(bytes.subarray(start, end), 0, {
        data: (found) => void (body += found.toString("latin1")),
      });
    start = end;
  }
  return { body, taken, done: decoder.done, trailer: decoder.trailer };
}

test("chunks, extensions and trailers are told apart", () => {
  const text = '5;name="a;b"\r\nhello\r\n6 ;x\r\n world\r\n0\r\nX-Sum: 1\r\nX-B: 2\r\n\r\nNEXT';
  expect(decode(text)).toEqual({
    body: "hello world",
    taken: text.length - 4,
    done: true,
    trailer: "X-Sum: 1\r\nX-B: 2",
  });
});

test("where the pieces are cut makes no difference", () => {
  fc.assert(
    fc.property(
      fc.array(fc.string({ minLength: 1, maxLength: 40, unit: "binary-ascii" }), { maxLength: 6 }),
      fc.array(fc.nat(), { maxLength: 12 }),
      (chunks, cuts) => {
        const text = `${chunks.map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`).join("")}0\r\nX-Sum: 1\r\n\r\n`;
        expect(decode(text, cuts)).toEqual({
          body: chunks.join(""),
          taken: text.length,
          done: true,
          trailer: "X-Sum: 1",
        });
      },
    ),
    { numRuns: 500 },
  );
});

describe("what can be read in two ways is refused, wherever it is cut", () => {
  test.each([
    ["no size", "\r\nhello\r\n0\r\n\r\n"],
    ["a size of letters", "xyz\r\nhello\r\n0\r\n\r\n"],
    ["a sign", "+5\r\nhello\r\n0\r\n\r\n"],
    ["a negative size", "-1\r\nhello\r\n0\r\n\r\n"],
    ["0x", "0x5\r\nhello\r\n0\r\n\r\n"],
    ["an underscore", "0_5\r\nhello\r\n0\r\n\r\n"],
    ["a blank before the size", " 5\r\nhello\r\n0\r\n\r\n"],
    ["a size beyond all bounds", "ffffffffffffffff\r\nhello\r\n0\r\n\r\n"],
    ["a line feed by itself behind the size", "5\nhello\r\n0\r\n\r\n"],
    ["a line feed by itself behind the chunk", "5\r\nhello\n0\r\n\r\n"],
    ["a chunk longer than its size", "4\r\nhello\r\n0\r\n\r\n"],
    ["a chunk shorter than its size", "6\r\nhello\r\n0\r\n\r\n"],
    ["a carriage return in an extension", "5;a\rb\r\nhello\r\n0\r\n\r\n"],
    ["a NUL in an extension", "5;a\0b\r\nhello\r\n0\r\n\r\n"],
    ["a line of size without end", `5;${"a".repeat(2_000)}`],
    ["trailers without end", `0\r\n${"X-A: 1\r\n".repeat(3_000)}`],
  ])("%s", (_name, text) => {
    expect(() => decode(text)).toThrow(BadAnswer);
    expect(() => decode(text, [1, 2, 3, 4, 5, 6, 7])).toThrow(BadAnswer);
  });
});

describe("trailers", () => {
  test("fields that frame, route, authenticate or name somebody never pass", () => {
    const kept = readTrailers(
      [
        "X-Sum: 1",
        "X-User-ID: eve",
        "X_User_ID: eve",
        "X-Auth-Method: none",
        "X-Forwarded-For: 1.2.3.4",
        "Set-Cookie: a=1",
        "Content-Type: text/html",
        "Location: /",
        "Cache-Control: public",
        "Authorization: x",
        "X-Request-ID: 1",
        "Server-Timing: db;dur=2",
      ].join("\r\n"),
    );
    expect(kept).toEqual(["X-Sum", "1", "Server-Timing", "db;dur=2"]);
  });

  test.each([
    "Content-Length: 5",
    "Transfer-Encoding: chunked",
    "no field",
    " folded: 1",
    "X-A: a\rb",
  ])("%j breaks the answer", (text) => {
    expect(() => readTrailers(text)).toThrow(BadAnswer);
  });
});
