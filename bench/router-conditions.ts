/**
 * The whole router, as requests meet it: time per decision with 10, 1,000 and 10,000 routes of several kinds.
 *
 *     node bench/router-conditions.ts [requests that are told apart, default 64]
 *
 * `paths`: path and method alone. `hosts`: the routes belong to 97 hosts. `conditions`: three routes a path, one by a field, one by a
 * query parameter, one for the rest; a third of the requests takes each. `bodies`: two routes a path, one by a member of the body,
 * which was read before (a document of 60 bytes; reading it costs the same whatever the routes are). Each figure is the best of
 * several rounds, which take turns, so that a slow moment of the machine hits all alike.
 */
import { Config } from "@tocsin/shared/contract";
import type { Asked } from "../proxy/src/routing/conditions.ts";
import { JsonBody } from "../proxy/src/routing/json-body.ts";
import { createRouter } from "../proxy/src/routing/router.ts";
import type { Router } from "../proxy/src/routing/router.ts";

const rounds = 15;
const decisionsPerRound = 100_000;
const hotRequests = Number(process.argv[2] ?? 64);
const counts = [10, 1_000, 10_000];

interface Wanted {
  readonly path: string;
  readonly method: string;
  readonly asked: Asked;
  readonly id: string;
}

type Kind = (index: number) => { readonly match: object; readonly request: Partial<Asked> };

const pathOf = (index: number) => `/api/service-${index % 97}/resource-${index}`;

const kinds: Readonly<Record<string, Kind>> = {
  paths: (index) => ({ match: { path: `${pathOf(index)}/{id}` }, request: {} }),
  hosts: (index) => ({
    match: { path: `${pathOf(index)}/{id}`, hosts: [`host-${index % 97}.test`] },
    request: { host: `host-${index % 97}.test:8080` },
  }),
  conditions: (index) => {
    const path = `${pathOf(index - (index % 3))}/{id}`;
    if (index % 3 === 0)
      return {
        match: { path, headers: { "x-version": "2" } },
        request: { fields: ["accept", "*/*", "user-agent", "bench", "X-Version", "2"] },
      };
    if (index % 3 === 1)
      return { match: { path, query: { preview: "on" } }, request: { target: "/?a=1&preview=on" } };
    return { match: { path }, request: { fields: ["accept", "*/*", "user-agent", "bench"] } };
  },
  bodies: (index) => {
    const path = `${pathOf(index - (index % 2))}/{id}`;
    const body = (plan: string) =>
      new JsonBody(Buffer.from(`{"customer":{"name":"Ada"},"plan":"${plan}","items":[1,2,3]}`));
    return index % 2 === 0
      ? { match: { path, body: { "/plan": "premium" } }, request: { body: body("premium") } }
      : { match: { path }, request: { body: body("free") } };
  },
};

interface Candidate {
  readonly router: Router;
  readonly wanted: readonly Wanted[];
  least: number;
}

function candidate(kind: Kind, count: number): Candidate {
  const made = Array.from({ length: count }, (_, index) => kind(index));
  const config = Config.parse({
    version: 1,
    services: { a: null },
    routes: made.map(({ match }, index) => ({ id: `r${index}`, match, service: "a" })),
  });
  const wanted = Array.from({ length: 4_096 }, (_, index): Wanted => {
    const at = ((index % hotRequests) * 7_919) % count;
    const path = config.routes[at]!.match.path.replace("{id}", "4711");
    return {
      path,
      method: "POST",
      asked: {
        host: "host.test",
        fields: ["accept", "*/*", "user-agent", "bench"],
        target: path,
        body: undefined,
        ...made[at]!.request,
      },
      id: `r${at}`,
    };
  });
  return {
    router: createRouter(config, () => ({ of: () => undefined })),
    wanted,
    least: Infinity,
  };
}

function round({ router, wanted }: Candidate): number {
  // A request's path is a new text each time; so are these, or a hash that is remembered would flatter.
  const requests = wanted.map((each) => ({
    ...each,
    path: Buffer.from(each.path).toString("latin1"),
  }));
  let right = 0;
  const begunAt = process.hrtime.bigint();
  for (let left = decisionsPerRound; left > 0; left -= requests.length)
    for (const { path, method, asked, id } of requests) {
      const route = router.find(path, method, asked);
      if (typeof route === "object" && route.id === id) right += 1;
    }
  const took = Number(process.hrtime.bigint() - begunAt);
  const done = Math.ceil(decisionsPerRound / requests.length) * requests.length;
  if (right !== done) throw new Error(`${done - right} requests took another route`);
  return took / done;
}

const rows = Object.entries(kinds).map(([name, kind]) => {
  const candidates = counts.map((count) => candidate(kind, count));
  for (let index = 0; index < rounds; index += 1)
    for (const each of candidates) each.least = Math.min(each.least, round(each));
  const [first, , last] = candidates.map(({ least }) => least);
  return {
    kind: name,
    ...Object.fromEntries(
      candidates.map(({ least }, index) => [`${counts[index]}, ns`, Math.round(least)]),
    ),
    "10,000 to 10": Number((last! / first!).toFixed(2)),
  };
});

console.table(rows);
