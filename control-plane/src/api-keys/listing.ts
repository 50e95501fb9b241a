/** The list of API keys, page by page, oldest first. Keys are never removed, so a page always has a place to go on from. */
import { shown } from "@tocsin/shared";
import { apiKeyIdPattern, type ApiKeyId } from "@tocsin/shared/api-keys";
import type { ApiKeyEntry, ApiKeyPage, ApiKeyView } from "@tocsin/shared/contract";
import { Declined } from "../problem.ts";
import { limitOf, type Query } from "../admin/query.ts";
import type { ApiKeys } from "./api-keys.ts";
import type { LastUsed } from "./last-used.ts";

export interface KeyQuery {
  readonly limit: number;
  /** The list goes on behind this key. */
  readonly after: ApiKeyId | undefined;
  readonly principal: string | undefined;
  readonly state: ApiKeyView["state"] | undefined;
}

export const keyParameters = {
  limit: "How many: 1 to 10,000. Default 1,000.",
  after: "Go on behind this key: `next` of the page before.",
  principal: "Only keys that speak for it.",
  state: "Only keys that are active, expired or revoked.",
};

const states = ["active", "expired", "revoked"] as const;

/** @throws Declined 400 when a parameter is not understood */
export function keyQueryOf(query: Query): KeyQuery {
  const { after, principal, state } = query;
  if (after !== undefined && (typeof after !== "string" || !apiKeyIdPattern.test(after)))
    throw notUnderstood("after", after, "the id of a key");
  if (principal !== undefined && (typeof principal !== "string" || principal === ""))
    throw notUnderstood("principal", principal, "one text");
  const known = states.find((each) => each === state);
  if (state !== undefined && known === undefined)
    throw notUnderstood("state", state, states.join(", "));
  return { limit: limitOf(query), after, principal, state: known };
}

/** @throws Declined 400 when the page goes on behind a key that there is not */
export function pageOf(
  keys: Pick<ApiKeys, "entries" | "view">,
  lastUsed: Pick<LastUsed, "since">,
  { limit, after, principal, state }: KeyQuery,
): ApiKeyPage {
  const sorted = [...keys.entries()].toSorted(byAge);
  const start = after === undefined ? 0 : sorted.findIndex(({ id }) => id === after) + 1;
  if (after !== undefined && start === 0) throw notUnderstood("after", after, "the id of a key");
  const apiKeys: ApiKeyView[] = [];
  let next: ApiKeyId | undefined;
  for (const entry of sorted.slice(start)) {
    if (principal !== undefined && entry.principal !== principal) continue;
    const view = keys.view(entry);
    if (state !== undefined && view.state !== state) continue;
    if (apiKeys.length === limit) {
      next = apiKeys.at(-1)!.id;
      break;
    }
    apiKeys.push(view);
  }
  return { apiKeys, ...(next === undefined ? {} : { next }), usageSince: lastUsed.since };
}

function byAge(one: ApiKeyEntry, other: ApiKeyEntry): number {
  return one.createdAt - other.createdAt || (one.id < other.id ? -1 : 1);
}

function notUnderstood(name: string, found: unknown, allowed: string): Declined {
  return new Declined(400, "bad-request", `The parameter ${name} is not understood`, {
    detail: `Found ${shown(found)}, allowed: ${allowed}.`,
  });
}
