import type { IdentifiedPrincipal } from "../principal.ts";

/** Segments that lead elsewhere, for whoever decodes a path before or after it splits it. */
const leadsElsewhere = /(?:^|[/\\])\.{1,2}(?:$|[/\\;])/;

/**
 * Makes the path that is asked for: each placeholder is a segment, and what stands for it stays one, whatever characters it has
 * (RFC 3986 §2.2).
 *
 * @returns undefined for a name that some server could take for another path (`../admin`): nobody is asked about it
 */
export function targetOf(
  path: string,
  { subject, issuer }: Pick<IdentifiedPrincipal, "subject" | "issuer">,
): string | undefined {
  const segments: string[] = [];
  for (const segment of path.split("/")) {
    if (segment !== "{subject}" && segment !== "{issuer}") {
      segments.push(segment);
      continue;
    }
    // A session or an API key is this gateway's own: nobody else stands behind it.
    const name = segment === "{subject}" ? subject : issuer === "" ? "-" : issuer;
    if (name === "" || !name.isWellFormed() || leadsElsewhere.test(name)) return undefined;
    segments.push(encodeURIComponent(name));
  }
  return segments.join("/");
}
