import { readingsOf, withoutCase } from "./readings.ts";

/**
 * A request target, decided once: what is matched is what is sent.
 *
 * A path that the gateway and the upstream could read in two ways is how access rules are walked around, so such paths are brought
 * to one spelling, refused, or given with all their readings (whose routes must agree).
 */
export interface Target {
  /** The path in one spelling: unreserved characters plain, hexadecimal digits in upper case (RFC 3986 §6.2.2). */
  readonly path: string;
  /** The query with its question mark, unchanged; empty when there is none. */
  readonly query: string;
  /** Paths that a server may make of this one: without empty segments, without `;parameters`, further decoded. */
  readonly variants: readonly string[] | undefined;
  /** The same for a server that does not mind the case of letters. Undefined: the path has no capitals. */
  readonly caseless: readonly string[] | undefined;
}

/** What needs a closer look. Everything else passes as it is. */
const special = new Uint8Array(128).fill(0);
for (const character of "%;?/\\#") special[character.charCodeAt(0)] = 1;
for (let code = 0; code <= 0x20; code += 1) special[code] = 1;
special[0x7f] = 1;
/** A letter that a server may take for another. */
const capital = 2;
for (let code = 0x41; code <= 0x5a; code += 1) special[code] = capital;

/**
 * Reads an origin-form target (RFC 9112 §3.2.1), `/path?query`.
 *
 * @returns a sentence for the client when it is refused
 */
export function readTarget(raw: string): Target | string {
  if (raw.charCodeAt(0) !== 0x2f) return "the request target is not a path";
  let end = raw.length;
  let ambiguous = false;
  let capitals = false;
  for (let index = 0; index < end; index += 1) {
    const code = raw.charCodeAt(index);
    const kind = code < 128 ? special[code] : 1;
    if (kind === 0) continue;
    if (kind === capital) capitals = true;
    else if (code === 0x2f) {
      const next = raw.charCodeAt(index + 1);
      // An empty segment, one that begins with a dot, or one that ended with a dot.
      if (next === 0x2f || next === 0x2e || raw.charCodeAt(index - 1) === 0x2e) ambiguous = true;
    } else if (code === 0x3f) end = index;
    else if (code === 0x25 || code === 0x3b) ambiguous = true;
    else return "the path has a character that is not allowed";
  }
  if (raw.charCodeAt(end - 1) === 0x2e) ambiguous = true;
  const query = raw.slice(end);
  if (query !== "" && !isQuery(query)) return "the query has a character that is not allowed";
  const path = end === raw.length ? raw : raw.slice(0, end);
  if (ambiguous) return normalised(path, query);
  const caseless = capitals ? [path.toLowerCase()] : undefined;
  return { path, query, variants: undefined, caseless };
}

function isQuery(query: string): boolean {
  return !/[#\x00-\x20\x7f-\uffff]/.test(query);
}

function normalised(raw: string, query: string): Target | string {
  if (/%(?![0-9A-Fa-f]{2})/.test(raw)) return "the path has a percent sign that encodes nothing";
  const path = raw.replace(/%([0-9A-Fa-f]{2})/g, (sequence, digits: string) => {
    const character = String.fromCharCode(Number.parseInt(digits, 16));
    return /[A-Za-z0-9._~-]/.test(character) ? character : sequence.toUpperCase();
  });
  const readings = readingsOf(path);
  if (typeof readings === "string") return readings;
  const caseless = new Set([path, ...readings].map(withoutCase));
  for (const reading of [path, ...readings]) caseless.delete(reading);
  return {
    path,
    query,
    variants: readings.length === 0 ? undefined : readings,
    caseless: caseless.size === 0 ? undefined : [...caseless],
  };
}
