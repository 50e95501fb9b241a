/**
 * Whose page sends a request. Browsers send cookies along wherever a page is from, so a cookie alone does not say that its user wanted
 * what is asked for (cross-site request forgery; OWASP, "Verifying Origin With Standard Headers").
 */
import type { Presented } from "../identity.ts";

export interface SiteRules {
  /** Serialised origins in lower case. */
  readonly origins: readonly string[];
  readonly withoutOrigin: "deny" | "allow";
  /** The cookie comes over https alone. */
  readonly secure: boolean;
}

/** RFC 9110 §9.2.1: what they do is for the service to keep harmless. */
const safe = new Set(["GET", "HEAD", "OPTIONS"]);

/** @returns why the request is refused, a sentence for the client; undefined: it is not */
export function crossSite(request: Presented, rules: SiteRules): string | undefined {
  // A handshake is a GET, and opens a channel on which everything can be asked for, by any page (RFC 6455 §10.2).
  if (safe.has(request.method) && request.switching === undefined) return undefined;
  const { passing } = request.head;
  const [site, ...moreSites] = valuesOf(passing, "sec-fetch-site");
  const [origin, ...moreOrigins] = valuesOf(passing, "origin");
  const [referer, ...moreReferers] = valuesOf(passing, "referer");
  if (moreSites.length + moreOrigins.length + moreReferers.length > 0)
    return "it says more than once where it comes from";
  // `null` is what sandboxed pages and files say: anybody's (RFC 6454 §7.3).
  const from = origin === undefined ? referer && originOf(referer) : serialised(origin);
  if (from !== undefined && rules.origins.includes(from)) return undefined;
  if (site !== undefined && site.toLowerCase() === "cross-site")
    return "it comes from a page of another site";
  if (origin === undefined && referer === undefined)
    return rules.withoutOrigin === "allow"
      ? undefined
      : "with a session it has to say in Origin where it comes from";
  return from !== undefined && isOwn(from, request, rules)
    ? undefined
    : "pages of this origin may not do this with a session";
}

/** Whether an origin is that of the host which was asked. */
function isOwn(from: string, { head, origin }: Presented, { secure }: SiteRules): boolean {
  const host = (origin.trusted ? head.forwardedHost : undefined) ?? head.host;
  // A list says that there were several hosts, and not which one the client meant.
  if (host === undefined || host.includes(",")) return false;
  const proto = origin.trusted ? head.forwardedProto?.trim().toLowerCase() : undefined;
  if (proto === "http" || proto === "https") return from === serialised(`${proto}://${host}`);
  // Nobody who is believed says how the client came. A cookie for https alone came over https; but browsers make an exception for
  // this very machine.
  if (from === serialised(`https://${host}`)) return true;
  return (!secure || isLoopback(host)) && from === serialised(`http://${host}`);
}

/** An origin in lower case, without the port that its scheme has anyway (RFC 6454 §6.2). @returns undefined when it is none */
function serialised(text: string): string | undefined {
  const parts = /^(https?):\/\/([^/?#@\s,]+)$/.exec(text.trim().toLowerCase());
  if (parts === null) return undefined;
  const usual = parts[1] === "https" ? ":443" : ":80";
  return `${parts[1]}://${parts[2]!.endsWith(usual) ? parts[2]!.slice(0, -usual.length) : parts[2]}`;
}

function originOf(referer: string): string | undefined {
  const origin = URL.parse(referer)?.origin;
  return origin === undefined ? undefined : serialised(origin);
}

function isLoopback(host: string): boolean {
  return /^(([a-z0-9-]+\.)*localhost|127(\.\d{1,3}){3}|\[::1\])(:\d{1,5})?$/i.test(host);
}

function valuesOf(fields: readonly string[], wanted: string): string[] {
  const values: string[] = [];
  for (let index = 0; index + 1 < fields.length; index += 2) {
    const name = fields[index]!;
    if (name.length === wanted.length && name.toLowerCase() === wanted)
      values.push(fields[index + 1]!.trim());
  }
  return values;
}
