/**
 * Visible ASCII that cannot end a field, a list element or a quoted text. Everything else is percent-encoded, the percent sign too,
 * so that decoding gives back exactly what the token said.
 */
const unsafe = /[^\x21\x23-\x24\x26-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]/;
const eachUnsafe = /[^\x21\x23-\x24\x26-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]/gu;

/**
 * The identity headers for the upstream, as a flat list of names and values. A list that is empty has no header.
 *
 * @param subject well-formed text
 */
export function identityHeaders(
  method: string,
  subject: string,
  roles: readonly string[],
  scopes: readonly string[],
): readonly string[] {
  const headers = ["X-Auth-Method", method, "X-User-ID", encoded(subject)];
  if (roles.length > 0) headers.push("X-User-Roles", roles.map(encoded).join(","));
  if (scopes.length > 0) headers.push("X-User-Scopes", scopes.map(encoded).join(","));
  return headers;
}

function encoded(text: string): string {
  return unsafe.test(text) ? text.replace(eachUnsafe, (character) => percent(character)) : text;
}

function percent(character: string): string {
  return [...Buffer.from(character)]
    .map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`)
    .join("");
}
