import { describe, expect, test } from "vitest";
import type { InstanceEntry, VerdictEntry } from "@tocsin/shared/contract";
import { isNeeded, quorumReason, saysQuorum, Standing } from "./standing.ts";

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

describe("what stands about an instance", () => {
  const recorded = (verdict: VerdictEntry, sequence: number, epoch = "e") => ({
    value: verdict,
    recorded: { key: `${verdict.service}.${verdict.instance}`, body: "", sequence, epoch },
  });
  const verdict = (boot: string): VerdictEntry => ({
    v: 1,
    service: "users",
    instance: "a",
    boot,
    verdict: "healthy",
    by: "node-1",
  });
  type Held = ReturnType<typeof recorded>;
  const given = (...held: Held[]) => {
    const health = new Map(held.map((one) => [one.recorded.key, one]));
    const standing = new Standing({ health } as unknown as ConstructorParameters<
      typeof Standing
    >[0]);
    const writes = (one: Held) => health.set(one.recorded.key, one);
    return { standing, writes };
  };
  const living = instance("a");

  test("counts for the life that it is about", () => {
    const { standing } = given(recorded(verdict("life-1"), 7));
    standing.review([living]);
    expect(standing.of(living)).toMatchObject({ verdict: "healthy" });
    expect(standing.of(instance("a", { boot: "life-2" }))).toBeUndefined();
    standing.review([living]);
    expect(standing.of(living)).toMatchObject({ verdict: "healthy" });
  });

  test("does not count any more when that life had ended and is said to go on", () => {
    const { standing, writes } = given(recorded(verdict("life-1"), 7));
    standing.review([living]);
    standing.review([]);
    standing.review([living]);
    expect(standing.of(living)).toBeUndefined();
    writes(recorded(verdict("life-1"), 8));
    expect(standing.of(living)).toMatchObject({ verdict: "healthy" });
  });

  test("does not count when it had ended before this node began", () => {
    const { standing } = given(recorded(verdict("life-1"), 7));
    standing.review([]);
    standing.review([living]);
    expect(standing.of(living)).toBeUndefined();
  });

  test("counts when it came before the instance did", () => {
    const { standing, writes } = given();
    standing.review([instance("b")]);
    writes(recorded(verdict("life-1"), 7));
    standing.review([instance("b")]);
    standing.review([instance("b"), living]);
    expect(standing.of(living)).toMatchObject({ verdict: "healthy" });
  });

  test("counts in another history, whatever its numbers are", () => {
    const { standing, writes } = given(recorded(verdict("life-1"), 7));
    standing.review([living]);
    standing.review([]);
    writes(recorded(verdict("life-1"), 7, "another"));
    standing.review([living]);
    expect(standing.of(living)).toMatchObject({ verdict: "healthy" });
  });
});
