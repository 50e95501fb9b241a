/** What the config check says about routes, held against the router: for random routes, every request of a small world is tried. */
import { Config, inconsistencies, methods as everyMethod, Route } from "@tocsin/shared/contract";
import fc from "fast-check";
import { expect, test } from "vitest";
import { nothingAsked } from "./conditions.ts";
import type { Asked } from "./conditions.ts";
import { explain } from "./explain.ts";
import { isFit } from "./fit.ts";
import { JsonBody } from "./json-body.ts";
import { leadOf } from "./precedence.ts";

const few = <T>(...values: T[]) => fc.constantFrom(...values);
const sometimes = <T>(value: fc.Arbitrary<T>) =>
  fc.oneof({ arbitrary: value, weight: 1 }, { arbitrary: fc.constant(undefined), weight: 2 });
const several = <T>(...values: T[]) =>
  fc.uniqueArray(fc.constantFrom(...values), { minLength: 1, maxLength: 2 });

const match = fc.record({
  path: few("/", "/*", "/a", "/a/*", "/{x}", "/{x}/*", "/a/{x}", "/{x}/{y}", "/{x}/{y}/*"),
  methods: sometimes(several("GET", "HEAD", "POST")),
  hosts: sometimes(several("a.test", "b.a.test", "*.a.test")),
  headers: sometimes(few({ x: "1" }, { x: "*" }, { x: "2", y: "1" })),
  query: sometimes(few({ q: "1" })),
  body: sometimes(few({ "/m": 1 }, { "/m": "*" })),
});
const served = few(["a.test"], ["b.a.test"], ["a.test", "*.a.test"], undefined);
const world = fc.record({ matches: fc.array(match, { minLength: 2, maxLength: 7 }), served });

const hosts = ["a.test", "b.a.test", "c.a.test", "other.test"];
const paths = ["/", "/a", "/b", "/a/a", "/b/b", "/a/b/c", "/b/b/c/d"];
const methods = ["GET", "HEAD", "POST", "PUT", "PROPFIND"];
const fieldLists = [[], ["x", "1"], ["x", "2", "y", "1"], ["x", "3"]];
const queries = ["", "?q=1"];
const bodies = [undefined, `{"m":1}`, `{"m":2}`].map((text) =>
  text === undefined ? undefined : new JsonBody(Buffer.from(text)),
);

function* requests(): Iterable<{ path: string; method: string; asked: Asked }> {
  for (const host of hosts)
    for (const path of paths)
      for (const method of methods)
        for (const fields of fieldLists)
          for (const query of queries)
            for (const body of bodies)
              yield {
                path,
                method,
                asked: { ...nothingAsked, host, fields, target: path + query, body },
              };
}

/** Routes as the schema reads them, whatever they are to one another. */
function routesOf(matches: readonly object[]): Config["routes"] {
  return matches.map((each, index) => Route.parse({ id: `r${index}`, match: each, service: "s" }));
}

const isServed = (host: string, list: readonly string[] | undefined) =>
  list === undefined ||
  list.some((each) => each === host || (each.startsWith("*.") && host.endsWith(each.slice(1))));

test("what no request is said to reach is reached by none", () => {
  let hidden = 0;
  fc.assert(
    fc.property(world, ({ matches, served: list }) => {
      const routes = routesOf(matches);
      const said = inconsistencies(
        { version: 1, listen: { hosts: list }, services: { s: null }, routes },
        everyMethod,
      ).filter(({ message }) => message.startsWith("no request gets here"));
      if (said.length === 0) return;
      hidden += said.length;
      const ids = new Set(said.map(({ path }) => routes[Number(path[1])]!.id));
      for (const { path, method, asked } of requests()) {
        if (!isServed(asked.host, list)) continue;
        const taken = explain({ routes }, path, method, asked).find((each) => each.taken);
        if (taken !== undefined && ids.has(taken.route.id))
          expect.fail(`${taken.route.id} takes ${method} ${path} on ${asked.host}`);
      }
    }),
    { numRuns: 400 },
  );
  // Otherwise it would prove little.
  expect(hidden).toBeGreaterThan(20);
});

test("in a config that is accepted, of two routes that fit a request one comes first", () => {
  let contests = 0;
  fc.assert(
    fc.property(world, ({ matches, served: list }) => {
      const routes: object[] = [];
      let config = Config.parse({ version: 1 });
      for (const [index, each] of matches.entries()) {
        const more = [...routes, { id: `r${index}`, match: each, service: "s" }];
        const read = Config.safeParse({
          version: 1,
          listen: { hosts: list },
          services: { s: null },
          routes: more,
        });
        if (!read.success) continue;
        routes.push(more.at(-1)!);
        config = read.data;
      }
      for (const { path, method, asked } of requests()) {
        if (!isServed(asked.host, list)) continue;
        const [winner, ...others] = explain(config, path, method, asked)
          .filter(({ fit }) => isFit(fit))
          .map(({ route, fit }) => ({ route, match: route.match, fit }));
        for (const other of others) {
          contests += 1;
          if (leadOf(winner!, other) === undefined)
            expect.fail(`${winner!.route.id} and ${other.route.id} both take ${method} ${path}`);
        }
      }
    }),
    { numRuns: 60 },
  );
  expect(contests).toBeGreaterThan(100);
});
