import { BadAnswer, readAnswerHead } from "./answer-head.ts";

/**
 * Fields that mean nothing, or something else, after the body (RFC 9110 §6.5.1): framing, routing, authentication, what describes the
 * content or controls caches, and what only a gateway may say.
 */
const never =
  /^(?:content-.*|transfer-encoding|te|trailer|host|connection|upgrade|keep-alive|set-cookie.*|cookie|authorization|www-authenticate|proxy-.*|authentication-info|cache-control|expires|age|vary|pragma|date|location|retry-after|range|if-.*|expect|max-forwards|via|forwarded|x-forwarded-.*|x-real-ip|x-user-.*|x-auth-.*|x-request-id|traceparent|tracestate|access-control-.*|strict-transport-security)$/;

/**
 * The trailer fields of an answer that may pass to a client who asked for them, names and values in turn.
 *
 * @param text the trailer section without the empty line that ends it
 * @throws BadAnswer when it is not one
 */
export function readTrailers(text: string): string[] {
  if (text === "") return [];
  const { passing, contentLength, chunked } = readAnswerHead(`HTTP/1.1 200\r\n${text}`);
  // Framing behind the body: somebody is to be led to believe in another end.
  if (contentLength !== undefined || chunked) throw new BadAnswer("framing in the trailer section");
  const kept: string[] = [];
  for (let index = 0; index + 1 < passing.length; index += 2) {
    // Underscores for hyphens, as servers that hand fields to programs write them.
    const name = passing[index]!.toLowerCase().replace(/[^a-z0-9]/g, "-");
    if (!never.test(name)) kept.push(passing[index]!, passing[index + 1]!);
  }
  return kept;
}
