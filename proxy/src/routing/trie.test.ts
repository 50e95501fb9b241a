import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { spelled, Trie } from "./trie.ts";

interface Pattern {
  readonly path: string;
  readonly methods: readonly string[] | undefined;
}

function trieOf(patterns: readonly Pattern[]): Trie<Pattern> {
  const trie = new Trie<Pattern>((pattern) => pattern);
  for (const pattern of patterns)
    for (const method of pattern.methods ?? [undefined])
      trie.add(pattern.path, method, (held) => held ?? pattern);
  for (const pattern of patterns)
    if (pattern.methods?.includes("GET") === true)
      trie.add(pattern.path, "HEAD", (held) => held ?? pattern);
  return trie;
}

const all = (...paths: string[]) => trieOf(paths.map((path) => ({ path, methods: undefined })));

describe("the most specific pattern wins", () => {
  test.each([
    ["/users/me", "/users/me"],
    ["/users/42", "/users/{id}"],
    ["/users/42/orders", "/users/{id}/orders"],
    ["/users/me/orders", "/users/{id}/orders"],
    ["/users/me/other", "/users/*"],
    ["/users/42/orders/7", "/users/*"],
    ["/users", "/users/*"],
    ["/users/", "/users/*"],
    ["/users//x", "/users/*"],
    ["/other", "/*"],
    ["/", "/*"],
    ["/user", "/*"],
  ])("%s is %s", (path, pattern) => {
    const trie = all("/*", "/users/*", "/users/{id}/orders", "/users/{id}", "/users/me");
    expect(trie.find(path, "GET")?.path).toBe(pattern);
    if (!path.endsWith("/")) expect(trie.find(`${path}/`, "GET")?.path).toBe(pattern);
  });
});

test("a slash at the end means nothing, in the pattern or in the path", () => {
  expect(all("/a/b/").find("/a/b", "GET")).toBeDefined();
  expect(all("/a/b").find("/a/b/", "GET")).toBeDefined();
  expect(all("/").find("/", "GET")).toBeDefined();
  expect(all("/").find("/a", "GET")).toBeUndefined();
});

test("a parameter is one segment, and not an empty one", () => {
  expect(all("/a/{x}").find("/a/", "GET")).toBeUndefined();
  expect(all("/a/{x}").find("/a//", "GET")).toBeUndefined();
  expect(all("/a/{x}").find("/a/b/c", "GET")).toBeUndefined();
});

test("texts with the same hash are told apart", () => {
  const trie = all("/Aa/{x}/Aa", "/BB/{x}/BB", "/{y}/{z}/Aa", "/BBBB/*");
  expect(trie.find("/Aa/1/Aa", "GET")?.path).toBe("/Aa/{x}/Aa");
  expect(trie.find("/BB/1/BB", "GET")?.path).toBe("/BB/{x}/BB");
  expect(trie.find("/Aa/1/BB", "GET")).toBeUndefined();
  expect(trie.find("/BB/1/Aa", "GET")?.path).toBe("/{y}/{z}/Aa");
  expect(trie.find("/C#/1/Aa", "GET")?.path).toBe("/{y}/{z}/Aa");
  expect(trie.find("/AaBB/1/Aa", "GET")?.path).toBe("/{y}/{z}/Aa");
  expect(trie.find("/AaBB", "GET")).toBeUndefined();
});

test("nor does one count that begins with the text and has its hash", () => {
  const trie = all("/items/item", "/item/{x}");
  expect(trie.find("/items/item", "GET")).toBeDefined();
  expect(trie.find("/items/item9lA7aDr", "GET")).toBeUndefined();
  expect(trie.find("/item9lA7aDr/1", "GET")).toBeUndefined();
});

test("a pattern without the method gives way to the next one, and HEAD is GET", () => {
  const trie = trieOf([
    { path: "/a/b", methods: ["GET"] },
    { path: "/a/{x}", methods: ["POST"] },
    { path: "/a/*", methods: ["DELETE", "HEAD"] },
  ]);
  expect(trie.find("/a/b", "GET")?.path).toBe("/a/b");
  expect(trie.find("/a/b", "HEAD")?.path).toBe("/a/b");
  expect(trie.find("/a/b", "POST")?.path).toBe("/a/{x}");
  expect(trie.find("/a/b", "DELETE")?.path).toBe("/a/*");
  expect(trie.find("/a/c", "HEAD")?.path).toBe("/a/*");
  expect(trie.find("/a/b", "PUT")).toBeUndefined();
  expect(trie.methods("/a/b")).toEqual(new Set(["GET", "POST", "DELETE", "HEAD"]));
  expect(trie.methods("/b")).toEqual(new Set());
});

test("names of objects' own parts are names", () => {
  const trie = all("/constructor", "/__proto__/{x}");
  expect(trie.find("/constructor", "GET")).toBeDefined();
  expect(trie.find("/__proto__/a", "GET")).toBeDefined();
  expect(trie.find("/toString", "GET")).toBeUndefined();
  expect(trie.find("/constructor", "constructor")).toBeDefined();
});

test("text that is not ASCII matches its percent-encoded spelling", () => {
  expect(spelled("café ü")).toBe("caf%C3%A9%20%C3%BC");
  expect(all("/café").find("/caf%C3%A9", "GET")).toBeDefined();
});

// ---- against the obvious way to do it

/** How specific a pattern is for one path, segment by segment: text, parameter, end, rest. Undefined: it does not fit. */
function rank(pattern: string, path: string): string | undefined {
  const wanted = split(pattern);
  const given = split(path);
  let found = "";
  for (const [index, segment] of wanted.entries()) {
    if (segment === "*" && index === wanted.length - 1) return `${found}3`;
    const actual = given[index];
    if (actual === undefined) return undefined;
    if (segment.startsWith("{")) {
      if (actual === "") return undefined;
      found += "1";
    } else {
      if (segment !== actual) return undefined;
      found += "0";
    }
  }
  return wanted.length === given.length ? `${found}2` : undefined;
}

function split(path: string): string[] {
  const segments = path.slice(1).split("/");
  if (segments.at(-1) === "") segments.pop();
  return segments;
}

function naive(patterns: readonly Pattern[], path: string, method: string): Pattern | undefined {
  const takes = ({ methods }: Pattern) =>
    methods === undefined ||
    methods.includes(method) ||
    (method === "HEAD" && methods.includes("GET"));
  let best: { readonly pattern: Pattern; readonly rank: string } | undefined;
  for (const pattern of patterns.filter(takes)) {
    const found = rank(pattern.path, path);
    if (found !== undefined && (best === undefined || found < best.rank))
      best = { pattern, rank: found };
  }
  return best?.pattern;
}

// Aa, BB and C# have the same hash.
const segment = fc.constantFrom("a", "b", "c", "Aa", "BB", "{x}", "{y}");
const pattern = fc
  .tuple(
    fc.array(segment, { maxLength: 4 }),
    fc.boolean(),
    fc.option(fc.subarray(["GET", "POST", "PUT"], { minLength: 1 }), { nil: undefined }),
  )
  .map(([segments, rest, methods]): Pattern => ({
    path: `/${[...segments, ...(rest ? ["*"] : [])].join("/")}`,
    methods,
  }));
const path = fc
  .tuple(
    fc.array(fc.constantFrom("a", "b", "c", "d", "Aa", "BB", "C#", ""), { maxLength: 5 }),
    fc.boolean(),
  )
  .map(([segments, slash]) => `/${segments.join("/")}${slash ? "/" : ""}`);

/** The config refuses two patterns of one shape with a method in common. */
function distinct(patterns: readonly Pattern[]): Pattern[] {
  const taken = new Set<string>();
  return patterns.filter(({ path, methods }) => {
    const shape = path.replace(/\{[^}]*\}/g, "{}");
    const claims = (methods ?? ["GET", "POST", "PUT", "HEAD", "DELETE"]).map(
      (method) => `${method} ${shape}`,
    );
    if (claims.some((claim) => taken.has(claim))) return false;
    for (const claim of claims) taken.add(claim);
    return true;
  });
}

test("the trie finds what trying every pattern finds", () => {
  fc.assert(
    fc.property(
      fc.array(pattern, { maxLength: 12 }),
      fc.array(path, { minLength: 1, maxLength: 8 }),
      (some, paths) => {
        const patterns = distinct(some);
        const trie = trieOf(patterns);
        for (const one of paths) {
          for (const method of ["GET", "HEAD", "POST", "DELETE"])
            expect(trie.find(one, method)).toBe(naive(patterns, one, method));
          const fitting = patterns.filter((candidate) => rank(candidate.path, one) !== undefined);
          const methods = trie.methods(one);
          if (fitting.some((candidate) => candidate.methods === undefined))
            expect(methods).toBe("any");
          else
            expect(methods).toEqual(
              new Set(
                fitting.flatMap(({ methods: own = [] }) =>
                  own.includes("GET") ? [...own, "HEAD"] : own,
                ),
              ),
            );
        }
      },
    ),
    { numRuns: 1_000 },
  );
});
