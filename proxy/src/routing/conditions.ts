import { Refusal } from "@tocsin/shared";
import type { RouteMatch } from "@tocsin/shared/contract";
import { pointerOf, type Pointer } from "./json-pointer.ts";
import type { JsonBody } from "./json-body.ts";

/** There is a body, and nobody has read it yet. */
export const unread = Symbol("a body that was not read");

/** What routes may look at beside path and method. */
export interface Asked {
  /** The `Host` value as it came. */
  readonly host: string;
  /** End-to-end fields, names and values in turn. */
  readonly fields: readonly string[];
  /** Path and query. */
  readonly target: string;
  /** The body; undefined when there is none, or none that is JSON. */
  readonly body: JsonBody | typeof unread | undefined;
}

export const nothingAsked: Asked = { host: "", fields: [], target: "/", body: undefined };

/** What must be true of a request, beside its path and method, so that a route takes it. */
export interface Conditions {
  readonly headers: readonly Condition[];
  readonly query: readonly Condition[];
  readonly body: readonly BodyCondition[];
}

export interface Condition {
  /** Of a field in lower case. */
  readonly name: string;
  /** Undefined: any value will do. */
  readonly value: string | undefined;
}

export interface BodyCondition {
  readonly pointer: Pointer;
  /** Undefined: any value will do, `null`, an object and a list too. */
  readonly value: string | number | boolean | undefined;
}

/** @returns undefined when there are none */
export function conditionsOf({
  headers = {},
  query = {},
  body = {},
}: Pick<RouteMatch, "headers" | "query" | "body">): Conditions | undefined {
  const read = (named: Readonly<Record<string, string>>): Condition[] =>
    Object.entries(named).map(([name, value]) => ({
      name,
      value: value === "*" ? undefined : value,
    }));
  const conditions: Conditions = {
    headers: read(headers),
    query: read(query),
    body: Object.entries(body).map(([text, value]) => ({
      pointer: pointerOf(text),
      value: value === "*" ? undefined : value,
    })),
  };
  const count = conditions.headers.length + conditions.query.length + conditions.body.length;
  return count === 0 ? undefined : conditions;
}

/**
 * Whether a request meets the conditions on its head.
 *
 * @throws Refusal bad-request when a field or parameter that decides is there twice: the upstream may take the other one, and the
 * rules of another route would be walked around
 */
export function meets({ headers, query }: Conditions, asked: Asked): boolean {
  // All are looked at, so that what is ambiguous is refused whatever else is true.
  let all = true;
  for (const { name, value } of headers) {
    const found = field(asked.fields, name);
    if (found === undefined || (value !== undefined && found !== value)) all = false;
  }
  if (query.length === 0) return all;
  const parameters = parametersOf(asked.target);
  for (const { name, value } of query) {
    const found = parameter(parameters, name);
    if (found === undefined || (value !== undefined && found !== value)) all = false;
  }
  return all;
}

/** Whether a body meets the conditions on it. @throws Refusal bad-request when a member that decides is there twice */
export function meetsBody({ body: conditions }: Conditions, body: JsonBody): boolean {
  let all = true;
  for (const { pointer, value } of conditions) {
    const found = body.at(pointer);
    if (found === undefined || (value !== undefined && found !== value)) all = false;
  }
  return all;
}

/** The value of a field. @throws Refusal bad-request when it is there twice */
export function field(fields: readonly string[], name: string): string | undefined {
  let found: string | undefined;
  for (let index = 0; index + 1 < fields.length; index += 2) {
    const candidate = fields[index]!;
    if (candidate.length !== name.length || candidate.toLowerCase() !== name) continue;
    if (found !== undefined) throw ambiguous(`the field ${name}`);
    found = fields[index + 1]!;
  }
  return found;
}

/** The value of a query parameter. @throws Refusal bad-request when it is there twice */
export function parameter(parameters: URLSearchParams, name: string): string | undefined {
  const found = parameters.getAll(name);
  if (found.length > 1) throw ambiguous(`the query parameter ${name}`);
  return found[0];
}

/** Read as forms are (`+` is a blank, percent-encoding): the way in which most servers do. */
export function parametersOf(target: string): URLSearchParams {
  const start = target.indexOf("?");
  return new URLSearchParams(start === -1 ? "" : target.slice(start + 1));
}

function ambiguous(what: string): Refusal {
  return new Refusal("bad-request", {
    detail: `${what} is there twice, and the route depends on it`,
  });
}
