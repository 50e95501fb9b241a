/**
 * Why a request takes a route, and why it takes no other: what the router knows at once, found out step by step and put in words that
 * a program can read. The router decides; this only explains, and tests hold both against each other.
 */
import type { Config } from "@tocsin/shared/contract";
import type { Asked } from "./conditions.ts";
import { fitOf, isFit, type Fit } from "./fit.ts";
import { inOrder, leadOf, type Lead } from "./precedence.ts";

type ConfigRoute = Config["routes"][number];

/** A route whose path a request fits, and whether it takes the request. */
export interface Verdict {
  readonly route: ConfigRoute;
  readonly fit: Fit;
  /** It takes the request. */
  readonly taken: boolean;
  /** What puts the route that takes the request before this one, which would take it too. */
  readonly behind: Lead | undefined;
}

/**
 * Every written route whose path fits, in the order in which they are tried.
 *
 * @param path in one spelling
 */
export function explain(
  config: Pick<Config, "routes">,
  path: string,
  method: string,
  asked: Asked,
): readonly Verdict[] {
  const fits = config.routes
    .map((route) => ({ route, match: route.match, fit: fitOf(route.match, path, method, asked) }))
    .filter(({ fit }) => fit.parameters !== undefined)
    .toSorted(inOrder);
  const winner = fits.find(({ fit }) => isFit(fit));
  return fits.map((each) => ({
    route: each.route,
    fit: each.fit,
    taken: each === winner,
    behind:
      winner === undefined || each === winner || !isFit(each.fit)
        ? undefined
        : leadOf(winner, each),
  }));
}
