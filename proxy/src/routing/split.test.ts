import { describe, expect, test } from "vitest";
import { inconsistencies, methods, Service } from "@tocsin/shared/contract";
import {
  answering,
  get,
  instanceAt,
  ok,
  startRawOrigin,
  startTestGateway,
  statusOf,
} from "../listener/gateway.fixture.ts";
import type { RawOrigin } from "../listener/gateway.fixture.ts";
import { Split } from "./split.ts";

/** Reproducible chance (mulberry32). */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let value = Math.imul(state ^ (state >>> 15), 1 | state);
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value;
    return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32;
  };
}

const policyOf = (service: string) => ({ ...Service.parse({}), service });

function count(split: Split, draws: number): Record<string, number> {
  const counts: Record<string, number> = {};
  for (let draw = 0; draw < draws; draw += 1) {
    const { service } = split.draw();
    counts[service] = (counts[service] ?? 0) + 1;
  }
  return counts;
}

test("requests are split in the proportions that are written down", () => {
  const draws = 20_000;
  const split = new Split({ users: 95, next: 4, "next-but-one": 1, off: 0 }, policyOf, {
    random: seeded(7),
    isUsable: () => true,
  });
  const counts = count(split, draws);
  expect(counts["off"]).toBeUndefined();
  for (const [service, share] of [
    ["users", 0.95],
    ["next", 0.04],
    ["next-but-one", 0.01],
  ] as const) {
    const sigma = Math.sqrt(draws * share * (1 - share));
    expect(Math.abs(counts[service]! - draws * share)).toBeLessThan(3 * sigma);
  }
});

test("a service without an instance in rotation leaves its share to the others", () => {
  const split = new Split({ users: 50, next: 50, last: 50 }, policyOf, {
    random: seeded(1),
    isUsable: (service) => service !== "next",
  });
  const counts = count(split, 2_000);
  expect(counts["next"]).toBeUndefined();
  expect(Math.abs(counts["users"]! - counts["last"]!)).toBeLessThan(200);
});

test("when none has one, the draw stands and its service answers for it", () => {
  const split = new Split({ users: 1, next: 1 }, policyOf, {
    random: seeded(3),
    isUsable: () => false,
  });
  expect(Object.keys(count(split, 200)).toSorted()).toEqual(["next", "users"]);
});

test("a canary gets its share through a whole gateway, and costs nothing when it has died", async () => {
  await using users = await startRawOrigin(answering(ok));
  await using next = await startRawOrigin(answering(ok));
  const at = (origin: RawOrigin, service: string) =>
    instanceAt(origin.port, { key: `${service}.i.1`, service });
  const canary = at(next, "next");
  await using gateway = await startTestGateway({
    to: [at(users, "users"), canary],
    random: seeded(11),
    config: {
      services: { users: null, next: null },
      routes: [
        {
          id: "users",
          match: { path: "/*" },
          service: "users",
          weights: { users: 70, next: 30 },
          auth: "none",
        },
      ],
    },
  });
  const requests = 200;
  for (let count = 0; count < requests; count += 1)
    expect(statusOf(await get(gateway.port))).toBe(200);
  const share = gateway.records.filter(({ service }) => service === "next").length;
  expect(Math.abs(share - requests * 0.3)).toBeLessThan(3 * Math.sqrt(requests * 0.3 * 0.7));
  expect(next.received().split("GET /").length - 1).toBe(share);

  gateway.setInstances(at(users, "users"), { ...canary, eligible: false });
  for (let count = 0; count < 40; count += 1) expect(statusOf(await get(gateway.port))).toBe(200);
  expect(next.received().split("GET /").length - 1).toBe(share);
});

describe("weights that were not meant are errors", () => {
  const said = (route: object) =>
    inconsistencies(
      {
        services: { users: {}, next: {} },
        routes: [{ id: "r", match: { path: "/" }, service: "users", ...route }],
      },
      methods,
    ).map(({ path, message }) => `/${path.join("/")} ${message}`);

  test.each([
    [{ users: 1, nxt: 1 }, '/routes/0/weights/nxt unknown service "nxt"'],
    [
      { next: 1 },
      `/routes/0/weights the route's own service "users" has no weight: write users: 0 when it gets nothing`,
    ],
    [{ users: 0, next: 0 }, "/routes/0/weights every weight is 0: nobody would get the requests"],
  ])("%j", (weights, problem) => {
    expect(said({ weights })).toEqual([problem]);
  });

  test("a stand-in that nobody knows", () => {
    expect(said({ fallback: { service: "nobody" } })).toEqual([
      '/routes/0/fallback/service unknown service "nobody"',
    ]);
  });

  test("and others are not", () => {
    expect(said({ weights: { users: 0, next: 1 }, fallback: { service: "next" } })).toEqual([]);
  });
});
