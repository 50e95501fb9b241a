/** Where a claim stands in a token. */
import { z } from "zod";

/**
 * The names on the way to a claim: a dot leads into an object, `\.` is a dot of the name. A URL is one name, because that is how issuers
 * call claims of their own (RFC 7519 §4.2): `https://example.com/roles`.
 */
export function claimNames(path: string): readonly string[] {
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(path)) return [path];
  return path.split(/(?<!\\)\./).map((name) => name.replaceAll("\\.", "."));
}

export const ClaimPath = z
  .string()
  .min(1)
  .max(200)
  .refine((path) => claimNames(path).every((name) => name !== ""), {
    error: "a name is missing: write realm_access.roles",
  })
  .describe(
    "Where the claim stands; dots go into objects: `realm_access.roles`. A dot of the name is `\\.`; a URL is one name.",
  );
