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

/** What is wrong with the fields behind a body. All other trailer fields of requests are dropped here. */
export function faultInTrailers({ rawTrailers }: IncomingMessage): Refusal | undefined {
  for (let index = 0; index < rawTrailers.length; index += 2) {
    if (misplaced.has(rawTrailers[index]!.toLowerCase()))
      return new Refusal("bad-request", {
        detail: "the trailer has a field that may not stand there",
        headers: { connection: "close" },
      });
  }
  return undefined;
}
