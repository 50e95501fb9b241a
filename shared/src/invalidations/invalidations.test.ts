import { expect, test } from "vitest";
import { Invalidations } from "./invalidations.ts";

test("what was known of a user before it was invalidated does not hold, what is learned after that does", () => {
  const invalidations = new Invalidations();
  const before = invalidations.version;
  expect(invalidations.holds("ada", before)).toBe(true);
  invalidations.forgetUser("ada");
  expect(invalidations.holds("ada", before)).toBe(false);
  expect(invalidations.holds("bob", before)).toBe(true);
  expect(invalidations.holds("ada", invalidations.version)).toBe(true);
});

test("an answer to a question that was on its way does not hold, however late it comes", () => {
  const invalidations = new Invalidations();
  const asked = invalidations.version;
  invalidations.forgetUser("ada");
  invalidations.forgetUser("bob");
  invalidations.forgetUser("ada");
  expect(invalidations.holds("ada", asked)).toBe(false);
  expect(invalidations.holds("ada", asked + 1)).toBe(false);
  expect(invalidations.holds("ada", invalidations.version)).toBe(true);
});

test("forgetting everything leaves nothing from before, of whomever", () => {
  const invalidations = new Invalidations();
  invalidations.forgetUser("ada");
  const before = invalidations.version;
  invalidations.forgetAll();
  expect(invalidations.holds("ada", before)).toBe(false);
  expect(invalidations.holds("bob", before)).toBe(false);
  expect(invalidations.size).toBe(0);
});

test("with more users than are told apart, older knowledge is stale for all, and never too little is", () => {
  const invalidations = new Invalidations(4);
  const versions = new Map<string, number>();
  for (let turn = 0; turn < 50; turn += 1) {
    const asked = invalidations.version;
    const name = `user-${turn % 7}`;
    invalidations.forgetUser(name);
    versions.set(name, invalidations.version);
    expect(invalidations.size).toBeLessThanOrEqual(4);
    for (const [user, since] of versions) {
      expect(invalidations.holds(user, since - 1), `${user} at ${turn}`).toBe(false);
      expect(invalidations.holds(user, invalidations.version)).toBe(true);
    }
    // Who was told nothing lately keeps what it has learned lately.
    expect(invalidations.holds("somebody else", asked)).toBe(true);
  }
});
