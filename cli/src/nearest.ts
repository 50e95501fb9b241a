import type { Config } from "@tocsin/shared/contract";

type ConfigRoute = Config["routes"][number];

export interface Near {
  readonly route: ConfigRoute;
  readonly text: string;
}

const atMost = 3;

/** Routes whose path nearly fits: for a request that fits no path at all. */
export function nearest(routes: readonly ConfigRoute[], path: string): Near[] {
  const found = segmentsOf(path);
  return routes
    .map((route) => ({ route, shared: shared(segmentsOf(route.match.path), found) }))
    .filter(({ route, shared }) => shared > 0 && route.match.path !== "/*")
    .toSorted((a, b) => b.shared - a.shared)
    .slice(0, atMost)
    .map(({ route, shared }) => ({
      route,
      text: textOf(segmentsOf(route.match.path), found, shared),
    }));
}

/** How many segments from the left on are alike, the case of letters aside. */
function shared(pattern: readonly string[], found: readonly string[]): number {
  const end = pattern.findIndex((segment, index) => !alike(segment, found[index]));
  return end === -1 ? pattern.length : end;
}

function alike(segment: string, found: string | undefined): boolean {
  if (segment === "*") return true;
  if (found === undefined) return false;
  return segment.startsWith("{") || segment.toLowerCase() === found.toLowerCase();
}

function textOf(pattern: readonly string[], found: readonly string[], count: number): string {
  const wanted = pattern[count];
  const next = found[count];
  if (wanted !== undefined)
    return `path: wants ${wanted} as segment ${count + 1}, found ${next ?? "none"}`;
  if (next !== undefined && pattern.at(-1) !== "*") return `path: ends before ${next}`;
  return "path: differs in the case of letters";
}

function segmentsOf(path: string): string[] {
  return path.split("/").filter((segment) => segment !== "");
}
