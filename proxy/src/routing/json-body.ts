/**
 * A JSON body as far as routes depend on it. It is read more strictly than JSON is: what two readers could understand in two ways is
 * refused, or a request would take one route here and mean another thing at its service.
 */
import { Refusal } from "@tocsin/shared";
import type { Pointer } from "./json-pointer.ts";

/** An object or a list, where only its being there counts. */
export const structure = Symbol("an object or a list");

/** A value in a body: a text, a number, true, false, null, or something larger. */
export type JsonValue = string | number | boolean | null | typeof structure;

/** So many objects and lists may stand within each other; readers of JSON differ in how many they take (RFC 8259 §9). */
export const deepest = 64;

export class JsonBody {
  readonly #text: string;
  readonly #found = new Map<string, JsonValue | undefined>();

  /**
   * @param bytes the whole body
   * @throws Refusal bad-request when it is not UTF-8 (RFC 8259 §8.1), not JSON, or nested too deeply
   */
  constructor(bytes: Uint8Array) {
    this.#text = textOf(bytes);
    if (isDeep(this.#text)) throw unreadable(`is nested more than ${deepest} levels deep`);
    try {
      JSON.parse(this.#text);
    } catch (cause) {
      throw unreadable("is not JSON", cause);
    }
  }

  /**
   * The value that a pointer leads to; undefined when there is none.
   *
   * @throws Refusal bad-request when a member on the way is there twice, also when only the case differs: readers differ in which of
   * them counts (RFC 8259 §4), and some do not tell cases apart
   */
  at(pointer: Pointer): JsonValue | undefined {
    const { text } = pointer;
    if (this.#found.has(text)) return this.#found.get(text);
    const found = new Walk(this.#text, pointer).value(0);
    this.#found.set(text, found);
    return found;
  }
}

function textOf(bytes: Uint8Array): string {
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch (cause) {
    throw unreadable("is not UTF-8", cause);
  }
  // RFC 8259 §8.1: nobody may write one, and readers may skip it or refuse it.
  if (text.charCodeAt(0) === 0xfeff) throw unreadable("begins with a byte order mark");
  return text;
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function unreadable(what: string, cause?: unknown): Refusal {
  return new Refusal("bad-request", {
    detail: `the body ${what}, and the route depends on it`,
    ...(cause === undefined ? {} : { cause }),
  });
}

/** Works on any text: what is not JSON is found out later. */
function isDeep(text: string): boolean {
  let depth = 0;
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    if (code === quote) index = endOfString(text, index) - 1;
    else if (code === brace || code === bracket) {
      depth += 1;
      if (depth > deepest) return true;
    } else if (code === endBrace || code === endBracket) depth -= 1;
  }
  return false;
}

const quote = 0x22;
const backslash = 0x5c;
const brace = 0x7b;
const endBrace = 0x7d;
const bracket = 0x5b;
const endBracket = 0x5d;
const comma = 0x2c;

/** Behind the quotation mark that ends the string; behind the text when none does. */
function endOfString(text: string, start: number): number {
  for (let index = start + 1; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    if (code === backslash) index += 1;
    else if (code === quote) return index + 1;
  }
  return text.length;
}

/** What a string says. */
function plainText(quoted: string): string {
  return quoted.includes("\\") ? (JSON.parse(quoted) as string) : quoted.slice(1, -1);
}

/** One way through a text that is known to be JSON: its strings, braces and brackets are all it needs to look at. */
class Walk {
  readonly #text: string;
  readonly #pointer: Pointer;
  #at = 0;

  constructor(text: string, pointer: Pointer) {
    this.#text = text;
    this.#pointer = pointer;
  }

  /** The value behind the first `level` tokens. Afterwards the walk stands behind that value. */
  value(level: number): JsonValue | undefined {
    this.#blanks();
    const code = this.#text.charCodeAt(this.#at);
    const last = level === this.#pointer.tokens.length;
    if (code === brace && !last) return this.#member(level);
    if (code === bracket && !last) return this.#item(level);
    const start = this.#at;
    this.#skip();
    if (!last) return undefined;
    if (code === brace || code === bracket) return structure;
    return JSON.parse(this.#text.slice(start, this.#at)) as JsonValue;
  }

  #member(level: number): JsonValue | undefined {
    const wanted = this.#pointer.tokens[level]!;
    let found: JsonValue | undefined;
    let times = 0;
    for (this.#at += 1; this.#blanks() !== endBrace;) {
      const start = this.#at;
      this.#at = endOfString(this.#text, start);
      const name = plainText(this.#text.slice(start, this.#at));
      this.#blanks();
      // The colon.
      this.#at += 1;
      if (name === wanted) {
        found = this.value(level + 1);
        times += 1;
      } else {
        this.#blanks();
        this.#skip();
        if (name.length === wanted.length && name.toLowerCase() === wanted.toLowerCase())
          times += 1;
      }
      if (this.#blanks() === comma) this.#at += 1;
    }
    this.#at += 1;
    if (times > 1)
      throw new Refusal("bad-request", {
        detail: `${JSON.stringify(wanted)} of ${this.#pointer.text} is there twice in the body, and the route depends on it`,
      });
    return found;
  }

  #item(level: number): JsonValue | undefined {
    const wanted = this.#pointer.tokens[level]!;
    let found: JsonValue | undefined;
    this.#at += 1;
    for (let index = 0; this.#blanks() !== endBracket; index += 1) {
      // As a text, so that `01` and `-` are no index (RFC 6901 §4).
      if (String(index) === wanted) found = this.value(level + 1);
      else this.#skip();
      if (this.#blanks() === comma) this.#at += 1;
    }
    this.#at += 1;
    return found;
  }

  /** @returns what comes behind the blanks */
  #blanks(): number {
    for (;;) {
      const code = this.#text.charCodeAt(this.#at);
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return code;
      this.#at += 1;
    }
  }

  /** Goes behind the value that begins here. */
  #skip(): void {
    const text = this.#text;
    let depth = 0;
    while (this.#at < text.length) {
      const code = text.charCodeAt(this.#at);
      if (code === quote) {
        this.#at = endOfString(text, this.#at);
        if (depth === 0) return;
        continue;
      }
      if (code === brace || code === bracket) depth += 1;
      else if (code === endBrace || code === endBracket) {
        // The end of what this value stands in.
        if (depth === 0) return;
        depth -= 1;
        if (depth === 0) {
          this.#at += 1;
          return;
        }
      } else if (
        depth === 0 &&
        (code === comma || code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09)
      )
        return;
      this.#at += 1;
    }
  }
}
