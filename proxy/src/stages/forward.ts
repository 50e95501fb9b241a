import type { Clock } from "@tocsin/shared";
import type { Permitted } from "../pipeline/exchange.ts";
import type { Next } from "../pipeline/pipeline.ts";
import { upstreamHeaders } from "../upstream/request-headers.ts";
import type { Upstreams } from "../upstream/upstreams.ts";

/** Sends the request to its service. The end of the line: every exchange that gets here was permitted. */
export function forward(upstreams: Upstreams, clock: Clock): Next<Permitted> {
  return (exchange) => {
    // Gone while we asked who it was.
    if (exchange.aborted !== undefined) throw exchange.aborted;
    const { head, route } = exchange;
    const headers = upstreamHeaders(
      head,
      exchange.origin,
      exchange.id,
      exchange.traceparent,
      exchange.principal.headers,
    );
    exchange.forwardedAt = clock.monotonic();
    exchange.service = route.service;
    return upstreams.send(exchange, route.upstream, undefined, headers);
  };
}
