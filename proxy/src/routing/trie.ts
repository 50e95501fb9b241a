/**
 * Path patterns by segment. The most specific pattern wins, decided from left to right: text before a parameter before the rest.
 *
 * A pattern that fits in part is no reason to miss another (`/a/{x}/c` and `/a/b/d`): the search goes back.
 */
import { FlatTrie, type Choose } from "./flat-trie.ts";

/** What stands at one pattern: a value for each method, or one for all of them. */
export interface Place<Value> {
  readonly methods: Map<string, Value>;
  any: Value | undefined;
}

export interface Branch<Value> {
  /** What follows by its text. */
  texts: Map<string, Branch<Value>> | undefined;
  parameter: Branch<Value> | undefined;
  /** Values of the pattern that ends here. */
  here: Place<Value> | undefined;
  /** Values of the pattern that goes on with `*`. */
  rest: Place<Value> | undefined;
}

export class Trie<Value, Asked = void, Result = Value> {
  readonly #root: Branch<Value> = branch();
  readonly #choose: Choose<Value, Asked, Result>;
  /** For requests; made anew after a change. */
  #flat: FlatTrie<Value, Asked, Result> | undefined = undefined;

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
    put(this.place(pattern), method, grow);
  }

  /** What stands at a pattern, to put more than one value there. */
  place(pattern: string): Place<Value> {
    this.#flat = undefined;
    let at = this.#root;
    const segments = pattern.slice(1).split("/");
    if (segments.at(-1) === "") segments.pop();
    for (const [index, segment] of segments.entries()) {
      if (segment === "*" && index === segments.length - 1) return (at.rest ??= place());
      if (segment.startsWith("{")) at = at.parameter ??= branch();
      else at = grown(at, spelled(segment));
    }
    return (at.here ??= place());
  }

  /** Lays it out for requests; else the first of them waits for that. */
  settle(): void {
    this.#flat ??= new FlatTrie(this.#root, this.#choose);
  }

  /** The value of the most specific pattern that fits a path and has a value for the method. */
  find(path: string, method: string, asked: Asked): Result | undefined {
    if (this.#flat === undefined) this.settle();
    return this.#flat!.find(path, method, asked);
  }

  /** The methods of all patterns that fit a path: "any", or their names. Empty: none fits. */
  methods(path: string): "any" | ReadonlySet<string> {
    const found = new Set<string>();
    return collect(this.#root, path, 1, found) ? "any" : found;
  }
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
    for (const method of place.methods.keys()) found.add(method);
  }
  return false;
}

export function put<Value>(
  at: Place<Value>,
  method: string | undefined,
  grow: (held: Value | undefined) => Value,
): void {
  if (method === undefined) at.any = grow(at.any);
  else at.methods.set(method, grow(at.methods.get(method)));
}

/** The branch behind a text; a new one when there is none yet. */
function grown<Value>(at: Branch<Value>, text: string): Branch<Value> {
  const texts = (at.texts ??= new Map<string, Branch<Value>>());
  const known = texts.get(text);
  if (known !== undefined) return known;
  const next = branch<Value>();
  texts.set(text, next);
  return next;
}

function branch<Value>(): Branch<Value> {
  return { texts: undefined, parameter: undefined, here: undefined, rest: undefined };
}

function place<Value>(): Place<Value> {
  return { methods: new Map(), any: undefined };
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
