import { Refusal } from "@tocsin/shared";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { JsonBody, structure } from "./json-body.ts";
import { pointerOf } from "./json-pointer.ts";

const at = (text: string, pointer: string) =>
  new JsonBody(Buffer.from(text)).at(pointerOf(pointer));

function refusedAs(read: () => unknown): string {
  try {
    read();
  } catch (thrown) {
    if (thrown instanceof Refusal) return `${thrown.code}: ${thrown.detail}`;
    throw thrown;
  }
  return "nothing was refused";
}

test.each([
  [`{"plan":"premium"}`, "/plan", "premium"],
  [` {\t"a" :\r\n1 , "plan" : "premium" } `, "/plan", "premium"],
  [`{"p\\u006can":"pre\\u006dium"}`, "/plan", "premium"],
  [`{"plan":7}`, "/plan", 7],
  [`{"plan":7.0e0}`, "/plan", 7],
  [`{"plan":-0.5}`, "/plan", -0.5],
  [`{"plan":true,"b":false}`, "/plan", true],
  [`{"plan":null}`, "/plan", null],
  [`{"plan":{"plan":"x"}}`, "/plan", structure],
  [`{"plan":[]}`, "/plan", structure],
  [`{"plan":{"plan":"x"}}`, "/plan/plan", "x"],
  [`{"items":[{"kind":"a"},{"kind":"b"}]}`, "/items/1/kind", "b"],
  [`[[1,[2,3]],4]`, "/0/1/1", 3],
  [`{"items":["a"]}`, "/items/00", undefined],
  [`{"items":["a"]}`, "/items/-", undefined],
  [`{"items":["a"]}`, "/items/1", undefined],
  [`{"items":["a"]}`, "/items/length", undefined],
  [`{"items":{"0":"a"}}`, "/items/0", "a"],
  [`{"plan":"premium"}`, "/Plan", undefined],
  [`{"plan":"premium"}`, "/plan/x", undefined],
  [`{"plan":"premium"}`, "/plan/0", undefined],
  [`{"other":"{\\"plan\\":1}","x":["plan"]}`, "/plan", undefined],
  [`{"a":"\\\\","plan":"x"}`, "/plan", "x"],
  [`{"a/b":{"m~n":1}}`, "/a~1b/m~0n", 1],
  [`{"~1":1}`, "/~01", 1],
  [`{"":{"":2}}`, "//", 2],
  [`{"__proto__":"x"}`, "/__proto__", "x"],
  [`{}`, "/constructor", undefined],
  [`"plan"`, "/plan", undefined],
  [`null`, "/plan", undefined],
  [`{"plan":"é€😀"}`, "/plan", "é€😀"],
])("%s has at %s %j", (text, pointer, value) => {
  expect(at(text, pointer)).toBe(value);
});

test.each([
  [`{"plan":"free","plan":"premium"}`, "/plan"],
  [`{"plan":"free","p\\u006can":"premium"}`, "/plan"],
  [`{"plan":"free","plan":"free"}`, "/plan"],
  [`{"plan":"free","PLAN":"premium"}`, "/plan"],
  [`{"Plan":"free","pLan":"premium"}`, "/plan"],
  [`{"a":{"x":1},"a":{"plan":"x"}}`, "/a/plan"],
  [`{"a":{"plan":1,"plan":2}}`, "/a/plan"],
  [`[{"plan":1,"plan":2}]`, "/0/plan"],
])("in %s two readers find different values at %s", (text, pointer) => {
  expect(refusedAs(() => at(text, pointer))).toMatch(/^bad-request: .* is there twice in the body/);
});

test("what is there twice where no pointer leads decides nothing", () => {
  expect(at(`{"a":1,"a":2,"b":{"plan":1,"plan":2},"plan":"x"}`, "/plan")).toBe("x");
});

test.each([
  ["{plan:1}", "is not JSON"],
  [`{"plan":1,}`, "is not JSON"],
  [`{"plan":1} {"plan":2}`, "is not JSON"],
  [`{"plan":01}`, "is not JSON"],
  [`{"plan":NaN}`, "is not JSON"],
  [`{"plan":'x'}`, "is not JSON"],
  [`{"plan":1/**/}`, "is not JSON"],
  [`{"plan":"a\nb"}`, "is not JSON"],
  [`{"plan":"x`, "is not JSON"],
  ["", "is not JSON"],
  ["  ", "is not JSON"],
  ["\u{feff}{}", "byte order mark"],
  ["[".repeat(65), "more than 64 levels"],
  [`${"[".repeat(65)}${"]".repeat(65)}`, "more than 64 levels"],
  [`{"a":`.repeat(100_000), "more than 64 levels"],
])("%j is refused", (text, why) => {
  expect(refusedAs(() => at(text, "/plan"))).toMatch(new RegExp(`^bad-request: the body .*${why}`));
});

test.each([
  ["a byte that begins nothing", [0x22, 0xff, 0x22]],
  ["a slash in two bytes", [0x22, 0xc0, 0xaf, 0x22]],
  ["half a pair", [0x22, 0xed, 0xa0, 0x80, 0x22]],
  ["a cut sequence", [0x22, 0xe2, 0x82, 0x22]],
  ["UTF-16", [0x7b, 0x00, 0x7d, 0x00]],
])("%s is refused", (_what, bytes) => {
  expect(refusedAs(() => new JsonBody(Uint8Array.from(bytes)))).toMatch(/^bad-request/);
});

test("64 levels are taken, and brackets in texts are none", () => {
  expect(at(`${"[".repeat(64)}${"]".repeat(64)}`, "/0")).toBe(structure);
  expect(at(`{"a":"${"[{".repeat(100)}","plan":1}`, "/plan")).toBe(1);
});

describe("every value of every document", () => {
  test("is found where JSON.parse has it, however the document is written", () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 6 }), fc.nat({ max: 3 }), (text, indent) => {
        const document = JSON.parse(text) as unknown;
        const written = JSON.stringify(document, null, indent);
        const body = new JsonBody(Buffer.from(written));
        for (const [pointer, value] of valuesOf(document)) {
          const found = body.at(pointerOf(pointer));
          const simple = typeof value === "object" && value !== null ? structure : value;
          expect(found, pointer).toBe(Object.is(simple, -0) ? 0 : simple);
        }
      }),
      { numRuns: 300 },
    );
  });
});

/** Pointers and values, those left out whose members differ by case only. */
function valuesOf(value: unknown, pointer = ""): [string, unknown][] {
  const own: [string, unknown][] = pointer === "" ? [] : [[pointer, value]];
  if (typeof value !== "object" || value === null) return own;
  const names = Object.keys(value).map((name) => name.toLowerCase());
  if (!Array.isArray(value) && new Set(names).size < names.length) return own;
  return [
    ...own,
    ...Object.entries(value).flatMap(([name, item]) =>
      valuesOf(item, `${pointer}/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`),
    ),
  ];
}
