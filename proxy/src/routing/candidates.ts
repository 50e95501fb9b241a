import { meets, meetsBody, unread, type Asked, type Conditions } from "./conditions.ts";
import type { Route } from "./route.ts";

/** One of the routes that share a path pattern and a method. */
export interface Candidate {
  readonly route: Route;
  readonly conditions: Conditions | undefined;
  /** How the route names the method: 2 by its name, 1 as the GET that includes HEAD, 0 by naming none. */
  readonly method: 0 | 1 | 2;
}

/** The candidates of one place, the one with the most conditions first; of equal ones the one that names the method. */
export type Candidates = readonly Candidate[];

export function withCandidate(held: Candidates | undefined, candidate: Candidate): Candidates {
  if (held === undefined) return [candidate];
  return [...held, candidate].toSorted(
    (a, b) =>
      weight(b, "headers") - weight(a, "headers") ||
      weight(b, "query") - weight(a, "query") ||
      weight(b, "body") - weight(a, "body") ||
      b.method - a.method,
  );
}

function weight({ conditions }: Candidate, of: keyof Conditions): number {
  return conditions?.[of].length ?? 0;
}

/** The next candidate in turn depends on the body, which was not read. */
export const bodyWanted = Symbol("a route depends on the body");

/** The first candidate whose conditions a request meets. @throws Refusal as {@link meets} and {@link meetsBody} */
export function choose(
  candidates: Candidates,
  asked: Asked,
): Route | typeof bodyWanted | undefined {
  for (const { route, conditions } of candidates) {
    if (conditions === undefined) return route;
    if (!meets(conditions, asked)) continue;
    if (conditions.body.length === 0) return route;
    if (asked.body === unread) return bodyWanted;
    if (asked.body !== undefined && meetsBody(conditions, asked.body)) return route;
  }
  return undefined;
}
