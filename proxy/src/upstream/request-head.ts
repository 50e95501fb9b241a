import * as fields from "./fields.ts";

/** The fault of a request that says twice who it is. */
export const authorizedTwice = "more than one Authorization field";

/**
 * The fields of a request, read once: what may pass, and what the gateway decides on.
 *
 * What is left out of {@link RequestHead.passing} here cannot be forwarded by any later step.
 */
export class RequestHead {
  /** End-to-end fields that may reach the upstream, as they came, names and values in turn. */
  passing: string[] = [];
  host: string | undefined = undefined;
  authorization: string | undefined = undefined;
  /** Bytes of body announced; undefined when none are announced or the body is chunked. */
  contentLength: number | undefined = undefined;
  chunked = false;
  expect: string | undefined = undefined;
  requestId: string | undefined = undefined;
  /** Methods that some frameworks would take instead of the request line's, as a list. */
  methodOverride: string | undefined = undefined;
  /** The comma-separated lists, repeats joined in order (RFC 9110 §5.3). */
  forwardedFor: string | undefined = undefined;
  forwardedProto: string | undefined = undefined;
  forwardedHost: string | undefined = undefined;
  forwarded: string | undefined = undefined;
  via: string | undefined = undefined;
  traceparent: string | undefined = undefined;
  /** Fields that pass from a trusted peer only. */
  aboutClient: string[] | undefined = undefined;
  tracestate: string | undefined = undefined;
  /** The client takes trailer fields (`TE: trailers`, RFC 9110 §10.1.4). */
  wantsTrailers = false;
  /** Names that `Connection` took out of {@link RequestHead.passing}, in lower case. */
  hopByHop: ReadonlySet<string> | undefined = undefined;
  /** Names, values and separators, in bytes. */
  bytes = 0;
  /** Why this request is refused; undefined when its fields are in order. A sentence for the client. */
  fault: string | undefined = undefined;

  get hasBody(): boolean {
    return this.chunked || (this.contentLength !== undefined && this.contentLength > 0);
  }
}

/** Reads raw fields (names and values in turn) in one pass. Never throws: what is wrong is in `fault`. */
export function readHead(raw: readonly string[]): RequestHead {
  const head = new RequestHead();
  const { passing } = head;
  let options: string | undefined;
  let traceparents = 0;
  let bytes = 0;
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const name = raw[index]!;
    const value = raw[index + 1]!;
    // ": " and CRLF
    bytes += name.length + value.length + 4;
    switch (fields.kindOf(name)) {
      case fields.pass:
        passing.push(name, value);
        break;
      case fields.connection:
        options = joined(options, value);
        break;
      case fields.host:
        // Two hosts: we would route by one and the upstream by the other (RFC 9112 §3.2: answer 400).
        if (head.host !== undefined) head.fault = "more than one Host field";
        head.host = value;
        break;
      case fields.authorization:
        if (head.authorization !== undefined) head.fault = authorizedTwice;
        head.authorization = value;
        passing.push(name, value);
        break;
      case fields.contentLength:
        if (head.contentLength !== undefined || !/^\d{1,15}$/.test(value))
          head.fault = "a bad Content-Length";
        head.contentLength = Number(value);
        break;
      case fields.transferEncoding:
        // The only coding that may arrive here; `gzip, chunked` would be forwarded as something that it is not.
        if (head.chunked || value.toLowerCase() !== "chunked")
          head.fault = "an unknown Transfer-Encoding";
        head.chunked = true;
        break;
      case fields.expect:
        head.expect = joined(head.expect, value);
        break;
      case fields.requestId:
        // Two of them are none: which one would be an accident.
        head.requestId = head.requestId === undefined ? value : "";
        break;
      case fields.forwardedFor:
        head.forwardedFor = joined(head.forwardedFor, value);
        break;
      case fields.forwardedProto:
        head.forwardedProto = joined(head.forwardedProto, value);
        break;
      case fields.forwardedHost:
        head.forwardedHost = joined(head.forwardedHost, value);
        break;
      case fields.forwarded:
        head.forwarded = joined(head.forwarded, value);
        break;
      case fields.aboutClient:
        (head.aboutClient ??= []).push(name, value);
        break;
      case fields.methodOverride:
        head.methodOverride = joined(head.methodOverride, value);
        passing.push(name, value);
        break;
      case fields.te:
        if (/(?:^|,)\s*trailers\s*(?:,|$)/i.test(value)) head.wantsTrailers = true;
        break;
      case fields.traceparent:
        traceparents += 1;
        head.traceparent = value;
        break;
      case fields.tracestate:
        head.tracestate = joined(head.tracestate, value);
        break;
      case fields.via:
        head.via = joined(head.via, value);
        break;
      default:
        break;
    }
  }
  head.bytes = bytes;
  // Trace Context §3.2: a traceparent that is not valid is ignored, and a tracestate without one is too.
  if (
    traceparents !== 1 ||
    !traceparentPattern.test(head.traceparent!) ||
    emptyTrace.test(head.traceparent!)
  ) {
    head.traceparent = undefined;
    head.tracestate = undefined;
  }
  // RFC 9112 §6.1: both framings at once is an attempt at smuggling.
  if (head.chunked && head.contentLength !== undefined)
    head.fault = "both Content-Length and Transfer-Encoding";
  if (options !== undefined && options !== "keep-alive" && options !== "close")
    applyConnection(head, options);
  return head;
}

const traceparentPattern = /^(?!ff)[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/;
const emptyTrace = /^..-(?:0{32}-|.{33}0{16}-)/;

/** Fields that decide over a request here; taking them out for the upstream alone would split what we see from what it sees. */
const essential = new Set(["host", "authorization", "cookie", "content-length"]);

/** Fields named by Connection are hop-by-hop and stop here (RFC 9110 §7.6.1). Ours are added after this. */
function applyConnection(head: RequestHead, options: string): void {
  const named = new Set(options.split(",").map((option) => option.trim().toLowerCase()));
  for (const name of essential) {
    if (named.has(name)) head.fault = `Connection names ${name}`;
  }
  head.hopByHop = named;
  head.passing = without(head.passing, named);
  if (head.aboutClient) head.aboutClient = without(head.aboutClient, named);
  if (named.has("tracestate")) head.tracestate = undefined;
  if (named.has("traceparent")) head.traceparent = head.tracestate = undefined;
  if (named.has("x-request-id")) head.requestId = undefined;
}

function without(list: readonly string[], named: ReadonlySet<string>): string[] {
  const kept: string[] = [];
  for (let index = 0; index + 1 < list.length; index += 2) {
    if (!named.has(list[index]!.toLowerCase())) kept.push(list[index]!, list[index + 1]!);
  }
  return kept;
}

function joined(before: string | undefined, value: string): string {
  return before === undefined ? value : `${before}, ${value}`;
}
