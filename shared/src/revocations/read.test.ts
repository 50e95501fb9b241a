import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { RevocationEntry } from "../contract/entries.ts";
import { readRevocation } from "./read.ts";

const token = { v: 1, id: "r-1", kind: "token", issuer: "shop", jti: "1", expiresAt: 1_000 };

/** What both make of a text: the entry, or that there is none. */
function bothRead(body: string): { hand: unknown; schema: unknown } {
  const attempt = (read: () => unknown) => {
    try {
      return read();
    } catch {
      return "refused";
    }
  };
  return {
    hand: attempt(() => readRevocation(body)),
    schema: attempt(() => RevocationEntry.parse(JSON.parse(body))),
  };
}

// Right and nearly right, for each field; `undefined` leaves it out.
const text = fc.oneof(
  { weight: 3, arbitrary: fc.string({ minLength: 1, maxLength: 5 }) },
  fc.constantFrom("", "a", "a".repeat(64), "a".repeat(65), "a".repeat(200), "a".repeat(201)),
  fc.constantFrom("é".repeat(512), "é".repeat(513), "\u{1f600}".repeat(256), "\ud800", "\u0000"),
);
const number = fc.oneof(
  fc.double(),
  fc.constantFrom(0, -0, 1, -1, 1.5, 1e11, 1e11 + 1, 2 ** 53, -1e-9),
);
const anything = fc.oneof(
  text,
  number,
  fc.constantFrom(null, true, undefined),
  fc.array(fc.integer(), { maxLength: 2 }),
  fc.constant({}),
);
const mostly = <T>(usual: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 20, arbitrary: usual }, { weight: 1, arbitrary: anything });
const strange = fc.constantFrom("__proto__", "constructor", "toString", "0", "", "Kind", "subject");
const entry = fc
  .record({
    v: mostly(fc.constant(1)),
    id: mostly(text),
    kind: mostly(fc.constantFrom("token", "token", "token", "user")),
    issuer: mostly(text),
    jti: mostly(text),
    expiresAt: mostly(number),
    reason: fc.oneof(fc.constant(undefined), mostly(text)),
    more: fc.option(fc.tuple(strange, anything), { freq: 6 }),
  })
  .map(({ more, ...fields }) => {
    const members = Object.entries(fields).map(([name, value]) => [name, value] as const);
    // Written by hand, because an object literal would take `__proto__` for something else.
    return `{${[...members, ...(more === null ? [] : [more])]
      .filter(([, value]) => value !== undefined)
      .map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`)
      .join(",")}}`;
  });

describe("an entry is read as the schema reads it", () => {
  test("one token", () => {
    let taken = 0;
    let refused = 0;
    fc.assert(
      fc.property(entry, (body) => {
        const { hand, schema } = bothRead(body);
        if (schema === "refused") refused += 1;
        else taken += 1;
        expect(hand).toEqual(schema);
      }),
      { numRuns: 5_000 },
    );
    // Both sides of the question were asked.
    expect(taken).toBeGreaterThan(100);
    expect(refused).toBeGreaterThan(100);
  });

  test("a batch", () => {
    fc.assert(
      fc.property(
        fc.array(entry, { maxLength: 4 }),
        mostly(fc.constant(1)),
        fc.constantFrom("batch", "batch", "batches"),
        fc.constantFrom("", ',"more":1', ',"__proto__":{}'),
        (items, v, kind, more) => {
          const head = `"v":${JSON.stringify(v) ?? "null"},"kind":"${kind}"`;
          const { hand, schema } = bothRead(`{${head},"items":[${items.join(",")}]${more}}`);
          expect(hand).toEqual(schema);
        },
      ),
      { numRuns: 2_000 },
    );
  });

  test.each([
    "null",
    "1",
    '"token"',
    "[]",
    "{}",
    "not JSON",
    JSON.stringify([token]),
    JSON.stringify({ v: 1, kind: "batch", items: [] }),
    JSON.stringify({ v: 1, kind: "batch", items: Array.from({ length: 1_000 }, () => token) }),
    JSON.stringify({ v: 1, kind: "batch", items: Array.from({ length: 1_001 }, () => token) }),
    JSON.stringify({ ...token, expiresAt: undefined }),
    `{"v":1,"id":"a","kind":"token","issuer":"a","jti":"b","expiresAt":1e999}`,
    `{"v":1,"v":1,"id":"a","kind":"token","issuer":"a","jti":"b","expiresAt":1}`,
    `{"v":1,"id":"a","kind":"token","issuer":"a","jti":"b","__proto__":1}`,
    `{"v":1,"kind":"fingerprint-key","key":"AAAAAAAAAAAAAAAAAAAAAA"}`,
    `{"v":1,"kind":"fingerprint-key","key":"AAAA"}`,
  ])("a text that is no token, or hardly one, number %#", (body) => {
    const { hand, schema } = bothRead(body);
    expect(hand).toEqual(schema);
  });
});
