/** What is asked in the query of a call. What is not understood is refused: a trial must never turn out to be the real thing. */
import { parseDuration, type Milliseconds, shown } from "@tocsin/shared";
import { Declined } from "../problem.ts";

/** As Fastify reads it: a parameter that stands twice is a list. */
export type Query = Readonly<Record<string, unknown>>;

/** How long an order waits for the proxies when nothing is said, in milliseconds. */
const defaultWaitMs: Milliseconds = 2_000;
const longestWaitMs: Milliseconds = 60_000;

/** `?wait=2s`; `0`: not at all. @throws Declined 400 when it is no duration, or longer than a minute */
export function waitOf({ wait }: Query): Milliseconds {
  if (wait === undefined) return defaultWaitMs;
  const waitMs = wait === "0" ? 0 : typeof wait === "string" ? parseDuration(wait) : undefined;
  if (waitMs === undefined || waitMs > longestWaitMs) {
    throw new Declined(400, "bad-request", "The wait is not understood", {
      detail: `Found ${shown(wait)}, allowed: 0, or a duration up to 1m (2s, 500ms).`,
    });
  }
  return waitMs;
}

/** `?dryRun=true`. @throws Declined 400 when it is neither true nor false */
export function dryRunOf({ dryRun }: Query): boolean {
  if (dryRun === undefined || dryRun === "false") return false;
  if (dryRun === "true") return true;
  throw new Declined(400, "bad-request", "The dry run is not understood", {
    detail: `Found ${shown(dryRun)}, allowed: true, false. Nothing was changed.`,
  });
}

/** How many a page of a list has when nothing is said, and at most. */
const defaultLimit = 1_000;
const maxLimit = 10_000;

/** `?limit=` (1 to 10,000, default 1,000) and `?after=` (default 0). @throws Declined 400 when one of them is no such number */
export function pageQueryOf({ limit, after }: Query): { limit: number; after: number } {
  return {
    limit: limitOf({ limit }),
    after: numberOf("after", after, 0, Number.MAX_SAFE_INTEGER) ?? 0,
  };
}

/** `?limit=` alone. @throws Declined 400 when it is no such number */
export function limitOf({ limit }: Query): number {
  return numberOf("limit", limit, 1, maxLimit) ?? defaultLimit;
}

/** `?reason=`. @throws Declined 400 when it is too long */
export function reasonOf({ reason }: Query): { reason?: string } {
  if (reason === undefined) return {};
  if (typeof reason === "string" && reason.length <= 200) return { reason };
  throw new Declined(400, "bad-request", "The reason is not understood", {
    detail: "Allowed: one text of at most 200 characters.",
  });
}

function numberOf(name: string, text: unknown, least: number, most: number): number | undefined {
  if (text === undefined) return undefined;
  const number = typeof text === "string" && /^\d{1,16}$/.test(text) ? Number(text) : NaN;
  if (number >= least && number <= most) return number;
  throw new Declined(400, "bad-request", `The parameter ${name} is not understood`, {
    detail: `Found ${shown(text)}, allowed: a whole number from ${least} to ${most}.`,
  });
}

/** @throws Declined 400 naming the parameters that a call does not take */
export function checkParameters(query: Query, known: readonly string[]): void {
  const unknown = Object.keys(query).filter((name) => !known.includes(name));
  if (unknown.length === 0) return;
  throw new Declined(400, "bad-request", "This call does not take that parameter", {
    detail: `Found ${unknown.map(shown).join(", ")}, allowed: ${known.length === 0 ? "none" : known.join(", ")}. Nothing was changed.`,
  });
}
