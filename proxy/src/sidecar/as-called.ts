import type { Received } from "../pipeline/exchange.ts";
import type { Gate } from "../pipeline/gate.ts";

/** What may stand between quotes in `Forwarded` (RFC 7239 §4), and so much of a host as routes look at. */
const plainHost = /^[A-Za-z0-9._~:[\]-]{1,262}$/;

/**
 * Has the host count that the client called, where a trusted proxy tells it.
 *
 * In `Host` an edge proxy writes where this sidecar listens (RFC 9110 §7.2), and routes are written for the host that clients call.
 */
export function asCalled(gate: Gate): Gate {
  return {
    ...gate,
    handle(exchange: Received) {
      const { head, origin } = exchange;
      if (origin.trusted && head.forwardedHost !== undefined && plainHost.test(head.forwardedHost))
        head.host = head.forwardedHost;
      return gate.handle(exchange);
    },
  };
}
