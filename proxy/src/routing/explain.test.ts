/** The router and its explanation come to the same, whatever the routes and the request are. */
import { Config } from "@tocsin/shared/contract";
import fc from "fast-check";
import { expect, test } from "vitest";
import { Refusal } from "@tocsin/shared";
import { bodyWanted } from "./candidates.ts";
import type { Asked } from "./conditions.ts";
import { explain } from "./explain.ts";
import { JsonBody } from "./json-body.ts";
import { inOrderOfPrecedence } from "./listing.ts";
import { createRouter } from "./router.ts";

const few = <T>(...values: T[]) => fc.constantFrom(...values);
const some = <T extends object>(entries: { [Key in keyof T]: fc.Arbitrary<T[Key]> }) =>
  fc.record(entries, { requiredKeys: [] }) as fc.Arbitrary<Partial<T>>;

const segment = few("a", "b", "{x}", "é");
const pattern = fc
  .tuple(fc.array(segment, { maxLength: 2 }), few("", "/", "/*", "/*"))
  .map(([segments, tail]) => {
    const named = segments.map((text, index) => `/${text === "{x}" ? `{x${index}}` : text}`);
    return `${named.join("")}${tail}` || "/";
  });
const sometimes = <T>(value: fc.Arbitrary<T>) =>
  fc.oneof({ arbitrary: value, weight: 1 }, { arbitrary: fc.constant(undefined), weight: 2 });
const several = <T>(...values: T[]) =>
  fc.uniqueArray(fc.constantFrom(...values), { minLength: 1, maxLength: 2 });
const match = fc.record({
  path: pattern,
  methods: sometimes(several("GET", "HEAD", "POST", "PUT")),
  hosts: sometimes(several("a.test", "b.a.test", "*.test", "*.a.test")),
  headers: sometimes(some({ "x-a": few("1", "2", "*"), "X-B": few("1", "*") })),
  query: sometimes(some({ q: few("1", "*"), r: few("1") })),
  body: sometimes(
    few<Record<string, string | number>>({ "/a": 1 }, { "/a": "*" }, { "/a": "1", "/b/0": "x" }),
  ),
});
/** As many of the routes as make a config that is accepted. */
const config = fc.array(match, { minLength: 1, maxLength: 12 }).map((matches) => {
  let accepted = Config.parse({ version: 1 });
  const routes: object[] = [];
  for (const [index, each] of matches.entries()) {
    const route = { id: `r${index}`, match: each, service: "s" };
    const read = Config.safeParse({
      version: 1,
      services: { s: null },
      routes: [...routes, route],
    });
    if (!read.success) continue;
    routes.push(route);
    accepted = read.data;
  }
  return accepted;
});
const request = fc.record({
  path: fc
    .tuple(fc.array(few("a", "b", "c", "%C3%A9", ""), { maxLength: 3 }), few("", "/"))
    .map(([segments, tail]) => `/${segments.join("/")}${tail}`),
  method: few("GET", "HEAD", "POST", "PUT", "DELETE", "PROPFIND"),
  host: few("a.test", "A.test:80", "b.a.test", "c.a.test", "x.test", "test", "[::1]"),
  fields: fc
    .array(few(["x-a", "1"], ["X-A", "2"], ["X-b", "1"], ["x-c", "1"]), { maxLength: 3 })
    .map((pairs) => pairs.flat()),
  query: few("", "?q=1", "?q=2&r=1", "?r=1&q=1", "?q=1&q=2", "?Q=1"),
  body: few(undefined, `{"a":1}`, `{"a":"1","b":["x"]}`, `{"a":null}`, `{}`, `[]`, `{"a":1,"a":1}`),
});

test("the explanation names the route that the router finds", () => {
  let found = 0;
  fc.assert(
    fc.property(config, request, (routes, { path, method, host, fields, query, body }) => {
      const router = createRouter(routes, () => ({ of: () => undefined }));
      const asked: Asked = {
        host,
        fields,
        target: path + query,
        body: body === undefined ? undefined : new JsonBody(Buffer.from(body)),
      };
      const verdicts = explain(routes, path, method, asked);
      const taken = verdicts.filter((verdict) => verdict.taken);
      let route: string | undefined;
      try {
        const chosen = router.find(path, method, asked);
        if (chosen === bodyWanted) throw new Error("the body is wanted twice");
        route = chosen.id;
      } catch (thrown) {
        if (!(thrown instanceof Refusal)) throw thrown;
        // What can be read in two ways is refused, whatever else would have come of it.
        if (thrown.code === "bad-request") return;
      }
      if (route !== undefined) found += 1;
      expect(taken.map((verdict) => verdict.route.id)).toEqual(route === undefined ? [] : [route]);
    }),
    { numRuns: 3_000 },
  );
  // Otherwise it would prove little.
  expect(found).toBeGreaterThan(300);
});

test("the list of all routes has the order of every request", () => {
  fc.assert(
    fc.property(config, request, (routes, { path, method, host, fields, query }) => {
      const single = {
        routes: routes.routes.filter(({ match }) => (match.hosts?.length ?? 0) < 2),
      };
      const asked: Asked = { host, fields, target: path + query, body: undefined };
      const listed = inOrderOfPrecedence(single.routes).map(({ id }) => id);
      const tried = explain(single, path, method, asked)
        .filter(({ fit }) => fit.host !== undefined && fit.method !== undefined)
        .map(({ route, fit }) => ({ id: route.id, fit, route }));
      for (const [index, { id }] of tried.entries()) {
        const next = tried[index + 1];
        if (next === undefined) continue;
        const same = JSON.stringify(route(next)) === JSON.stringify(route(tried[index]!));
        if (!same)
          expect(listed.indexOf(id), `${id} before ${next.id}`).toBeLessThan(
            listed.indexOf(next.id),
          );
      }
    }),
    { numRuns: 1_000 },
  );
  /** What two routes share that neither comes before the other. */
  function route({ route: { match } }: { route: (typeof Config)["_output"]["routes"][number] }) {
    return [
      match.hosts,
      match.path.replace(/\{\w+\}/g, "{}"),
      ...(["headers", "query", "body"] as const).map((of) => Object.keys(match[of] ?? {}).length),
    ];
  }
});
