/** What a service may hear of who asks. */
import { expect } from "vitest";
import type { Heard } from "../harness/witness.ts";

/** Names in lower case, and values. */
export type Told = Readonly<Record<string, string>>;

/** Whatever a lax server would take for a word about who asks: only letters and digits count. */
function toldIn({ fields }: Heard): [string, string][] {
  return fields.flatMap(([name, value]): [string, string][] =>
    /^x(user|auth|forwardeduser)/.test(name.replace(/[^a-z0-9]/g, "")) ? [[name, value]] : [],
  );
}

/** Nothing else is said about who asks, nor anything twice. */
export function expectTruth(heard: Heard, told: Told): void {
  const found = toldIn(heard);
  expect(Object.fromEntries(found)).toEqual(told);
  expect(found).toHaveLength(Object.keys(told).length);
  expect(JSON.stringify(heard).toLowerCase()).not.toContain("mallory");
  expect(heard.trailers).toEqual([]);
}
