import { CatalogueEntry, assertCatalogueKey } from "@tocsin/shared/contract";
import type { Recorded } from "@tocsin/shared/journal";
import { expect, test } from "vitest";
import { KeyedEntries } from "./entries.ts";

const config = (sequence: number, epoch = "a"): Recorded => ({
  key: "config",
  body: JSON.stringify({ v: 1, kind: "config", revision: sequence, document: {}, source: "" }),
  sequence,
  epoch,
});
const poison = (sequence: number, epoch = "a"): Recorded => ({
  ...config(sequence, epoch),
  body: "{",
});

test("what cannot be read is passed over, and a write of its key expects it all the same", () => {
  const entries = new KeyedEntries({ schema: CatalogueEntry, assertKey: assertCatalogueKey });
  entries.apply(entries.decode(config(1)));
  expect(() => entries.decode(poison(2))).toThrow(/JSON/);
  expect(entries.get("config")?.recorded).toEqual(config(1));
  expect(entries.sequenceOf("config")).toBe(2);
  entries.apply(entries.decode(config(3)));
  expect(entries.sequenceOf("config")).toBe(3);
});

test("what could not be read in another history is not expected in this one", () => {
  const entries = new KeyedEntries({ schema: CatalogueEntry, assertKey: assertCatalogueKey });
  entries.apply(entries.decode(config(1)));
  expect(() => entries.decode(poison(2))).toThrow(/JSON/);
  entries.load([]);
  expect(entries.sequenceOf("config")).toBe(0);

  // Of this one it is: a snapshot of which nothing else could be read.
  expect(() => entries.decode(poison(7, "b"))).toThrow(/JSON/);
  entries.load([]);
  expect(entries.sequenceOf("config")).toBe(7);
});
