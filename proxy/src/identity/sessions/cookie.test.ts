import { describe, expect, test } from "vitest";
import { SessionCookie } from "./cookie.ts";

const take = (passing: string[], name = "sid") => {
  const head = { passing };
  return { shown: new SessionCookie(name).take(head), passing: head.passing };
};
const value = (text: string) => ({ kind: "value", value: text });
const ambiguous = { kind: "ambiguous", why: expect.any(String) };

describe("the cookie of sessions is taken out, and the others stay as they were, byte for byte", () => {
  test.each([
    ["sid=x", "x", undefined],
    ["sid=x; a=1", "x", "a=1"],
    ["a=1; sid=x", "x", "a=1"],
    ["a=1; sid=x; b=2", "x", "a=1; b=2"],
    ["a=1;sid=x;b=2", "x", "a=1;b=2"],
    ["a=1;  b=2;sid=x;   c=  3  ", "x", "a=1;  b=2;   c=  3  "],
    ["sid=", "", undefined],
    ["sid=a=b", "a=b", undefined],
    ['sid="x"', '"x"', undefined],
    ["sid= x ", "x", undefined],
    [";sid=x;", "x", undefined],
    ['a="b"; sid=x; c="d e"', "x", 'a="b"; c="d e"'],
    ["SID=1; sid=x; Sid=2", "x", "SID=1; Sid=2"],
    ["xsid=1; sid=x; sidx=2; sid-x=3", "x", "xsid=1; sidx=2; sid-x=3"],
    ['a={"b":1}; sid=x', "x", 'a={"b":1}'],
    ["a=/?sid=1; sid=x", "x", "a=/?sid=1"],
    ["a=1; a=2; sid=x", "x", "a=1; a=2"],
  ])("%s", (cookie, found, rest) => {
    const { shown, passing } = take(["Accept", "*/*", "cookie", cookie, "X-A", "b"]);
    expect(shown).toEqual(value(found));
    expect(passing).toEqual([
      "Accept",
      "*/*",
      ...(rest === undefined ? [] : ["cookie", rest]),
      "X-A",
      "b",
    ]);
  });

  test.each(["a=1", "SID=1", "sid2=1; asid=2", "a=sid", ""])("%j has none", (cookie) => {
    const before = ["Cookie", cookie];
    expect(take(before)).toEqual({ shown: undefined, passing: before });
  });

  test("the name is compared exactly, whatever characters it has", () => {
    expect(take(["Cookie", "__Host-s.d=x; __host-s.d=1; __Host-sxd=2"], "__Host-s.d")).toEqual({
      shown: value("x"),
      passing: ["Cookie", "__host-s.d=1; __Host-sxd=2"],
    });
  });
});

describe("what servers would read in different ways is ambiguous, and does not go on either", () => {
  test.each([
    ["twice", "sid=x; sid=y"],
    ["twice the same", "sid=x; sid=x"],
    ["twice, far apart", "sid=x; a=1; sid=y"],
    ["a blank before the equals sign", "sid =x"],
    ["a tab before the equals sign", "sid\t=x"],
    ["no equals sign", "sid"],
    ["no equals sign, beside another one", "sid; sid=x"],
    ["behind a comma", "a=1, sid=x"],
    ["behind a comma without a blank", "a=1,sid=x"],
    ["behind a blank", "a=1 sid=x"],
    ["in a quoted value", 'a="1; sid=x"'],
    ["in a quoted value that goes on", 'a="; sid=x; b=2"'],
    ["in a quoted value, with a blank before the quote", 'a= "1; sid=x; b="'],
    ["at the start of a quoted value", 'a="sid=x"'],
    ["beside one that is hidden", "sid=x; a=1, sid=y"],
    ["with an attribute of old", "$Version=1, sid=x"],
  ])("%s", (_, cookie) => {
    const { shown, passing } = take(["Cookie", cookie]);
    expect(shown).toEqual(ambiguous);
    expect(
      passing
        .join()
        .split(";")
        .map((pair) => pair.split("=")[0]!.trim()),
    ).not.toContain("sid");
  });

  test("in one of several fields", () => {
    for (const fields of [
      ["Cookie", "sid=x", "Cookie", "a=1"],
      ["Cookie", "a=1", "COOKIE", "sid=x"],
      ["cookie", "sid=x", "Cookie", "sid=y"],
    ])
      expect(take(fields).shown).toEqual(ambiguous);
  });
});

test("several Cookie fields without a session are no concern of ours", () => {
  const fields = ["Cookie", "a=1", "Cookie", "b=2"];
  expect(take(fields)).toEqual({ shown: undefined, passing: fields });
});

test("a field of any length costs no more than it is long", () => {
  const long = `${"a=1; ".repeat(20_000)}sid=x`;
  const quotes = `a=${'"'.repeat(100_000)}; sid=x`;
  const blanks = `a=${" ".repeat(100_000)}b; sid=x`;
  const hidden = `a= ${"sid ".repeat(30_000)}; sid=x`;
  const start = performance.now();
  for (const cookie of [long, quotes, blanks, hidden])
    expect(take(["Cookie", cookie]).shown).toBeDefined();
  expect(performance.now() - start).toBeLessThan(1_000);
});
