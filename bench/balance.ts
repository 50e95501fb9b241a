/**
 * What it costs to choose an instance: nanoseconds per choice for 1, 10 and 100 instances.
 *
 *     node bench/balance.ts
 *
 * Each figure is the best of several rounds. Nobody is out, as it is nearly always; the key of consistent-hash is a user's, which is a
 * new text each time.
 */
import { anyone } from "../proxy/src/upstream/balance/balance.ts";
import type { Balance } from "../proxy/src/upstream/balance/balance.ts";
import { ConsistentHash } from "../proxy/src/upstream/balance/consistent-hash.ts";
import { LeastRequests } from "../proxy/src/upstream/balance/least-requests.ts";
import { WeightedRoundRobin } from "../proxy/src/upstream/balance/weighted-round-robin.ts";
import type { UpstreamInstance } from "../proxy/src/upstream/instances.ts";

const rounds = 9;
const choices = 200_000;

const algorithms: Readonly<Record<string, () => Balance>> = {
  "weighted-round-robin": () => new WeightedRoundRobin(Math.random),
  "least-requests": () => new LeastRequests(Math.random, ({ weight }) => weight % 3),
  "consistent-hash": () => new ConsistentHash(),
};

function fleet(count: number): UpstreamInstance[] {
  return Array.from({ length: count }, (_, index) => ({
    key: `users.i${index}.life`,
    service: "users",
    instance: `i${index}`,
    url: "http://127.0.0.1:1",
    weight: 1 + (index % 3),
    active: true,
    eligible: true,
  }));
}

function best(balance: Balance, list: readonly UpstreamInstance[], hashed: boolean): number {
  let least = Infinity;
  let chosen = 0;
  for (let round = 0; round < rounds; round += 1) {
    const begunAt = process.hrtime.bigint();
    for (let count = 0; count < choices; count += 1) {
      const choice = hashed ? { ...anyone, key: `issuer\nuser-${count}` } : anyone;
      if (balance.pick(list, choice) !== undefined) chosen += 1;
    }
    least = Math.min(least, Number(process.hrtime.bigint() - begunAt) / choices);
  }
  if (chosen !== rounds * choices) throw new Error("somebody was not chosen");
  return Math.round(least);
}

console.table(
  Object.entries(algorithms).map(([algorithm, make]) => ({
    algorithm,
    ...Object.fromEntries(
      [1, 10, 100].map((count) => [
        `${count} instances, ns`,
        best(make(), fleet(count), algorithm === "consistent-hash"),
      ]),
    ),
  })),
);
