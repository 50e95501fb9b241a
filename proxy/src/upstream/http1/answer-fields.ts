/**
 * What each field of an answer is to a gateway. One table; a name that is not in it passes.
 */

/** Passes unchanged. */
export const pass = 0;
/** Stops here: hop-by-hop (RFC 9110 §7.6.1), or ours to say. */
export const drop = 1;
/** Not the name of a field (RFC 9110 §5.1). */
export const bad = 2;
export const contentLength = 3;
export const transferEncoding = 4;
export const connection = 5;
export const keepAlive = 6;
export const upgrade = 7;

const kinds: Readonly<Record<string, number>> = {
  connection,
  "keep-alive": keepAlive,
  upgrade,
  "transfer-encoding": transferEncoding,
  "content-length": contentLength,
  "proxy-connection": drop,
  "proxy-authenticate": drop,
  te: drop,
  // Said anew when trailers pass.
  trailer: drop,
  "http2-settings": drop,
  "x-request-id": drop,
};

const token = /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/;

/** Names as they were spelled, with what they are. Services spell names in few ways; beyond the bound they are looked up anew. */
const seen = new Map<string, number>();
const seenAtMost = 2_000;
/** A longer name is not remembered, so that the memory is bounded in bytes too. */
const rememberedLength = 64;

/** What the field of this name is, in whatever spelling. */
export function fieldKind(name: string): number {
  return seen.get(name) ?? learn(name);
}

function learn(name: string): number {
  const lower = name.toLowerCase();
  const kind = !token.test(name) ? bad : Object.hasOwn(kinds, lower) ? kinds[lower]! : pass;
  if (seen.size < seenAtMost && name.length <= rememberedLength) seen.set(name, kind);
  return kind;
}
