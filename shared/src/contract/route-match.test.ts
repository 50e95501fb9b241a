import { expect, test } from "vitest";
import { Config } from "./config.ts";

function problems(matches: readonly object[], listen: object = {}): string[] {
  const read = Config.safeParse({
    version: 1,
    listen,
    services: { a: null },
    routes: matches.map((match, index) => ({ id: `r${index}`, match, service: "a" })),
  });
  return read.success
    ? []
    : read.error.issues.map(({ path, message }) => `${path.join("/")} ${message}`);
}

const path = "/x/{id}";

test.each<[string, object, object]>([
  ["the same path", { path }, { path: "/x/{other}/" }],
  ["a method in common", { path, methods: ["GET", "PUT"] }, { path, methods: ["PUT"] }],
  ["a host in common", { path, hosts: ["a.test", "B.test"] }, { path, hosts: ["b.test"] }],
  [
    "as many conditions that can all be true",
    { path, headers: { a: "1" } },
    { path, headers: { b: "1" } },
  ],
  [
    "the same value of the same field",
    { path, headers: { "X-A": "1" } },
    { path, headers: { "x-a": "1" } },
  ],
  ["any value and a value", { path, query: { a: "*" } }, { path, query: { a: "1" } }],
  ["members that can both be there", { path, body: { "/a": 1 } }, { path, body: { "/b": 1 } }],
  ["the same member", { path, body: { "/a": "*" } }, { path, methods: ["PUT"], body: { "/a": 1 } }],
])("two routes with %s are a conflict", (_what, one, other) => {
  expect(problems([one, other])).toEqual([
    expect.stringMatching(
      /^routes\/1\/match (GET|POST|PUT) .* is already matched by the route "r0"$/,
    ),
  ]);
});

test.each<[string, object, object]>([
  ["other methods", { path, methods: ["GET"] }, { path, methods: ["PUT"] }],
  ["another host", { path, hosts: ["a.test"] }, { path, hosts: ["*.test"] }],
  ["a host and none", { path, hosts: ["a.test"] }, { path }],
  ["more conditions", { path, headers: { a: "1" } }, { path, headers: { b: "1", c: "1" } }],
  ["fields before parameters", { path, headers: { a: "1" } }, { path, query: { b: "1" } }],
  [
    "another value of the same field",
    { path, headers: { a: "1", b: "1" } },
    { path, headers: { a: "2", c: "1" } },
  ],
  ["another value of a member", { path, body: { "/a": 1 } }, { path, body: { "/a": "1" } }],
  ["parameters before members", { path, query: { a: "1" } }, { path, body: { "/b": "1" } }],
  ["a member and none", { path, body: { "/a": 1 } }, { path }],
])("two routes with %s are none", (_what, one, other) => {
  expect(problems([one, other])).toEqual([]);
});

test("a route for a host that is not served is refused: nothing ever reaches it", () => {
  const hosts = ["api.test", "*.shop.test"];
  expect(
    problems([{ path, hosts: ["api.test", "a.shop.test", "*.b.shop.test"] }], { hosts }),
  ).toEqual([]);
  for (const host of ["shop.test", "*.test", "other.test", "*.api.test"])
    expect(problems([{ path, hosts: [host] }], { hosts })).toEqual([
      `routes/0/match/hosts/0 "${host}" is not served: listen.hosts has api.test, *.shop.test`,
    ]);
});

test.each([
  "Authorization",
  "host",
  "Connection",
  "x-forwarded-for",
  "X-User-ID",
  "content-length",
])("routes are not chosen by %s, which is not what it was when it gets there", (name) => {
  expect(problems([{ path, headers: { [name]: "1" } }])).toEqual([
    expect.stringContaining(`routes cannot be chosen by the field ${name}`),
  ]);
});

test("a field that is named twice, or cannot be a name, is refused", () => {
  expect(problems([{ path, headers: { "X-A": "1", "x-a": "2" } }])).toEqual([
    "routes/0/match/headers/x-a the field x-a stands twice",
  ]);
  expect(problems([{ path, headers: { "x a": "1" } }])).toEqual([
    expect.stringContaining("is not the name of a field"),
  ]);
});
