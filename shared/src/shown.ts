/**
 * What may be shown of texts that came from outside: a message says what was found, and must not hand on a credential that somebody
 * has put where something else belongs.
 *
 * None of these expressions looks at a text more than a bounded number of times: the texts are strangers'.
 */

/** What a text is that lets somebody in. */
export type CredentialKind = "token" | "api-key" | "session";

/** A signed token (RFC 7515 §7.1): it begins with a JSON object in base64url. */
const token = /eyJ[\w-]{4,2048}\.[\w-]*\.[\w-]*/g;
/** Of an API key the id is public (shared/src/api-keys/key-text.ts). */
const apiKey = /(tocsin_[a-z2-7]{12}_)[\w-]{8,}/g;
/** Of the cookie of a session the id is (shared/src/sessions/cookie-value.ts). */
const session = /(?<![\w-])([\w-]{22}\.)[\w-]{43}(?![\w-])/g;
/** RFC 3986 §3.2.1: a password has no place in a URL, and stands there all the same. */
const userInformation = /:[^\s/?#"'\\]{1,256}@(?=[\w[])/g;
/** RFC 9110 §11.4. */
const authorization = /\b(bearer|basic) +[\w.~+/-]{8,}=*/gi;

/** The text with `[redacted]` in place of whatever looks like a credential. */
export function withoutCredentials(text: string): string {
  return text
    .replace(token, "[redacted]")
    .replace(apiKey, "$1[redacted]")
    .replace(session, "$1[redacted]")
    .replace(userInformation, ":[redacted]@")
    .replace(authorization, "$1 [redacted]");
}

/** Whether there is a credential in a text that should be a name. */
export function credentialIn(text: string): CredentialKind | undefined {
  if (text.search(token) >= 0) return "token";
  if (text.search(apiKey) >= 0) return "api-key";
  return text.search(session) >= 0 ? "session" : undefined;
}

/** Longer texts are shown by how they begin: a secret that is worth the name is longer. */
const wholeLength = 24;
const beginning = 12;
/** Of what is no text at all, in characters. */
const longest = 60;
/** What is said of URLs is about any part of them. */
const url = /^https?:\/\//i;

/** A value as it stands in the message about it: as JSON, without credentials, and of a long text the beginning. */
export function shown(value: unknown): string {
  if (value === undefined) return "nothing";
  const text = JSON.stringify(value, (_key, item: unknown) =>
    typeof item === "string" ? short(item) : item,
  );
  return text.length > longest && typeof value !== "string"
    ? `${text.slice(0, longest - 3)}...`
    : text;
}

/** A message of somebody else's that quotes what it is about. */
export function shownMessage(message: string): string {
  return withoutCredentials(message).replace(/\S{25,}/g, (word) => `${word.slice(0, beginning)}…`);
}

function short(text: string): string {
  const safe = withoutCredentials(text);
  const length = url.test(safe) ? longest : wholeLength;
  return safe.length <= length
    ? safe
    : `${safe.slice(0, length === longest ? longest : beginning)}… (${text.length} characters)`;
}
