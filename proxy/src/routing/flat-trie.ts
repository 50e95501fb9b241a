/**
 * A trie of path patterns, laid out for requests: numbers in two arrays instead of objects that point to one another. With thousands of
 * routes nearly every step to another object is a wait for memory; here a segment costs two such steps.
 *
 * A path is read once from left to right. Segments are found by their hashes alone, and their texts are compared at the end, with
 * the pattern that was found: where a text only has the hash of another, the search goes on as if it had not been found.
 */
import type { Branch, Place } from "./trie.ts";

/** Makes a result of what stands at a pattern, or says that it does not fit; the search then goes on with less specific patterns. */
export type Choose<Value, Asked, Result> = (value: Value, asked: Asked) => Result | undefined;

/** A branch: the branch behind a parameter, the place that ends here, the place that goes on with `*`; 0: none. */
const branchSize = 3;
const parameterAt = 0;
const hereAt = 1;
const restAt = 2;

/** An edge: the branch it leaves, the hash of its text, the branch it leads to. Open addressing; a branch of 0 is a free slot. */
const edgeSize = 3;

const slash = 0x2f;

export class FlatTrie<Value, Asked, Result> {
  readonly #choose: Choose<Value, Asked, Result>;
  /** The root is branch 1. */
  readonly #branches: Int32Array;
  readonly #edges: Int32Array;
  readonly #edgeMask: number;
  /** Methods that some pattern names. */
  readonly #methods: readonly string[];
  /** Of each place a value for each method, then the one for all others. */
  readonly #values: readonly (Value | undefined)[];
  /** Of each place the texts between its parameters, with their slashes. */
  readonly #texts: readonly (readonly string[])[];

  constructor(root: Branch<Value>, choose: Choose<Value, Asked, Result>) {
    const layout = new Layout<Value>();
    layout.branch(root, [""]);
    this.#choose = choose;
    this.#branches = Int32Array.from(layout.branches);
    this.#edges = layout.table();
    this.#edgeMask = this.#edges.length / edgeSize - 1;
    this.#methods = [...new Set(layout.places.flatMap(({ methods }) => [...methods.keys()]))];
    this.#values = [
      // Place 0 is none.
      ...this.#methods.map(() => undefined),
      undefined,
      ...layout.places.flatMap(({ methods, any }) => [
        ...this.#methods.map((method) => (methods.has(method) ? methods.get(method) : any)),
        any,
      ]),
    ];
    this.#texts = [[], ...layout.texts];
  }

  find(path: string, method: string, asked: Asked): Result | undefined {
    const methods = this.#methods;
    let column = 0;
    while (column < methods.length && methods[column] !== method) column += 1;
    return this.#descend(1, path, 1, column, asked);
  }

  #descend(
    branch: number,
    path: string,
    start: number,
    column: number,
    asked: Asked,
  ): Result | undefined {
    const at = branch * branchSize;
    const branches = this.#branches;
    const length = path.length;
    if (start >= length) {
      const found = this.#chosen(branches[at + hereAt]!, path, column, asked);
      if (found !== undefined) return found;
      return this.#chosen(branches[at + restAt]!, path, column, asked);
    }
    let end = start;
    let hash = 0;
    for (; end < length; end += 1) {
      const code = path.charCodeAt(end);
      if (code === slash) break;
      hash = (Math.imul(hash, 31) + code) | 0;
    }
    const edges = this.#edges;
    const mask = this.#edgeMask;
    for (let slot = slotOf(branch, hash) & mask; ; slot = (slot + 1) & mask) {
      const edge = slot * edgeSize;
      const from = edges[edge]!;
      if (from === 0) break;
      if (from !== branch || edges[edge + 1] !== hash) continue;
      const found = this.#descend(edges[edge + 2]!, path, end + 1, column, asked);
      if (found !== undefined) return found;
    }
    const parameter = branches[at + parameterAt]!;
    if (parameter !== 0 && end > start) {
      const found = this.#descend(parameter, path, end + 1, column, asked);
      if (found !== undefined) return found;
    }
    return this.#chosen(branches[at + restAt]!, path, column, asked);
  }

  #chosen(place: number, path: string, column: number, asked: Asked): Result | undefined {
    if (place === 0) return undefined;
    const value = this.#values[place * (this.#methods.length + 1) + column];
    if (value === undefined || !fits(path, this.#texts[place]!)) return undefined;
    return this.#choose(value, asked);
  }
}

/** Whether the texts stand in the path where its hashes say, each but the first behind one segment that may be anything. */
function fits(path: string, texts: readonly string[]): boolean {
  let at = 0;
  for (let index = 0; index < texts.length; index += 1) {
    const text = texts[index]!;
    if (index > 0) {
      at = path.indexOf("/", at);
      if (at === -1) at = path.length;
    }
    if (!path.startsWith(text, at)) return false;
    at += text.length;
  }
  // The last segment is that long, and no longer.
  return at >= path.length || path.charCodeAt(at) === slash || path.charCodeAt(at - 1) === slash;
}

function slotOf(branch: number, hash: number): number {
  const mixed = Math.imul(hash ^ Math.imul(branch, 0x9e3779b1), 0x85ebca6b);
  return mixed ^ (mixed >>> 15);
}

function hashOf(text: string): number {
  let hash = 0;
  for (let index = 0; index < text.length; index += 1)
    hash = (Math.imul(hash, 31) + text.charCodeAt(index)) | 0;
  return hash;
}

/** Numbers branches and places. */
class Layout<Value> {
  /** Branch 0 is none. */
  readonly branches: number[] = Array.from<number>({ length: branchSize }).fill(0);
  readonly places: Place<Value>[] = [];
  readonly texts: (readonly string[])[] = [];
  readonly #edges: (readonly [from: number, hash: number, to: number])[] = [];

  /** @param texts from the root to here, the last one still growing */
  branch(branch: Branch<Value>, texts: readonly string[]): number {
    const number = this.branches.length / branchSize;
    const here = this.#place(branch.here, texts);
    const rest = this.#place(branch.rest, texts);
    this.branches.push(0, here, rest);
    const before = texts.slice(0, -1);
    const last = texts.at(-1)!;
    for (const [text, next] of branch.texts ?? [])
      this.#edges.push([number, hashOf(text), this.branch(next, [...before, `${last}/${text}`])]);
    if (branch.parameter !== undefined)
      this.branches[number * branchSize + parameterAt] = this.branch(branch.parameter, [
        ...before,
        `${last}/`,
        "",
      ]);
    return number;
  }

  /** All edges. At most half full, so that what is not there is found out soon. */
  table(): Int32Array {
    let slots = 4;
    while (slots < this.#edges.length * 2) slots *= 2;
    const table = new Int32Array(slots * edgeSize);
    for (const edge of this.#edges) {
      let slot = slotOf(edge[0], edge[1]) & (slots - 1);
      while (table[slot * edgeSize] !== 0) slot = (slot + 1) & (slots - 1);
      table.set(edge, slot * edgeSize);
    }
    return table;
  }

  #place(place: Place<Value> | undefined, texts: readonly string[]): number {
    if (place === undefined) return 0;
    // Behind the last parameter often nothing is left to compare.
    this.texts.push(texts.at(-1) === "" ? texts.slice(0, -1) : texts);
    return this.places.push(place);
  }
}
