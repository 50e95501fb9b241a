import { expect, test } from "vitest";
import { coresOf } from "./placement.ts";
import { spreadOf } from "./statistics.ts";
import type { Measured } from "./runner.ts";
import { judge } from "./targets.ts";

test("the median of an odd number of runs is the one in the middle, of an even number between the two", () => {
  expect(spreadOf([30, 10, 20])).toEqual({ median: 20, min: 10, max: 30 });
  expect(spreadOf([40, 10, 20, 30])).toEqual({ median: 25, min: 10, max: 40 });
  expect(spreadOf([7])).toEqual({ median: 7, min: 7, max: 7 });
});

test("the kernel's lists of cores are read", () => {
  expect(coresOf("0-1")).toEqual([0, 1]);
  expect(coresOf("2")).toEqual([2]);
  expect(coresOf("0,4-6,9")).toEqual([0, 4, 5, 6, 9]);
});

test("a bound is judged by the medians of the same run, and left out when its peer was not there", () => {
  const measured = (name: string, median: number): Measured => ({
    name,
    title: name,
    cpuMicrosPerRequest: { median, min: median, max: median },
    requestsPerSecond: { median: 1, min: 1, max: 1 },
    p99Micros: { median: 1, min: 1, max: 1 },
    idleResidentBytes: 0,
    residentBytes: 0,
    runs: [],
  });
  const tocsin = measured("tocsin-open", 30);
  expect(judge("tocsin-open", [tocsin, measured("fastify-http-proxy", 60)])).toEqual({
    must: { times: 0.55, of: "fastify-http-proxy", ratio: 0.5, met: true },
  });
  expect(judge("tocsin-open", [tocsin, measured("nginx", 10)])).toEqual({
    aim: { times: 2.5, of: "nginx", ratio: 3, met: false },
  });
  expect(judge("nginx", [tocsin, measured("nginx", 10)])).toEqual({});
});
