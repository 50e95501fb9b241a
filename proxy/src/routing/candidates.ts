import { meets, type Asked, type Conditions } from "./conditions.ts";
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
  return [...(held ?? []), candidate].toSorted(
    (a, b) =>
      weight(b, "headers") - weight(a, "headers") ||
      weight(b, "query") - weight(a, "query") ||
      b.method - a.method,
  );
}

function weight({ conditions }: Candidate, of: keyof Conditions): number {
  return conditions?.[of].length ?? 0;
}

/** The first candidate whose conditions a request meets. @throws Refusal as {@link meets} */
export function choose(candidates: Candidates, asked: Asked): Route | undefined {
  for (const { route, conditions } of candidates)
    if (conditions === undefined || meets(conditions, asked)) return route;
  return undefined;
}
