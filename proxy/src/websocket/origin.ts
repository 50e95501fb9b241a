/** What a request says about where it comes from and where it goes. */
export interface OriginClaim {
  /** Each `Origin` field. */
  readonly origins: readonly string[];
  /** The hosts under which this gateway was called: `Host`, and what a trusted peer says it was. */
  readonly hosts: readonly (string | undefined)[];
}

/**
 * Whether a page may open a WebSocket here (RFC 6455 §10.2): browsers send cookies along wherever the page is from.
 *
 * A request without `Origin` is not a page's. Pages of the host itself may, and those of the listed origins.
 *
 * @param allowed serialised origins in lower case, or `*`
 */
export function mayConnect(
  { origins, hosts }: OriginClaim,
  allowed: readonly string[] | undefined,
): boolean {
  if (origins.length === 0) return true;
  if (origins.length > 1) return false;
  if (allowed?.includes("*")) return true;
  // `null` is what sandboxed pages and files say: anybody's (RFC 6454 §7.3).
  const found = /^(https?):\/\/([^/?#@\s]+)$/.exec(origins[0]!.toLowerCase());
  if (found === null) return false;
  const scheme = found[1]!;
  const place = withoutPort(found[2]!, scheme);
  // TLS may have ended before us, so the scheme of our own host is not known.
  if (hosts.some((host) => host !== undefined && withoutPort(host.toLowerCase(), scheme) === place))
    return true;
  return allowed?.some((origin) => sameOrigin(origin, scheme, place)) ?? false;
}

function sameOrigin(origin: string, scheme: string, place: string): boolean {
  const prefix = `${scheme}://`;
  return origin.startsWith(prefix) && withoutPort(origin.slice(prefix.length), scheme) === place;
}

/** Without the port that the scheme has anyway. */
function withoutPort(host: string, scheme: string): string {
  const usual = scheme === "https" ? ":443" : ":80";
  return host.endsWith(usual) ? host.slice(0, -usual.length) : host;
}
