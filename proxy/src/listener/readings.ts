/**
 * What servers make of a path. They take liberties: decode it more than once, fold compatible characters, drop `;parameters`, trailing
 * dots and blanks, or empty segments. A path must lead to the same route in each of these readings.
 */

/** How often a path may be percent-encoded; each further time would cost another pass over it. */
const encodedAtMost = 3;

/** In how many ways a path may be read; each costs a look for its route. */
const readingsAtMost = 16;

/**
 * @param path with unreserved characters plain and hexadecimal digits in upper case
 * @returns its other readings, none twice; or a sentence for the client when one of them leads elsewhere than down
 */
export function readingsOf(path: string): readonly string[] | string {
  const plain = new Set([path, compatible(path)]);
  let all = new Set<string>();
  for (const start of plain) {
    let text = start;
    for (let round = 0; ; round += 1) {
      const fault = faultIn(text);
      if (fault !== undefined) return fault;
      all.add(text);
      const further = decoded(text);
      if (further === text) break;
      if (round === encodedAtMost) return "the path is encoded too many times";
      text = further;
    }
  }
  for (const take of liberties) {
    const more = new Set(all);
    for (const text of all) more.add(take(text));
    all = more;
    if (all.size > readingsAtMost) return "the path can be read in too many ways";
  }
  all.delete(path);
  return [...all];
}

function faultIn(text: string): string | undefined {
  // Dot segments, also with `;parameters` or blanks behind them.
  if (/(?:^|[/\\])\.{1,2}(?:%20)*(?:[/\\;?#]|$)/.test(text)) return "the path has dot segments";
  // The slash that is not one: servers differ in whether `%2F` separates segments.
  if (/\\|%(?:2f|5c)/i.test(text)) return "the path has an encoded slash or backslash";
  if (/%(?:[01][0-9a-f]|7f)/i.test(text)) return "the path has an encoded control character";
  // Bytes that UTF-8 does not have, and overlong forms (RFC 3629 §3): `%C0%AF` is a slash to a careless decoder.
  if (/%c[01]|%e0%[89]|%f0%8|%f[89a-d]%[89ab]/i.test(text)) return "the path is not UTF-8";
  // An encoding of one vendor's: `%u002e` is a dot to it.
  if (/%u[0-9a-f]{4}/i.test(text)) return "the path has a percent sign that encodes nothing";
  return undefined;
}

/** Everything that is encoded, decoded once; what has no place in a path is encoded anew. */
function decoded(text: string): string {
  return text.replace(/%([0-9A-Fa-f]{2})/g, (sequence, digits: string) => {
    const code = Number.parseInt(digits, 16);
    // A slash or a control character that shows itself now stays encoded, and is refused.
    return code <= 0x20 || code >= 0x7f || code === 0x2f || code === 0x5c
      ? sequence.toUpperCase()
      : String.fromCharCode(code);
  });
}

/** With characters that look different and mean the same brought to one (Unicode NFKC): `／` is a slash, `ａ` is an a. */
function compatible(path: string): string {
  return path.replace(/(?:%[89A-F][0-9A-F])+/g, (run) => {
    let text: string;
    try {
      text = decodeURIComponent(run);
    } catch {
      // Not UTF-8: whoever takes it takes it as it is.
      return run;
    }
    const folded = text.normalize("NFKC");
    if (folded === text) return run;
    return Array.from(folded, (character) =>
      character === "/" || character === "\\" ? "/" : encodeURIComponent(character),
    ).join("");
  });
}

const liberties: readonly ((text: string) => string)[] = [
  (text) => text.replace(/[?#].*$/s, ""),
  (text) => text.replace(/;[^/]*/g, ""),
  // To some readers of URLs what stands behind two slashes is a host (RFC 3986 §4.2).
  (text) => text.replace(/^\/\/[^/]*/, "") || "/",
  // From the first of them on, so that a long row of dots is looked at once.
  (text) => text.replace(/(?<!\.|%20)(?:\.|%20)+(?=\/|$)/g, ""),
  (text) => text.replace(/\/{2,}/g, "/"),
];

/** As a server reads it that does not mind the case of letters. */
export function withoutCase(path: string): string {
  return path.replace(/%[0-9A-F]{2}|[A-Z]+/g, (match) =>
    match.startsWith("%") ? match : match.toLowerCase(),
  );
}
