import { describe, expect, test } from "vitest";
import { inconsistencies } from "./references.ts";
import { methods } from "./route-match.ts";

function problems(matches: readonly object[], more: object = {}): string[] {
  const document = {
    version: 1,
    services: { a: null },
    routes: matches.map((match, index) => ({ id: `r${index}`, match, service: "a" })),
    ...more,
  };
  return inconsistencies(document, methods).map(
    ({ path, message }) => `${path.join("/")} ${message}`,
  );
}

const hosts = (...served: string[]) => ({ listen: { hosts: served } });
const taken = (index: number, by: string) =>
  `routes/${index}/match no request gets here: ${by} them all`;

describe("a route that no request reaches", () => {
  test.each<[string, object[], object, string]>([
    [
      "the only host has a route for everything",
      [{ path: "/x" }, { path: "/*", hosts: ["a.test"] }],
      hosts("A.test"),
      taken(0, `"r1" takes`),
    ],
    [
      "every host has",
      [
        { path: "/x/{id}", methods: ["GET"] },
        { path: "/{a}/{b}", methods: ["HEAD", "GET"], hosts: ["a.test"] },
        { path: "/x/*", hosts: ["*.b.test"] },
      ],
      hosts("a.test", "*.b.test"),
      taken(0, `"r1" and "r2" take`),
    ],
    [
      "others take its methods one by one",
      [
        { path: "/x", methods: ["GET", "POST"] },
        { path: "/x", methods: ["GET"], hosts: ["a.test"] },
        { path: "/*", methods: ["POST"], hosts: ["a.test"] },
      ],
      hosts("a.test"),
      taken(0, `"r1" and "r2" take`),
    ],
    [
      "the other has the same conditions, or fewer",
      [
        { path: "/x", headers: { "X-A": "1" }, query: { q: "1" } },
        { path: "/x", headers: { "x-a": "*" }, hosts: ["a.test"] },
      ],
      hosts("a.test"),
      taken(0, `"r1" takes`),
    ],
    [
      "the path itself and all below have routes",
      [{ path: "/x/*" }, { path: "/x" }, { path: "/x/{a}/*" }],
      {},
      taken(0, `"r1" and "r2" take`),
    ],
    [
      "the path and each level below",
      [{ path: "/*" }, { path: "/" }, { path: "/{a}" }, { path: "/{a}/{b}/*" }],
      {},
      taken(0, `"r1" and "r2" and "r3" take`),
    ],
  ])("because %s", (_what, matches, more, expected) => {
    expect(problems(matches, more)).toEqual([expected]);
  });

  test("is also one of the automatic ones", () => {
    const discovery = { autoRoutes: { prefix: "/api", auth: "none" } };
    expect(problems([{ path: "/{any}/*" }], { discovery })).toEqual([
      `discovery/autoRoutes no request gets here: "r0" takes them all`,
    ]);
    expect(problems([{ path: "/api/{service}/x" }], { discovery })).toEqual([]);
    expect(problems([{ path: "/api/users/*" }], { discovery })).toEqual([]);
    // Methods that nobody names are left.
    expect(problems([{ path: "/*", methods: [...methods] }], { discovery })).toEqual([]);
    expect(problems([{ path: "/*" }], { discovery: {} })).toEqual([]);
  });
});

describe("a route is reached", () => {
  test.each<[string, object[], object]>([
    ["by another host", [{ path: "/x" }, { path: "/*", hosts: ["a.test"] }], {}],
    [
      "by another host that is served",
      [{ path: "/x" }, { path: "/*", hosts: ["a.test"] }],
      hosts("a.test", "b.test"),
    ],
    [
      "by a name below a wildcard",
      [{ path: "/x" }, { path: "/*", hosts: ["a.b.test"] }],
      hosts("*.b.test"),
    ],
    [
      "by another method",
      [
        { path: "/x", methods: ["GET"] },
        { path: "/*", methods: ["HEAD"], hosts: ["a.test"] },
      ],
      hosts("a.test"),
    ],
    [
      "without the conditions of the other",
      [{ path: "/x" }, { path: "/*", headers: { a: "1" }, hosts: ["a.test"] }],
      hosts("a.test"),
    ],
    [
      "with another value",
      [
        { path: "/x", query: { a: "1" } },
        { path: "/*", query: { a: "2" }, hosts: ["a.test"] },
      ],
      hosts("a.test"),
    ],
    [
      "by a member of another type",
      [
        { path: "/x", methods: ["POST"], body: { "/a": 1 } },
        { path: "/*", body: { "/a": "1" }, hosts: ["a.test"] },
      ],
      hosts("a.test"),
    ],
    [
      "by a path that the other does not take",
      [{ path: "/x/*" }, { path: "/x/{a}", hosts: ["a.test"] }],
      hosts("a.test"),
    ],
    ["by the path itself", [{ path: "/x/*" }, { path: "/x/{a}/*" }], {}],
    ["by what is two levels below", [{ path: "/x/*" }, { path: "/x" }, { path: "/x/{a}" }], {}],
    [
      "by another of its hosts",
      [
        { path: "/x", hosts: ["a.test", "*.b.test"] },
        { path: "/*", hosts: ["c.b.test"] },
      ],
      hosts("a.test", "*.b.test"),
    ],
  ])("%s", (_what, matches, more) => {
    expect(problems(matches, more)).toEqual([]);
  });
});

test("a condition on a body needs a method whose body counts", () => {
  const match = { path: "/x", body: { "/a": 1 } };
  expect(problems([{ ...match, methods: ["GET", "DELETE"] }])).toEqual([
    "routes/0/match/body a body counts with POST, PUT and PATCH only (RFC 9110 §9.3), found GET, DELETE",
  ]);
  expect(problems([{ ...match, methods: ["GET", "POST"] }])).toEqual([]);
  expect(problems([match])).toEqual([]);
});

test("what is no config at all hides nothing", () => {
  for (const document of [null, 1, { routes: 1 }, { routes: [null, { match: 1 }] }])
    expect(inconsistencies(document, methods)).toEqual([]);
  expect(
    inconsistencies({ listen: { hosts: 3 }, routes: [{ match: { path: "x" } }] }, methods),
  ).toEqual([]);
});

test("ten thousand routes are looked at in no time to speak of", () => {
  const names = Array.from({ length: 50 }, (_, index) => `h${index}.test`);
  const matches = Array.from({ length: 10_000 }, (_, index) =>
    index % 2 === 0
      ? { path: `/a/b${index}/{id}/*` }
      : { path: `/a/b${index}/{id}`, hosts: [names[index % 50]!] },
  );
  const begunAt = performance.now();
  expect(problems(matches, hosts(...names))).toEqual([]);
  // Thirty times what it takes; comparing each with each would take minutes.
  expect(performance.now() - begunAt).toBeLessThan(10_000);
});
