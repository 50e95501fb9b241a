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

/** Makes a result of what stands at a pattern, or says that it does not fit; the search then goes on with less specific patterns. */
export type Choose<Value, Asked, Result> = (value: Value, asked: Asked) => Result | undefined;

export class Trie<Value, Asked = void, Result = Value> {
  readonly #root: Branch<Value> = branch();
  readonly #choose: Choose<Value, Asked, Result>;

  constructor(choose: Choose<Value, Asked, Result>) {
    this.#choose = choose;
  }

  /**
   * Adds a pattern such as `/users/{id}`, `/files/*`. A slash at the end means nothing.
   *
   * @param method undefined: every method that has no value of its own
   * @param grow makes the value out of the one that is there
   */
  add(pattern: string, method: string | undefined, grow: (held: Value | undefined) => Value): void {
    let at = this.#root;
    const segments = pattern.slice(1).split("/");
    if (segments.at(-1) === "") segments.pop();
    for (const [index, segment] of segments.entries()) {
      if (segment === "*" && index === segments.length - 1)
        return put((at.rest ??= place()), method, grow);
      if (segment.startsWith("{")) at = at.parameter ??= branch();
      else {
        at = grown(at, spelled(segment));
      }
    }
    put((at.here ??= place()), method, grow);
  }

  /** The value of the most specific pattern that fits a path and has a value for the method. */
  find(path: string, method: string, asked: Asked): Result | undefined {
    return descend(this.#root, path, 1, method, asked, this.#choose);
  }

  /** The methods of all patterns that fit a path: "any", or their names. Empty: none fits. */
  methods(path: string): "any" | ReadonlySet<string> {
    const found = new Set<string>();
    return collect(this.#root, path, 1, found) ? "any" : found;
  }
}

function descend<Value, Asked, Result>(
  at: Branch<Value>,
  path: string,
  start: number,
  method: string,
  asked: Asked,
  choose: Choose<Value, Asked, Result>,
): Result | undefined {
  if (start >= path.length)
    return (
      (at.here && chosen(at.here, method, asked, choose)) ??
      (at.rest && chosen(at.rest, method, asked, choose))
    );
  let end = path.indexOf("/", start);
  if (end === -1) end = path.length;
  const next = follow(at, path, start, end);
  if (next !== undefined) {
    const found = descend(next, path, end + 1, method, asked, choose);
    if (found !== undefined) return found;
  }
  if (at.parameter !== undefined && end > start) {
    const found = descend(at.parameter, path, end + 1, method, asked, choose);
    if (found !== undefined) return found;
  }
  return at.rest && chosen(at.rest, method, asked, choose);
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

function chosen<Value, Asked, Result>(
  { methods, values, any }: Place<Value>,
  method: string,
  asked: Asked,
  choose: Choose<Value, Asked, Result>,
): Result | undefined {
  for (let index = 0; index < methods.length; index += 1)
    if (methods[index] === method) return choose(values[index]!, asked);
  return any === undefined ? undefined : choose(any, asked);
}

function put<Value>(
  at: Place<Value>,
  method: string | undefined,
  grow: (held: Value | undefined) => Value,
): void {
  if (method === undefined) {
    at.any = grow(at.any);
    return;
  }
  const index = at.methods.indexOf(method);
  if (index === -1) {
    at.methods.push(method);
    at.values.push(grow(undefined));
  } else at.values[index] = grow(at.values[index]);
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
