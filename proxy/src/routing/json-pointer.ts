/** A JSON pointer (RFC 6901), read once. */
export interface Pointer {
  /** As it stands in the config. */
  readonly text: string;
  /** Names of members, or indexes of items, from the outside in. */
  readonly tokens: readonly string[];
}

/** @param text begins with a slash, as the config's schema has it */
export function pointerOf(text: string): Pointer {
  const tokens = text
    .slice(1)
    .split("/")
    // RFC 6901 §4: in this order, or `~01` would become a slash.
    .map((token) => token.replaceAll("~1", "/").replaceAll("~0", "~"));
  return { text, tokens };
}
