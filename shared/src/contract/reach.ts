/**
 * Routes that no request can reach, because routes that come before them take all of their requests.
 *
 * Decided by structure: by hosts (routes of a host come first, so one for every host is hidden where each host that is served has
 * routes of its own), by path patterns that contain one another, by methods, and by conditions that another route has too. More
 * conditions alone hide nothing: a request without them is left for the others.
 */
import type { Claim } from "./route-match.ts";

/** A route as others may hide it. */
export interface Reach {
  /** For messages. */
  readonly name: string;
  readonly claim: Claim;
  readonly methods: ReadonlySet<string>;
  /** It comes behind all routes of every host. */
  readonly last: boolean;
}

/** @param everyMethod it takes methods too that nobody names */
export function reachOf(name: string, claim: Claim, everyMethod: boolean, last = false): Reach {
  const methods = new Set(claim.methods);
  // RFC 9110 §9.3.2: HEAD is GET without the content.
  if (methods.has("GET")) methods.add("HEAD");
  if (everyMethod) methods.add(otherMethods);
  return { name, claim, methods, last };
}

/** What stands for the methods that nobody names. */
const otherMethods = "*";

/** Path patterns of one host, by segment. */
interface Branch {
  readonly next: Map<string, Branch>;
  /** Of patterns that end here. */
  readonly here: Reach[];
  /** Of patterns that go on with `*`. */
  readonly rest: Reach[];
}

/**
 * @param routes all routes of a config
 * @param served host patterns that are served; undefined: every host
 * @returns names the routes that take all requests of one; undefined when some request reaches it
 */
export function hiding(
  routes: readonly Reach[],
  served: readonly string[] | undefined,
): (route: Reach) => readonly string[] | undefined {
  const tables = new Map<string, Branch>();
  for (const route of routes) for (const host of route.claim.hosts) grow(tables, host, route);
  return (route) => {
    const names = new Set<string>();
    for (const pattern of route.claim.hosts)
      for (const host of samples(pattern, served))
        for (const method of route.methods) {
          const by = hidden(tables, route, pattern, host, method);
          if (by.length === 0) return undefined;
          for (const { name } of by) names.add(name);
        }
    return names.size === 0 ? undefined : [...names];
  };
}

/** Those that take what a route would get at a host by a method; none: the route gets it. */
function hidden(
  tables: ReadonlyMap<string, Branch>,
  route: Reach,
  pattern: string,
  host: string,
  method: string,
): readonly Reach[] {
  const segments = segmentsOf(route.claim.path);
  const takes = (other: Reach) =>
    other !== route && other.methods.has(method) && implies(route.claim, other.claim);
  const rank = route.last ? -1 : rankOf(pattern);
  for (const [key, table] of tables) {
    if (rankOf(key) <= rank || !within(host, key)) continue;
    const taker = containing(table, segments, 0, takes);
    if (taker !== undefined) return [taker];
  }
  const own = route.last ? undefined : tables.get(pattern);
  if (own === undefined || segments.at(-1) !== "*") return [];
  const base = segments
    .slice(0, -1)
    .reduce<Branch | undefined>((at, text) => at?.next.get(text), own);
  return base === undefined ? [] : allBelow(base, takes);
}

/** A claim whose pattern takes all paths of another pattern. */
function containing(
  at: Branch,
  segments: readonly string[],
  index: number,
  takes: (other: Reach) => boolean,
): Reach | undefined {
  const rest = at.rest.find(takes);
  if (rest !== undefined || index === segments.length) return rest ?? at.here.find(takes);
  const segment = segments[index]!;
  // Only another `*` takes all of what `*` takes.
  if (segment === "*") return undefined;
  for (const text of segment === "{}" ? ["{}"] : [segment, "{}"]) {
    const next = at.next.get(text);
    const found = next && containing(next, segments, index + 1, takes);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Of `/a/*` nothing is left when others take `/a`, and all of `/a/{x}/*`: they are more specific. None: something is left. */
function allBelow(at: Branch, takes: (other: Reach) => boolean): readonly Reach[] {
  const here = at.here.find(takes);
  const next = at.next.get("{}");
  if (here === undefined || next === undefined) return [];
  const rest = next.rest.find(takes);
  const below = rest === undefined ? allBelow(next, takes) : [rest];
  return below.length === 0 ? [] : [here, ...below];
}

/** Whatever meets the conditions of one meets those of the other. */
function implies(one: Claim, other: Claim): boolean {
  return (["headers", "query", "body"] as const).every((of) =>
    Object.entries(other[of]).every(
      ([name, value]) => Object.hasOwn(one[of], name) && (value === "*" || one[of][name] === value),
    ),
  );
}

/** Hosts that stand for all that a pattern and the served ones have in common; `*.domain` for those below it that nobody names. */
function samples(pattern: string, served: readonly string[] | undefined): readonly string[] {
  if (served === undefined) return [pattern];
  const common = served.flatMap((each) =>
    within(each, pattern) ? [each] : within(pattern, each) ? [pattern] : [],
  );
  return [...new Set(common)];
}

function within(host: string, pattern: string): boolean {
  if (pattern === "*" || pattern === host) return true;
  return (
    pattern.startsWith("*.") && host !== "*" && host.replace(/^\*/, "").endsWith(pattern.slice(1))
  );
}

/** The routes of a name come first, then those of `*.domain`, the longest first, then those of every host. */
function rankOf(pattern: string): number {
  if (pattern === "*") return 0;
  return pattern.startsWith("*.") ? pattern.length : Infinity;
}

function grow(tables: Map<string, Branch>, host: string, route: Reach): void {
  const segments = segmentsOf(route.claim.path);
  const open = segments.at(-1) === "*";
  let at = grown(tables, host);
  for (const segment of open ? segments.slice(0, -1) : segments) at = grown(at.next, segment);
  (open ? at.rest : at.here).push(route);
}

function grown(branches: Map<string, Branch>, key: string): Branch {
  const known = branches.get(key);
  if (known !== undefined) return known;
  const made: Branch = { next: new Map(), here: [], rest: [] };
  branches.set(key, made);
  return made;
}

/** A parameter is `{}` whatever it is called, and a slash at the end means nothing. */
function segmentsOf(path: string): readonly string[] {
  const segments = path.slice(1).split("/");
  if (segments.at(-1) === "") segments.pop();
  return segments.map((segment) => (segment.startsWith("{") ? "{}" : segment));
}
