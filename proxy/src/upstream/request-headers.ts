import type { RequestHead } from "./request-head.ts";

/** Where a request came from, as far as it is told to the upstream. */
export interface Origin {
  /** The address at the other end of the connection. */
  readonly address: string;
  /** Whether what the peer says about the client is believed. */
  readonly trusted: boolean;
  /** `Forwarded` (RFC 7239) for this peer, without the host: `for=192.0.2.7;proto=http`. */
  readonly forwardedNode: string;
}

/** The name of this gateway in `Via` (RFC 9110 §7.6.3). */
const received = "1.1 tocsin";

/** How many gateways like this one a request may pass: one at the edge and a sidecar are two. */
const passesAtMost = 8;

/** Whether `Via` tells of a request that comes back to gateways again and again (RFC 9110 §7.6.3). */
export function loops(via: string): boolean {
  let passes = 0;
  for (const hop of via.split(",")) if (/^\s*[\w./-]+\s+tocsin(?:\s|$)/.test(hop)) passes += 1;
  return passes >= passesAtMost;
}

/**
 * The fields that the upstream gets: what may pass, then ours. Strangers' words about the client were never among them.
 *
 * @param identity whom the request speaks for, as a flat list of names and values
 * @param traceparent the client's when it was valid, else a fresh one
 */
export function upstreamHeaders(
  head: RequestHead,
  origin: Origin,
  requestId: string,
  traceparent: string,
  identity: readonly string[],
): string[] {
  const headers = head.passing;
  if (head.contentLength !== undefined && head.contentLength > 0)
    headers.push("Content-Length", String(head.contentLength));
  headers.push("X-Request-ID", requestId);
  for (let index = 0; index < identity.length; index += 1) headers.push(identity[index]!);
  const host = head.host!;
  if (origin.trusted) {
    headers.push(
      "X-Forwarded-For",
      extended(head.forwardedFor, origin.address),
      "X-Forwarded-Proto",
      head.forwardedProto ?? "http",
      "X-Forwarded-Host",
      head.forwardedHost ?? host,
      "Forwarded",
      extended(head.forwarded, forwardedElement(origin, host)),
    );
    if (head.aboutClient) headers.push(...head.aboutClient);
  } else {
    headers.push(
      "X-Forwarded-For",
      origin.address,
      "X-Forwarded-Proto",
      "http",
      "X-Forwarded-Host",
      host,
      "Forwarded",
      forwardedElement(origin, host),
    );
  }
  headers.push("traceparent", traceparent);
  if (head.tracestate !== undefined) headers.push("tracestate", head.tracestate);
  headers.push("Via", extended(head.via, received));
  // `TE` belongs to one connection: ours asks for what the client's asked (RFC 9110 §10.1.4).
  if (head.wantsTrailers) headers.push("TE", "trailers", "Connection", "TE");
  return headers;
}

function extended(list: string | undefined, element: string): string {
  return list === undefined || list === "" ? element : `${list}, ${element}`;
}

function forwardedElement(origin: Origin, host: string): string {
  // Always quoted: a host with a port or in brackets is not a token (RFC 7239 §4). A host has no quotes or backslashes.
  return `${origin.forwardedNode};host="${host}"`;
}

/** `for=192.0.2.7;proto=http`; an IPv6 address is bracketed and quoted (RFC 7239 §6). */
export function forwardedNode(address: string): string {
  return address.includes(":") ? `for="[${address}]";proto=http` : `for=${address};proto=http`;
}
