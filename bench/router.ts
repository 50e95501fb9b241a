/**
 * The routing trie against find-my-way: time per match with 10, 1,000 and 10,000 routes.
 *
 *     node bench/router.ts [routes that get the traffic, default 64]
 *
 * Each figure is the best of several rounds; both match the same paths, half of them with a parameter, and find the same route.
 */
import findMyWay from "find-my-way";
import { Trie } from "../proxy/src/routing/trie.ts";

const rounds = 9;
const matchesPerRound = 300_000;
/** Routes that get the traffic, spread over all of them. */
const hotRoutes = Number(process.argv[2] ?? 64);

interface Pattern {
  readonly mine: string;
  readonly theirs: string;
  readonly path: string;
}

function patterns(count: number): Pattern[] {
  return Array.from({ length: count }, (_, index) => {
    const base = `/api/service-${index % 97}/resource-${index}`;
    return index % 2 === 0
      ? { mine: `${base}/{id}/items`, theirs: `${base}/:id/items`, path: `${base}/4711/items` }
      : { mine: `${base}/profile`, theirs: `${base}/profile`, path: `${base}/profile` };
  });
}

function best(run: () => void): number {
  let least = Infinity;
  for (let round = 0; round < rounds; round += 1) {
    const begunAt = process.hrtime.bigint();
    run();
    least = Math.min(least, Number(process.hrtime.bigint() - begunAt) / matchesPerRound);
  }
  return least;
}

const rows = [10, 1_000, 10_000].map((count) => {
  const list = patterns(count);
  const trie = new Trie<number>((index) => index);
  const router = findMyWay();
  for (const [index, { mine, theirs }] of list.entries()) {
    trie.add(mine, "GET", () => index);
    router.on("GET", theirs, () => {}, { index });
  }
  // A request's path is a new text each time; so are these, or a hash that is remembered would flatter both.
  const paths = Array.from(
    { length: 4_096 },
    (_, index) => list[((index % hotRoutes) * 7_919) % list.length]!.path,
  );
  const fresh = () => paths.map((path) => Buffer.from(path).toString("latin1"));
  for (const [index, path] of paths.entries()) {
    const expected = ((index % hotRoutes) * 7_919) % list.length;
    if (trie.find(path, "GET") !== expected || router.find("GET", path)?.store.index !== expected)
      throw new Error(`not the same: ${path}`);
  }
  let sum = 0;
  const measure = (match: (path: string) => number) => {
    let given = fresh();
    return best(() => {
      for (let left = matchesPerRound; left > 0; left -= given.length) {
        for (const path of given) sum += match(path);
      }
      given = fresh();
    });
  };
  const trieNs = measure((path) => trie.find(path, "GET")!);
  const findMyWayNs = measure((path) => router.find("GET", path)!.store.index as number);
  if (Number.isNaN(sum)) throw new Error("nothing was matched");
  return {
    routes: count,
    "trie, ns": Math.round(trieNs),
    "find-my-way, ns": Math.round(findMyWayNs),
    ratio: Number((trieNs / findMyWayNs).toFixed(2)),
  };
});

console.table(rows);
