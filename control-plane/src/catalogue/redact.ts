/** Secrets left out of what is shown. A reference to the environment is no secret; a text in its place is. */
import { isScalar, parseDocument, visit } from "yaml";

export const hidden = "[redacted]";

/** Keys whose values are never shown. */
const secretKeys = new Set<PropertyKey>(["secret"]);

export const isSecretKey = (key: PropertyKey): boolean => secretKeys.has(key);

/** Nothing but one reference without a default. */
const onlyReference = /^\$\{[A-Za-z_][A-Za-z0-9_]*\}$/;

/** A resolved document with its secrets hidden. */
export function redactedDocument(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(redactedDocument);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [
      key,
      secretKeys.has(key) && item !== null ? hidden : redactedDocument(item),
    ]),
  );
}

/** A config text as it was written, with its secrets hidden where they stand, however they are written. */
export function redactedSource(source: string): string {
  const places: (readonly [start: number, end: number])[] = [];
  const document = parseDocument(source, { prettyErrors: false });
  // It was parsed when it was applied; a text that cannot be is shown to nobody.
  if (document.errors.length > 0) return "";
  const hide = (node: unknown) => {
    if (
      isScalar(node) &&
      node.range &&
      !(typeof node.value === "string" && onlyReference.test(node.value))
    )
      places.push([node.range[0], node.range[1]]);
  };
  visit(document, {
    Pair(_, pair) {
      if (isScalar(pair.key) && secretKeys.has(String(pair.key.value))) hide(pair.value);
    },
    Alias(_, alias, path) {
      // A secret that is written elsewhere and meant here.
      const holder = path.at(-1) as { readonly key?: unknown } | undefined;
      if (isScalar(holder?.key) && secretKeys.has(String(holder.key.value)))
        hide(alias.resolve(document));
    },
  });
  const once = new Map(places);
  return [...once]
    .toSorted(([a], [b]) => b - a)
    .reduce(
      (text, [start, end]) =>
        `${text.slice(0, start)}"${hidden}"${text.slice(start, end).endsWith("\n") ? "\n" : ""}${text.slice(end)}`,
      source,
    );
}
