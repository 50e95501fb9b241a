/**
 * Path patterns by segment. The most specific pattern wins, decided from left to right: text before a parameter before the rest.
 *
 * A pattern that fits in part is no reason to miss another (`/a/{x}/c` and `/a/b/d`): the search goes back.
 */

/** What stands at one pattern: a value for each method, or one for all of them. */
interface Place<Value> {
  readonly byMethod: Map<string, Value>;
  any: Value | undefined;
}

interface Branch<Value> {
  texts: Map<string, Branch<Value>> | undefined;
  parameter: Branch<Value> | undefined;
  /** Values of the pattern that ends here. */
  here: Place<Value> | undefined;
  /** Values of the pattern that goes on with `*`. */
  rest: Place<Value> | undefined;
}

export class Trie<Value> {
  readonly #root: Branch<Value> = branch();

  /**
   * Adds a pattern such as `/users/{id}`, `/files/*`. A slash at the end means nothing.
   *
   * @param methods undefined: every method. GET includes HEAD.
   */
  add(pattern: string, methods: readonly string[] | undefined, value: Value): void {
    let at = this.#root;
    const segments = pattern.slice(1).split("/");
    if (segments.at(-1) === "") segments.pop();
    for (const [index, segment] of segments.entries()) {
      if (segment === "*" && index === segments.length - 1)
        return put((at.rest ??= place()), methods, value);
      if (segment.startsWith("{")) at = at.parameter ??= branch();
      else {
        const text = spelled(segment);
        at.texts ??= new Map();
        let next = at.texts.get(text);
        if (next === undefined) at.texts.set(text, (next = branch()));
        at = next;
      }
    }
    put((at.here ??= place()), methods, value);
  }

  /** The value of the most specific pattern that fits a path and has a value for the method. */
  find(path: string, method: string): Value | undefined {
    return descend(this.#root, path, 1, method);
  }

  /** The methods of all patterns that fit a path: "any", or their names. Empty: none fits. */
  methods(path: string): "any" | ReadonlySet<string> {
    const found = new Set<string>();
    return collect(this.#root, path, 1, found) ? "any" : found;
  }
}

function descend<Value>(
  at: Branch<Value>,
  path: string,
  start: number,
  method: string,
): Value | undefined {
  if (start >= path.length)
    return (at.here && valueAt(at.here, method)) ?? (at.rest && valueAt(at.rest, method));
  let end = path.indexOf("/", start);
  if (end === -1) end = path.length;
  if (at.texts !== undefined) {
    const next = at.texts.get(path.slice(start, end));
    if (next !== undefined) {
      const found = descend(next, path, end + 1, method);
      if (found !== undefined) return found;
    }
  }
  if (at.parameter !== undefined && end > start) {
    const found = descend(at.parameter, path, end + 1, method);
    if (found !== undefined) return found;
  }
  return at.rest && valueAt(at.rest, method);
}

/** @returns true when some pattern takes every method */
function collect<Value>(
  at: Branch<Value>,
  path: string,
  start: number,
  found: Set<string>,
): boolean {
  const places = [at.rest];
  if (start >= path.length) places.push(at.here);
  else {
    let end = path.indexOf("/", start);
    if (end === -1) end = path.length;
    const next = at.texts?.get(path.slice(start, end));
    if (next !== undefined && collect(next, path, end + 1, found)) return true;
    if (at.parameter !== undefined && end > start && collect(at.parameter, path, end + 1, found))
      return true;
  }
  for (const place of places) {
    if (place === undefined) continue;
    if (place.any !== undefined) return true;
    for (const method of place.byMethod.keys()) found.add(method);
  }
  return false;
}

function valueAt<Value>(place: Place<Value>, method: string): Value | undefined {
  if (place.byMethod.size === 0) return place.any;
  // RFC 9110 §9.3.2: HEAD is GET without the content.
  return (
    place.byMethod.get(method) ??
    (method === "HEAD" ? place.byMethod.get("GET") : undefined) ??
    place.any
  );
}

function put<Value>(at: Place<Value>, methods: readonly string[] | undefined, value: Value): void {
  if (methods === undefined) at.any ??= value;
  else for (const method of methods) if (!at.byMethod.has(method)) at.byMethod.set(method, value);
}

function branch<Value>(): Branch<Value> {
  return { texts: undefined, parameter: undefined, here: undefined, rest: undefined };
}

function place<Value>(): Place<Value> {
  return { byMethod: new Map(), any: undefined };
}

/** A segment as it stands in a request target: what is not allowed there is percent-encoded, in upper case. */
export function spelled(segment: string): string {
  return /^[A-Za-z0-9._~!$&'()*+,=:@-]*$/.test(segment)
    ? segment
    : segment.replace(/[^A-Za-z0-9._~!$&'()*+,=:@-]/gu, (character) =>
        [...new TextEncoder().encode(character)]
          .map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`)
          .join(""),
      );
}
