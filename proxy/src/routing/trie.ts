/**
 * Path patterns by segment. The most specific pattern wins, decided from left to right: text before a parameter before the rest.
 *
 * A pattern that fits in part is no reason to miss another (`/a/{x}/c` and `/a/b/d`): the search goes back.
 */

/** What stands at one pattern: a value for each method, or one for all of them. */
interface Place<Value> {
  /** Side by side with the values: methods are few, and comparing them is cheaper than hashing. */
  readonly methods: string[];
  readonly values: Value[];
  any: Value | undefined;
}

interface Branch<Value> {
  /** What follows by its text. A few are compared in place; for more, the segment is cut out and looked up. */
  few: { readonly text: string; readonly next: Branch<Value> }[];
  many: Map<string, Branch<Value>> | undefined;
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
        at = grown(at, spelled(segment));
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
  const next = follow(at, path, start, end);
  if (next !== undefined) {
    const found = descend(next, path, end + 1, method);
    if (found !== undefined) return found;
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
    const next = follow(at, path, start, end);
    if (next !== undefined && collect(next, path, end + 1, found)) return true;
    if (at.parameter !== undefined && end > start && collect(at.parameter, path, end + 1, found))
      return true;
  }
  for (const place of places) {
    if (place === undefined) continue;
    if (place.any !== undefined) return true;
    for (const method of place.methods) found.add(method);
  }
  return false;
}

function valueAt<Value>({ methods, values, any }: Place<Value>, method: string): Value | undefined {
  for (let index = 0; index < methods.length; index += 1)
    if (methods[index] === method) return values[index];
  // RFC 9110 §9.3.2: HEAD is GET without the content.
  if (method === "HEAD" && methods.length > 0) return values[methods.indexOf("GET")] ?? any;
  return any;
}

function put<Value>(at: Place<Value>, methods: readonly string[] | undefined, value: Value): void {
  if (methods === undefined) at.any ??= value;
  else {
    for (const method of methods) {
      if (at.methods.includes(method)) continue;
      at.methods.push(method);
      at.values.push(value);
    }
  }
}

/** Up to this many texts are compared one by one: cheaper than cutting out a segment and hashing it. */
const fewAtMost = 4;

function follow<Value>(
  at: Branch<Value>,
  path: string,
  start: number,
  end: number,
): Branch<Value> | undefined {
  if (at.many !== undefined) return at.many.get(path.slice(start, end));
  const { few } = at;
  for (let index = 0; index < few.length; index += 1) {
    const { text } = few[index]!;
    if (text.length === end - start && path.startsWith(text, start)) return few[index]!.next;
  }
  return undefined;
}

/** The branch behind a text; a new one when there is none yet. */
function grown<Value>(at: Branch<Value>, text: string): Branch<Value> {
  const known = follow(at, text, 0, text.length);
  if (known !== undefined) return known;
  const next = branch<Value>();
  if (at.many !== undefined) at.many.set(text, next);
  else if (at.few.length < fewAtMost) at.few.push({ text, next });
  else {
    at.many = new Map([...at.few.map((one) => [one.text, one.next] as const), [text, next]]);
    at.few = [];
  }
  return next;
}

function branch<Value>(): Branch<Value> {
  return { few: [], many: undefined, parameter: undefined, here: undefined, rest: undefined };
}

function place<Value>(): Place<Value> {
  return { methods: [], values: [], any: undefined };
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
