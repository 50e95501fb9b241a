import type { Clock } from "@tocsin/shared";
import type { Permitted } from "../pipeline/exchange.ts";
import type { Next } from "../pipeline/pipeline.ts";
import type { Reply } from "../pipeline/reply.ts";
import type { StandIn } from "../routing/fallback.ts";
import { hadNoAnswer } from "../upstream/failures.ts";
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
    // Hop by hop, so ours to say; the other fields of the handshake go end to end (RFC 6455 §4.1).
    if (exchange.switching !== undefined)
      headers.push("Upgrade", "websocket", "Connection", "Upgrade");
    exchange.forwardedAt = clock.monotonic();
    const upstream = route.split === undefined ? route.upstream : route.split.draw();
    exchange.service = upstream.service;
    const { fallback } = route;
    if (fallback === undefined) return upstreams.send(exchange, upstream, undefined, headers);
    if (fallback.kind === "service")
      return upstreams.send(exchange, upstream, fallback.upstream, headers);
    return upstreams
      .send(exchange, upstream, undefined, headers)
      .catch((error: unknown) => standIn(exchange, error, fallback));
  };
}

/** The fixed answer instead of a refusal that says that the service had none. */
function standIn(
  exchange: Permitted,
  error: unknown,
  { status, headers, body }: StandIn & { kind: "answer" },
): Reply {
  if (!hadNoAnswer(error)) throw error;
  // None of them gave this answer.
  exchange.instance = undefined;
  return { status, headers: [...headers], body };
}
