import type { IncomingMessage } from "node:http";
import { Refusal } from "@tocsin/shared";

/**
 * Fields that frame a message, route it or say who sent it. Behind the body they come too late for everybody who decided by them
 * (RFC 9110 §6.5.1).
 */
const misplaced = new Set([
  "transfer-encoding",
  "content-length",
  "host",
  "authorization",
  "proxy-authorization",
  "connection",
  "expect",
  "te",
  "trailer",
  "upgrade",
  "content-encoding",
  "content-type",
  "content-range",
  "cache-control",
  "cookie",
  "set-cookie",
]);

/**
 * What is wrong with the fields behind a body. All other trailer fields of requests are dropped here.
 *
 * @param maxBytes how many bytes they may have, as those of the head
 */
export function faultInTrailers(
  { rawTrailers }: IncomingMessage,
  maxBytes: number,
): Refusal | undefined {
  let bytes = 0;
  for (let index = 0; index + 1 < rawTrailers.length; index += 2) {
    const name = rawTrailers[index]!;
    if (misplaced.has(name.toLowerCase()))
      return new Refusal("bad-request", {
        detail: "the trailer has a field that may not stand there",
        headers: { connection: "close" },
      });
    // ": " and CRLF
    bytes += name.length + rawTrailers[index + 1]!.length + 4;
  }
  return bytes > maxBytes ? new Refusal("headers-too-large") : undefined;
}
