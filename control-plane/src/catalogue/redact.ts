/** Secrets left out of what is shown. A reference to the environment is no secret; a text in its place is. */

const hidden = "[redacted]";

export const redacted = {
  /** A resolved document: every `secret` is hidden. */
  document(value: unknown): unknown {
    if (Array.isArray(value)) return value.map((item) => redacted.document(item));
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [
        key,
        key === "secret" && typeof item === "string" ? hidden : redacted.document(item),
      ]),
    );
  },
  /** A text as it was written: a `secret` that is not a reference is hidden. */
  source(text: string): string {
    return text.replace(
      /((?:^|[\s{,])["']?secret["']?\s*:\s*)("(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^\s,}#]+)/g,
      (whole, key: string, value: string) =>
        /^["']?\$\{[A-Za-z_][A-Za-z0-9_]*\}["']?$/.test(value) ? whole : `${key}"${hidden}"`,
    );
  },
};
