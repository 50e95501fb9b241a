/** What a request shows as its session: one cookie of that name, or something that servers would read in different ways. */
export type ShownCookie =
  | { readonly kind: "value"; readonly value: string }
  /** A sentence for the client. */
  | { readonly kind: "ambiguous"; readonly why: string };

/**
 * Takes the cookie of sessions out of the fields that go on to the upstream. The others stay as they are, byte for byte.
 *
 * There is one way to spell it: `name=value` between semicolons, once, in one field (RFC 6265 §5.4). Whatever some servers would read as
 * that cookie too, and others not, is ambiguous: it is neither the first one by accident, nor nobody's.
 */
export class SessionCookie {
  readonly #name: string;

  constructor(name: string) {
    this.#name = name;
  }

  /** @param head its `passing` is replaced where it had the cookie. @returns undefined when nothing of that name is there */
  take(head: { passing: string[] }): ShownCookie | undefined {
    const { passing } = head;
    let fields = 0;
    let concerned = false;
    for (let index = 0; index + 1 < passing.length; index += 2) {
      if (!isCookie(passing[index]!)) continue;
      fields += 1;
      concerned ||= passing[index + 1]!.includes(this.#name);
    }
    return concerned ? this.#takeFrom(head, fields) : undefined;
  }

  #takeFrom(head: { passing: string[] }, fields: number): ShownCookie | undefined {
    const kept: string[] = [];
    const shown: string[] = [];
    let why: string | undefined;
    for (let index = 0; index + 1 < head.passing.length; index += 2) {
      const field = head.passing[index]!;
      let value = head.passing[index + 1]!;
      if (isCookie(field)) {
        const rest: string[] = [];
        let isHere = false;
        for (const pair of value.split(";")) {
          const at = pair.indexOf("=");
          const name = at < 0 ? pair : pair.slice(0, at);
          if (trimmed(name) !== this.#name) {
            rest.push(pair);
            continue;
          }
          isHere = true;
          if (at < 0 || isBlank(name.at(-1))) why = "the session cookie is not name=value";
          shown.push(trimmed(pair.slice(at + 1)));
        }
        // To parsers that know quotes, semicolons in between end nothing (RFC 2109 §4.1).
        if (rest.some((pair) => this.#isWithin(trimmed(pair)) || (isHere && opensQuote(pair))))
          why = "the session cookie stands within another one";
        if (isHere) {
          if (rest.every((pair) => trimmed(pair) === "")) continue;
          value = rest.join(";").trimStart();
        }
      }
      kept.push(field, value);
    }
    head.passing = kept;
    if (shown.length > 1) why = "more than one session cookie";
    // RFC 6265 §5.4: one field. Which of several counts, servers do not agree.
    else if (shown.length === 1 && fields > 1) why = "more than one Cookie field";
    if (why !== undefined) return { kind: "ambiguous", why };
    return shown.length === 0 ? undefined : { kind: "value", value: shown[0]! };
  }

  /**
   * Whether the name stands where old parsers begin another cookie: behind a comma (RFC 2109 §4.3.4), a quote or a blank in a value.
   * Without regular expressions: on a field of nothing but blanks they would take their time.
   */
  #isWithin(pair: string): boolean {
    const name = this.#name;
    for (let at = pair.indexOf(name, 1); at >= 0; at = pair.indexOf(name, at + name.length)) {
      const before = pair[at - 1];
      if (before !== "," && before !== '"' && !isBlank(before)) continue;
      let end = at + name.length;
      while (isBlank(pair[end])) end += 1;
      if (pair[end] === "=") return true;
    }
    return false;
  }
}

function isCookie(name: string): boolean {
  return name.length === 6 && name.toLowerCase() === "cookie";
}

/** `a="b`: a quote that is not closed. */
function opensQuote(pair: string): boolean {
  const value = trimmed(pair.slice(pair.indexOf("=") + 1));
  return value.startsWith('"') && (value.length === 1 || !value.endsWith('"'));
}

/** Without blanks and tabs around it, and no other characters: a browser sends none of those. */
function trimmed(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isBlank(text[start])) start += 1;
  while (end > start && isBlank(text[end - 1])) end -= 1;
  return text.slice(start, end);
}

function isBlank(character: string | undefined): boolean {
  return character === " " || character === "\t";
}
