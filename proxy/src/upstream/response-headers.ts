/** Response fields as undici gives them: lower-case names, repeats as lists in order. */
export type ParsedHeaders = Readonly<Record<string, string | readonly string[] | undefined>>;

/** Fields of an answer that stop here: hop-by-hop (RFC 9110 §7.6.1), or ours to say. */
const stopped = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "proxy-authenticate",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "x-request-id",
]);

/** An answer whose end cannot be told for sure. */
export class BadFraming extends Error {
  override readonly name = "BadFraming";
}

/**
 * The fields that the client gets, as a flat list, repeats kept in order.
 *
 * @throws BadFraming when the upstream frames its answer in two ways, or in one that is unknown
 */
export function downstreamHeaders(status: number, headers: ParsedHeaders): string[] {
  const encoding = headers["transfer-encoding"];
  const length = headers["content-length"];
  if (encoding !== undefined) {
    // RFC 9112 §6.3: both at once may be an attempt at response splitting; another coding than chunked would be passed on wrongly.
    if (length !== undefined)
      throw new BadFraming("the answer has both Content-Length and Transfer-Encoding");
    if (typeof encoding !== "string" || encoding.trim().toLowerCase() !== "chunked")
      throw new BadFraming(`the answer has an unknown Transfer-Encoding: ${String(encoding)}`);
  }
  if (length !== undefined && (typeof length !== "string" || !/^\d+$/.test(length)))
    throw new BadFraming("the answer has a bad Content-Length");
  const named = namedBy(headers["connection"]);
  const list: string[] = [];
  for (const name in headers) {
    if (stopped.has(name) || (named !== undefined && named.has(name))) continue;
    // RFC 9110 §8.6: no Content-Length in a 204.
    if (status === 204 && name === "content-length") continue;
    const value = headers[name]!;
    if (typeof value === "string") list.push(name, value);
    else for (const one of value) list.push(name, one);
  }
  return list;
}

/** The fields that Connection names, or undefined when it names none but the usual options. */
function namedBy(options: string | readonly string[] | undefined): ReadonlySet<string> | undefined {
  if (options === undefined || options === "keep-alive" || options === "close") return undefined;
  const named = new Set(
    String(options)
      .split(",")
      .map((option) => option.trim().toLowerCase()),
  );
  // The length frames the answer; without it a cut-off body would look whole.
  named.delete("content-length");
  return named;
}
