/** API keys come with the catalogue, stay over a restart, and go when a snapshot does not have them. */
import { expect, test } from "vitest";
import { digestOfKey, freshApiKeyId, freshKey } from "@tocsin/shared/api-keys";
import type { ApiKeyEntry } from "@tocsin/shared/contract";
import { createCatalogueTable, type CatalogueTable } from "./catalogue-table.ts";
import { loadKeyed } from "./keyed-entries.ts";

const tableOf = () => createCatalogueTable({ onConfig() {}, onService() {}, onGone() {} });

function made(more: Partial<ApiKeyEntry> = {}): { key: string; entry: ApiKeyEntry } {
  const id = freshApiKeyId();
  const key = freshKey(id);
  const entry: ApiKeyEntry = {
    v: 1,
    kind: "api-key",
    id,
    revision: 1,
    principal: "billing",
    roles: [],
    scopes: [],
    limits: [],
    createdAt: 1,
    secrets: [{ hash: digestOfKey(key), issuedAt: 1 }],
    ...more,
  };
  return { key, entry };
}

const recorded = (entry: ApiKeyEntry, sequence: number) => ({
  key: `api-key.${entry.id}`,
  body: JSON.stringify(entry),
  sequence,
  epoch: "e",
});

function put(table: CatalogueTable, entry: ApiKeyEntry, sequence: number): void {
  table.apply(table.decode(recorded(entry, sequence)), sequence);
}

const knows = ({ apiKeys }: CatalogueTable, key: string) =>
  apiKeys.find(digestOfKey(key)) !== undefined;

test("a key is found from the entry on, by its newest secrets alone", () => {
  const table = tableOf();
  const { key, entry } = made();
  expect(knows(table, key)).toBe(false);
  put(table, entry, 1);
  expect(knows(table, key)).toBe(true);
  const other = freshKey(entry.id);
  put(table, { ...entry, secrets: [{ hash: digestOfKey(other), issuedAt: 2 }] }, 2);
  expect([knows(table, key), knows(table, other)]).toEqual([false, true]);
});

test("a key that is gone is not found", () => {
  const table = tableOf();
  const { key, entry } = made();
  put(table, entry, 1);
  const gone = { v: 1, kind: "gone" };
  const body = JSON.stringify(gone);
  table.apply(table.decode({ ...recorded(entry, 2), body }), 2);
  expect(knows(table, key)).toBe(false);
  expect(table.apiKeys.size).toBe(0);
});

test("a snapshot is all there is, and what was kept on disk comes back", () => {
  const table = tableOf();
  const [one, two, three] = [made(), made(), made()];
  put(table, one.entry, 1);
  put(table, two.entry, 2);
  const before = tableOf();
  loadKeyed(before, table.dump(), "e");
  expect([knows(before, one.key), knows(before, two.key)]).toEqual([true, true]);
  const snapshot = [two, three].map(({ entry }, index) => {
    const entryAsRecorded = recorded(entry, index + 5);
    return {
      change: table.decode(entryAsRecorded),
      key: entryAsRecorded.key,
      sequence: entryAsRecorded.sequence,
    };
  });
  table.load(snapshot);
  expect([one, two, three].map(({ key }) => knows(table, key))).toEqual([false, true, true]);
});

test("an entry under the key of another, or with a field that is not known, is refused", () => {
  const table = tableOf();
  const { entry } = made();
  const other = { ...recorded(entry, 1), key: `api-key.${freshApiKeyId()}` };
  expect(() => table.decode(other)).toThrow("api-key");
  const strange = { ...recorded(entry, 1), body: JSON.stringify({ ...entry, only: "mondays" }) };
  expect(() => table.decode(strange)).toThrow("only");
});
