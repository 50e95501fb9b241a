import { Refusal } from "@tocsin/shared";
import { bodyless } from "@tocsin/shared/contract";
import type { RouteMatch } from "@tocsin/shared/contract";
import { conditionsOf, field, parameter, parametersOf, unread } from "./conditions.ts";
import type { Asked } from "./conditions.ts";
import { hostList } from "./hosts.ts";
import { structure } from "./json-body.ts";
import { spelled } from "./trie.ts";

/** One condition of a route, and what a request has there. */
export interface Check {
  readonly of: "header" | "query" | "body";
  /** Name of the field or the parameter, or a JSON pointer. */
  readonly name: string;
  /** `*`: any value. */
  readonly wanted: string | number | boolean;
  /** Undefined: nothing, or no plain value. */
  readonly found: string | number | boolean | undefined;
  /** What there is instead of a plain value. */
  readonly instead: "null" | "an object or a list" | "two values" | undefined;
  readonly met: boolean;
}

/** How the match of one route and one request go together. Says the same as the trie, but about one route alone and about all of it. */
export interface Fit {
  /** The pattern of the route that the host fits, the most specific one; `*` when it takes every host. Undefined: none. */
  readonly host: string | undefined;
  /** Values of the pattern's parameters, as they stand in the path. Undefined: the path does not fit. */
  readonly parameters: Readonly<Record<string, string>> | undefined;
  /** 2: named. 1: the GET that includes HEAD. 0: every method. Undefined: the method does not fit. */
  readonly method: 0 | 1 | 2 | undefined;
  readonly checks: readonly Check[];
}

export function isFit({ host, parameters, method, checks }: Fit): boolean {
  return (
    host !== undefined &&
    parameters !== undefined &&
    method !== undefined &&
    checks.every(({ met }) => met)
  );
}

export function fitOf(match: RouteMatch, path: string, method: string, asked: Asked): Fit {
  return {
    host: hostFor(match.hosts, asked.host),
    parameters: parametersIn(match.path, path),
    method: methodFor(match, method),
    checks: checksOf(match, method, asked),
  };
}

function hostFor(patterns: readonly string[] | undefined, host: string): string | undefined {
  if (patterns === undefined) return "*";
  const fitting = patterns.filter((pattern) => hostList([pattern])(host));
  const specific = (pattern: string) => (pattern.startsWith("*.") ? pattern.length : Infinity);
  return fitting.toSorted((a, b) => (specific(b) > specific(a) ? 1 : -1))[0]?.toLowerCase();
}

/** Segments of a path or a pattern; a slash at the end means nothing. */
export function segmentsOf(path: string): string[] {
  const segments = path.slice(1).split("/");
  if (segments.at(-1) === "") segments.pop();
  return segments;
}

function parametersIn(pattern: string, path: string): Record<string, string> | undefined {
  const wanted = segmentsOf(pattern);
  const found = segmentsOf(path);
  const parameters: Record<string, string> = {};
  for (const [index, segment] of wanted.entries()) {
    if (segment === "*" && index === wanted.length - 1) {
      parameters["*"] = found.slice(index).join("/");
      return parameters;
    }
    const text = found[index];
    if (text === undefined) return undefined;
    if (segment.startsWith("{")) {
      if (text === "") return undefined;
      parameters[segment.slice(1, -1)] = text;
    } else if (text !== spelled(segment)) return undefined;
  }
  return found.length === wanted.length ? parameters : undefined;
}

function methodFor({ methods, body }: RouteMatch, method: string): Fit["method"] {
  if (body !== undefined && bodyless.has(method)) return undefined;
  if (methods === undefined) return 0;
  if (methods.some((each) => each === method)) return 2;
  return method === "HEAD" && methods.includes("GET") ? 1 : undefined;
}

function checksOf(match: RouteMatch, method: string, asked: Asked): Check[] {
  const conditions = conditionsOf(match);
  if (conditions === undefined) return [];
  const parameters = parametersOf(asked.target);
  const checks: Check[] = [];
  const check = (
    of: Check["of"],
    name: string,
    wanted: string | number | boolean | undefined,
    find: () => unknown,
  ) => {
    const found = valueOf(find);
    const met = found.there && (wanted === undefined || wanted === found.value);
    checks.push({
      of,
      name,
      wanted: wanted ?? "*",
      found: found.value,
      instead: found.instead,
      met,
    });
  };
  for (const { name, value } of conditions.headers)
    check("header", name, value, () => field(asked.fields, name));
  for (const { name, value } of conditions.query)
    check("query", name, value, () => parameter(parameters, name));
  for (const { pointer, value } of conditions.body)
    check("body", pointer.text, value, () =>
      asked.body === undefined || asked.body === unread || bodyless.has(method)
        ? undefined
        : asked.body.at(pointer),
    );
  return checks;
}

interface Found extends Pick<Check, "instead"> {
  readonly there: boolean;
  readonly value: Check["found"];
}

function valueOf(find: () => unknown): Found {
  let value: unknown;
  try {
    value = find();
  } catch (thrown) {
    if (thrown instanceof Refusal) return { there: false, value: undefined, instead: "two values" };
    throw thrown;
  }
  if (typeof value === "string" || typeof value === "number" || typeof value === "boolean")
    return { there: true, value, instead: undefined };
  if (value === undefined) return { there: false, value, instead: undefined };
  const instead = value === structure ? "an object or a list" : "null";
  return { there: true, value: undefined, instead };
}
