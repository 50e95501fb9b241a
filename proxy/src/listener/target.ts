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
}

/** What needs a closer look. Everything else passes as it is. */
const special = new Uint8Array(128).fill(0);
for (const character of "%;?/\\#") special[character.charCodeAt(0)] = 1;
for (let code = 0; code <= 0x20; code += 1) special[code] = 1;
special[0x7f] = 1;

/**
 * Reads an origin-form target (RFC 9112 §3.2.1), `/path?query`.
 *
 * @returns a sentence for the client when it is refused
 */
export function readTarget(raw: string): Target | string {
  if (raw.charCodeAt(0) !== 0x2f) return "the request target is not a path";
  let end = raw.length;
  let ambiguous = false;
  for (let index = 0; index < end; index += 1) {
    const code = raw.charCodeAt(index);
    if (code < 128 && special[code] === 0) continue;
    if (code === 0x2f) {
      const next = raw.charCodeAt(index + 1);
      // An empty segment, or one that begins with a dot.
      if (next === 0x2f || next === 0x2e) ambiguous = true;
    } else if (code === 0x3f) end = index;
    else if (code === 0x25 || code === 0x3b) ambiguous = true;
    else return "the path has a character that is not allowed";
  }
  const query = raw.slice(end);
  if (query !== "" && !isQuery(query)) return "the query has a character that is not allowed";
  const path = end === raw.length ? raw : raw.slice(0, end);
  return ambiguous ? normalised(path, query) : { path, query, variants: undefined };
}

function isQuery(query: string): boolean {
  return !/[#\x00-\x20\x7f-\uffff]/.test(query);
}

function normalised(raw: string, query: string): Target | string {
  if (/%(?![0-9A-Fa-f]{2})/.test(raw)) return "the path has a percent sign that encodes nothing";
  // The slash that is not one: servers differ in whether `%2F` separates segments.
  if (/%(?:2f|5c|[01][0-9a-f]|7f)/i.test(raw))
    return "the path has an encoded slash, backslash or control character";
  // Overlong UTF-8 (RFC 3629 §3): `%C0%AF` is a slash to a careless decoder.
  if (/%c[01]%[89ab]|%e0%[89]|%f0%8/i.test(raw)) return "the path is not UTF-8";
  const path = raw.replace(/%([0-9A-Fa-f]{2})/g, (sequence, digits: string) => {
    const character = String.fromCharCode(Number.parseInt(digits, 16));
    return /[A-Za-z0-9._~-]/.test(character) ? character : sequence.toUpperCase();
  });
  // Dot segments, also with `;parameters`, also when somebody decodes more than once.
  let decoded = path;
  for (let round = 0; ; round += 1) {
    if (/(?:^|[/\\])\.{1,2}(?:[/\\;]|$)/.test(decoded)) return "the path has dot segments";
    const further = decodedOnce(decoded);
    if (further === decoded) break;
    if (round === encodedAtMost) return "the path is encoded too many times";
    decoded = further;
  }
  if (/[\x00-\x1f\x7f]/.test(decoded)) return "the path has an encoded control character";
  const variants = readings(path).filter((reading) => reading !== path);
  return { path, query, variants: variants.length === 0 ? undefined : variants };
}

/** How often a path may be percent-encoded; each further time would cost another pass over it. */
const encodedAtMost = 4;

function decodedOnce(text: string): string {
  return text.replace(/%([0-9A-Fa-f]{2})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 16)),
  );
}

/** All combinations of the liberties that servers take with a path. */
function readings(path: string): string[] {
  let all = [path];
  const liberties = [
    (text: string) =>
      text.replace(/%(2[1-9A-E]|3[A-F]|40|5[BDE]|60|7[B-D])/g, (_, digits: string) =>
        String.fromCharCode(Number.parseInt(digits, 16)),
      ),
    (text: string) => text.replace(/;[^/]*/g, ""),
    (text: string) => text.replace(/\/{2,}/g, "/"),
  ];
  for (const liberty of liberties) all = [...new Set([...all, ...all.map(liberty)])];
  return all;
}
