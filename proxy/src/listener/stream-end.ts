import { Aborted } from "@tocsin/shared";
import type { Exchange } from "../pipeline/exchange.ts";
import type { StreamEnd } from "../streams/streams.ts";

/** Says in the access line of an exchange what ended its stream. One that ended as its protocol says needs no word. */
export function noteEnd(exchange: Exchange, end: StreamEnd): void {
  switch (end) {
    case "closed":
      return;
    case "client-gone":
      exchange.aborted = new Aborted("client-gone");
      return;
    case "upstream-gone":
      exchange.code = "upstream-failed";
      return;
    case "idle":
    case "stalled":
    case "lifetime":
      exchange.aborted = new Aborted("deadline");
      return;
    case "shutdown":
      exchange.aborted = new Aborted("shutdown");
      return;
    case "message-too-large":
      exchange.code = "body-too-large";
      return;
    case "protocol-error":
      exchange.code = "bad-request";
      return;
    case "revoked":
      exchange.code = "credential-revoked";
      return;
    case "expired":
      exchange.code = "credential-expired";
      return;
    case "blocked":
      exchange.code = "address-blocked";
      return;
    case "forbidden":
      exchange.code = "forbidden";
      return;
    case "unavailable":
      exchange.code = "service-unavailable";
      return;
    default:
      end satisfies never;
  }
}
