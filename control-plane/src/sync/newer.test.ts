import { expect, test } from "vitest";
import type { ApiKeyEntry } from "@tocsin/shared/contract";
import { newer } from "./newer.ts";

const key = (revision: number, revokedAt?: number): ApiKeyEntry => ({
  v: 1,
  kind: "api-key",
  id: "abcdefgh2345",
  revision,
  principal: "billing",
  roles: [],
  scopes: [],
  limits: [],
  createdAt: 1,
  secrets: [{ hash: "A".repeat(43), issuedAt: 1 }],
  ...(revokedAt === undefined ? {} : { revokedAt }),
});

test("of two entries of a key the one that was changed more often is newer, and a revoked one whatever the other says", () => {
  expect(newer(key(2), key(1))).toBe(true);
  expect(newer(key(1), key(2))).toBe(false);
  expect(newer(key(2), key(2))).toBeUndefined();
  expect(newer(key(2, 5), key(9))).toBe(true);
  expect(newer(key(9), key(2, 5))).toBe(false);
  expect(newer(key(3, 5), key(2, 5))).toBe(true);
});

test("a config goes by its revision, a leader by its term, and different kinds by neither", () => {
  const leader = (term: number) => ({ v: 1, kind: "leader", node: "n", boot: "b", term }) as const;
  const config = (revision: number) =>
    ({ v: 1, kind: "config", revision, document: {}, source: "" }) as const;
  expect(newer(leader(2), leader(1))).toBe(true);
  expect(newer(config(1), config(2))).toBe(false);
  expect(newer(config(1), leader(2))).toBeUndefined();
});
