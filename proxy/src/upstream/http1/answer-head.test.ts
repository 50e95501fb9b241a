import { describe, expect, test } from "vitest";
import { BadAnswer, readAnswerHead } from "./answer-head.ts";

const lines = (...all: string[]) => all.join("\r\n");

test("fields keep their order, their case and their repeats", () => {
  const head = readAnswerHead(
    lines("HTTP/1.1 200 OK", "Set-Cookie: a=1", "X-B:2", "set-cookie: b=2", "SET-COOKIE:\t c=3 \t"),
  );
  expect(head.status).toBe(200);
  expect(head.passing).toEqual([
    "Set-Cookie",
    "a=1",
    "X-B",
    "2",
    "set-cookie",
    "b=2",
    "SET-COOKIE",
    "c=3",
  ]);
});

test("an empty value is one, and bytes above ASCII stay as they are", () => {
  expect(readAnswerHead(lines("HTTP/1.1 200", "X-A:", "X-B: gr\xfc\xdf")).passing).toEqual([
    "X-A",
    "",
    "X-B",
    "gr\xfc\xdf",
  ]);
});

test("hop-by-hop fields stop here, and so does what Connection names, except for the length", () => {
  const head = readAnswerHead(
    lines(
      "HTTP/1.1 200 OK",
      "Connection: X-Hop, Content-Length",
      "Keep-Alive: timeout=5",
      "X-Hop: 1",
      "Proxy-Authenticate: Basic",
      "Trailer: X-Sum",
      "Upgrade: h2c",
      "X-Request-ID: theirs",
      "Content-Length: 2",
      "X-Kept: 1",
    ),
  );
  expect(head.passing).toEqual(["Content-Length", "2", "X-Kept", "1"]);
  expect([head.contentLength, head.keepAlive, head.upgrade]).toEqual([2, "timeout=5", "h2c"]);
});

describe("whether the connection stays open", () => {
  test.each([
    ["HTTP/1.1 200 OK", true],
    ["HTTP/1.0 200 OK", false],
    [lines("HTTP/1.1 200 OK", "Connection: close"), false],
    [lines("HTTP/1.1 200 OK", "Connection: Keep-Alive, CLOSE"), false],
    [lines("HTTP/1.1 200 OK", "Connection: x", "Connection: close"), false],
    [lines("HTTP/1.0 200 OK", "Connection: keep-alive"), true],
  ])("%j: %s", (text, persistent) => {
    expect(readAnswerHead(text).persistent).toBe(persistent);
  });
});

test.each([
  ["no status line", "garbage"],
  ["another protocol", "ICY 200 OK"],
  ["another version", "HTTP/2.0 200 OK"],
  ["a version of one digit", "HTTP/1 200 OK"],
  ["a lower-case name", "http/1.1 200 OK"],
  ["a status of two digits", "HTTP/1.1 20 OK"],
  ["a status of four digits", "HTTP/1.1 2000 OK"],
  ["a status out of range", "HTTP/1.1 600 No"],
  ["a status of letters", "HTTP/1.1 abc OK"],
  ["two blanks before the status", "HTTP/1.1  200 OK"],
  ["a NUL in the reason", "HTTP/1.1 200 O\0K"],
  ["a bare carriage return in the reason", "HTTP/1.1 200 O\rK"],
  ["a folded field", lines("HTTP/1.1 200 OK", "X-A: 1", " 2")],
  ["a field folded by a tab", lines("HTTP/1.1 200 OK", "X-A: 1", "\tb: 2")],
  ["a line without a colon", lines("HTTP/1.1 200 OK", "nothing")],
  ["an empty name", lines("HTTP/1.1 200 OK", ": 1")],
  ["a blank before the colon", lines("HTTP/1.1 200 OK", "Content-Length : 5")],
  ["a name with a blank", lines("HTTP/1.1 200 OK", "X A: 1")],
  ["a name that is no token", lines("HTTP/1.1 200 OK", "X(A): 1")],
  ["a name beyond ASCII", lines("HTTP/1.1 200 OK", "X-\xe4: 1")],
  ["a NUL in a value", lines("HTTP/1.1 200 OK", "X-A: a\0b")],
  ["a bare carriage return in a value", lines("HTTP/1.1 200 OK", "X-A: a\rb")],
  ["a bare line feed in a value", lines("HTTP/1.1 200 OK", "X-A: a\nX-B: b")],
  ["two lengths that differ", lines("HTTP/1.1 200 OK", "Content-Length: 2", "Content-Length: 3")],
  ["the same length twice", lines("HTTP/1.1 200 OK", "Content-Length: 2", "Content-Length: 2")],
  ["a list of lengths", lines("HTTP/1.1 200 OK", "Content-Length: 2, 2")],
  ["a signed length", lines("HTTP/1.1 200 OK", "Content-Length: +2")],
  ["a negative length", lines("HTTP/1.1 200 OK", "Content-Length: -2")],
  ["a hexadecimal length", lines("HTTP/1.1 200 OK", "Content-Length: 0x2")],
  ["an empty length", lines("HTTP/1.1 200 OK", "Content-Length:")],
  ["a length beyond all bounds", lines("HTTP/1.1 200 OK", `Content-Length: ${"9".repeat(20)}`)],
  ["both framings", lines("HTTP/1.1 200 OK", "Content-Length: 2", "Transfer-Encoding: chunked")],
  ["an unknown coding", lines("HTTP/1.1 200 OK", "Transfer-Encoding: gzip")],
  ["two codings", lines("HTTP/1.1 200 OK", "Transfer-Encoding: gzip, chunked")],
  [
    "the coding twice",
    lines("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
  ],
  ["a coding that looks alike", lines("HTTP/1.1 200 OK", "Transfer-Encoding: \x0bchunked")],
  ["a coding in HTTP/1.0", lines("HTTP/1.0 200 OK", "Transfer-Encoding: chunked")],
])("%s is refused", (_name, text) => {
  expect(() => readAnswerHead(text)).toThrow(BadAnswer);
});
