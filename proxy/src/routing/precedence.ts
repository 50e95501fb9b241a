/** Which of two routes comes first. The trie has this order by how it is built; here it stands in words. */
import type { RouteMatch } from "@tocsin/shared/contract";
import { segmentsOf, type Fit } from "./fit.ts";

/** Why one route comes before another. */
export type Lead =
  | { readonly kind: "host" | "path" | "method" }
  | {
      readonly kind: "headers" | "query" | "body";
      /** How many conditions of this kind the first and the second have. */
      readonly first: number;
      readonly second: number;
    };

interface Placed {
  readonly match: RouteMatch;
  readonly fit: Pick<Fit, "host" | "method">;
}

/**
 * What puts one route before another for a request that fits both. Undefined: nothing does, so only the one whose conditions are met
 * counts.
 *
 * @param one must not come behind `other`
 */
export function leadOf(one: Placed, other: Placed): Lead | undefined {
  const { kind, by } = compared(one, other);
  if (by >= 0) return undefined;
  switch (kind) {
    case "headers":
    case "query":
    case "body":
      return { kind, first: count(one, kind), second: count(other, kind) };
    default:
      return { kind };
  }
}

/** For sorting: below 0 when `one` comes first. */
export function inOrder(one: Placed, other: Placed): number {
  return compared(one, other).by;
}

function compared(
  one: Placed,
  other: Placed,
): { readonly kind: Lead["kind"]; readonly by: number } {
  const byHost = hostRank(other.fit.host) - hostRank(one.fit.host);
  // Two names are no more specific than each other (infinity minus infinity).
  if (byHost !== 0 && !Number.isNaN(byHost)) return { kind: "host", by: byHost };
  const byPath = pathOrder(one.match.path, other.match.path);
  if (byPath !== 0) return { kind: "path", by: byPath };
  for (const kind of ["headers", "query", "body"] as const) {
    const by = count(other, kind) - count(one, kind);
    if (by !== 0) return { kind, by };
  }
  return { kind: "method", by: (other.fit.method ?? 0) - (one.fit.method ?? 0) };
}

function count({ match }: Placed, kind: "headers" | "query" | "body"): number {
  return Object.keys(match[kind] ?? {}).length;
}

/** The name itself, then `*.domain` from the longest on, then every host; those that the host does not fit are not tried at all. */
function hostRank(pattern: string | undefined): number {
  if (pattern === undefined) return -1;
  if (pattern === "*") return 0;
  return pattern.startsWith("*.") ? pattern.length : Infinity;
}

/** From left to right: text before a parameter before the rest; a pattern that ends before one that goes on with `*`. */
function pathOrder(one: string, other: string): number {
  const [a, b] = [segmentsOf(one), segmentsOf(other)];
  for (let index = 0; index < Math.max(a.length, b.length); index += 1) {
    const by = segmentRank(a, index) - segmentRank(b, index);
    if (by !== 0) return by;
  }
  return 0;
}

function segmentRank(segments: readonly string[], index: number): number {
  const segment = segments[index];
  if (segment === undefined) return 2;
  if (segment === "*" && index === segments.length - 1) return 3;
  return segment.startsWith("{") ? 1 : 0;
}
