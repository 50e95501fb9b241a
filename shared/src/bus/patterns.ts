/** Subjects with wildcards, as NATS understands them: `*` is one token, `>` at the end is one or more. */
export interface Pattern {
  readonly subject: string;
  /** Undefined: no wildcards, compare the text. */
  readonly tokens: readonly string[] | undefined;
}

/** @throws Error when it is not a subject: empty tokens, white space, `>` in the middle */
export function pattern(subject: string): Pattern {
  const tokens = tokensOf(subject);
  if (tokens.slice(0, -1).includes(">")) throw notASubject(subject);
  return {
    subject,
    tokens: tokens.includes("*") || tokens.at(-1) === ">" ? tokens : undefined,
  };
}

export function matches({ subject, tokens }: Pattern, published: string): boolean {
  if (tokens === undefined) return subject === published;
  const parts = published.split(".");
  const open = tokens.at(-1) === ">";
  if (open ? parts.length < tokens.length : parts.length !== tokens.length) return false;
  return tokens.every((token, index) => token === "*" || token === ">" || token === parts[index]);
}

/** @throws Error when nothing may be published there */
export function assertSubject(subject: string): void {
  tokensOf(subject);
}

function tokensOf(subject: string): readonly string[] {
  const tokens = subject.split(".");
  if (/\s/.test(subject) || tokens.includes("")) throw notASubject(subject);
  return tokens;
}

function notASubject(subject: string): Error {
  return new Error(`not a subject: ${JSON.stringify(subject)}`);
}
