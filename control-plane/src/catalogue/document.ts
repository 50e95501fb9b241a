/** A config text as a document: its values, and where each of them stands. JSON is YAML too. */
import { messageOf, shownMessage } from "@tocsin/shared";
import { isMap, isNode, isScalar, LineCounter, parseDocument, type Document } from "yaml";

export interface Place {
  /** From 1. */
  readonly line: number;
  /** From 1. */
  readonly column: number;
}

export interface ConfigProblem {
  /** JSON Pointer (RFC 6901) to the value. */
  readonly pointer: string;
  readonly line: number;
  readonly column: number;
  /** What was found, and what is allowed. */
  readonly message: string;
}

export interface ConfigDocument {
  readonly value: unknown;
  /** Where the value (or, with `key`, the key) at a path stands; of what is absent, where its nearest holder stands. */
  placeOf(path: readonly PropertyKey[], key?: boolean): Place;
}

export type DocumentResult =
  | { readonly ok: true; readonly document: ConfigDocument }
  | { readonly ok: false; readonly errors: readonly ConfigProblem[] };

/** Aliases may multiply a small text into a huge value ("billion laughs"); so many are enough for any config. */
const maxAliases = 100;

/** Levels of nesting that a config may have; the language needs about eight. */
const maxDepth = 64;

export function readDocument(source: string): DocumentResult {
  const lines = new LineCounter();
  const placeAt = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  const refused = (message: string, offset = 0): DocumentResult => ({
    ok: false,
    errors: [{ pointer: "", ...placeAt(offset), message }],
  });
  let parsed: Document;
  let value: unknown;
  try {
    parsed = parseDocument(source, {
      lineCounter: lines,
      uniqueKeys: true,
      version: "1.2",
      prettyErrors: false,
    });
    if (parsed.errors.length > 0) {
      return {
        ok: false,
        errors: parsed.errors.map((error) => ({
          pointer: "",
          ...placeAt(error.pos[0]),
          message: shownMessage(error.message),
        })),
      };
    }
    value = parsed.toJS({ maxAliasCount: maxAliases }) as unknown;
  } catch (error) {
    // Too many aliases, or nesting that is deeper than the parser's own stack.
    return refused(
      error instanceof RangeError
        ? "the document is nested too deeply"
        : shownMessage(messageOf(error)),
    );
  }
  // An alias within its own anchor is a value that contains itself.
  if (deeperThan(value, maxDepth))
    return refused(`the document is nested more than ${maxDepth} levels deep`);
  return {
    ok: true,
    document: { value, placeOf: (path, key) => placeAt(offsetOf(parsed, path, key === true)) },
  };
}

function deeperThan(value: unknown, levels: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  return levels === 0 || Object.values(value).some((item) => deeperThan(item, levels - 1));
}

function offsetOf(parsed: Document, path: readonly PropertyKey[], key: boolean): number {
  for (let length = path.length; length >= 0; length--) {
    const place = path
      .slice(0, length)
      .map((part) => (typeof part === "symbol" ? String(part) : part));
    if (key && length === path.length && length > 0) {
      const holder = length === 1 ? parsed.contents : parsed.getIn(place.slice(0, -1), true);
      const pair = isMap(holder)
        ? holder.items.find(
            (item) => isScalar(item.key) && String(item.key.value) === String(place.at(-1)),
          )
        : undefined;
      if (isNode(pair?.key) && pair.key.range) return pair.key.range[0];
    }
    const node = length === 0 ? parsed.contents : parsed.getIn(place, true);
    if (isNode(node) && node.range) return node.range[0];
  }
  return 0;
}

export function pointerOf(path: readonly PropertyKey[]): string {
  return path
    .map((part) => `/${String(part).replaceAll("~", "~0").replaceAll("/", "~1")}`)
    .join("");
}
