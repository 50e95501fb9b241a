import { describe, expect, test } from "vitest";
import type { InstanceEntry } from "@tocsin/shared/contract";
import { isNeeded, quorumReason, saysQuorum } from "./standing.ts";

const instance = (name: string, more: Partial<InstanceEntry> = {}): InstanceEntry => ({
  v: 1,
  kind: "instance",
  service: "users",
  instance: name,
  boot: "life-1",
  url: "http://127.0.0.1:1",
  weight: 1,
  state: "active",
  ...more,
});

const healthy = { verdict: "healthy" } as const;
const failing = { verdict: "unhealthy", reason: "status 500" } as const;
const out = { verdict: "unhealthy", reason: quorumReason(2, 3) } as const;

/** Who of these stays because nobody else of the service is in rotation. */
function needed(
  verdicts: Readonly<Record<string, typeof healthy | typeof failing | typeof out>>,
  more: Readonly<Record<string, Partial<InstanceEntry>>> = {},
): string[] {
  const all = Object.keys(verdicts).map((name) => instance(name, more[name]));
  return all
    .filter((one) => isNeeded(one, all, ({ instance: name }) => verdicts[name]))
    .map(({ instance: name }) => name);
}

describe("an instance is needed", () => {
  test("when it is the only one in rotation", () => {
    expect(needed({ a: healthy, b: failing })).toEqual(["a"]);
    expect(needed({ a: healthy, b: out })).toEqual(["a"]);
    expect(needed({ a: healthy })).toEqual(["a"]);
  });

  test("not when another one is", () => {
    expect(needed({ a: healthy, b: healthy })).toEqual([]);
  });

  test("when all were taken out in one moment: the first by name, and it alone", () => {
    expect(needed({ b: out, a: out, c: out })).toEqual(["a"]);
    expect(needed({ b: out, a: failing })).toContain("b");
  });

  test("although others drain, or belong to another service", () => {
    expect(needed({ a: healthy, b: healthy }, { b: { state: "draining" } })).toContain("a");
    expect(needed({ a: healthy, b: healthy }, { b: { service: "orders" } })).toContain("a");
  });
});

test("who says so can be told from the reason", () => {
  expect(saysQuorum(out.reason)).toBe(true);
  for (const reason of [failing.reason, "connect refused", "", undefined])
    expect(saysQuorum(reason)).toBe(false);
});
