import type { IncomingMessage } from "node:http";
import { isIPv6 } from "node:net";
import { ambiguousCredential, Denial, Refusal } from "@tocsin/shared";
import type { Clock } from "@tocsin/shared";
import { methods } from "@tocsin/shared/contract";
import { Exchange } from "../pipeline/exchange.ts";
import type { Gate } from "../pipeline/gate.ts";
import { loops } from "../upstream/request-headers.ts";
import { authorizedTwice, readHead } from "../upstream/request-head.ts";
import type { RequestHead } from "../upstream/request-head.ts";
import { clientAddress } from "./address.ts";
import type { Connection } from "./connection.ts";
import { freshId, freshTraceparent } from "./ids.ts";
import { readTarget } from "./target.ts";

/** What a request id may look like; one from outside ends up in log lines and headers. */
const requestIdPattern = /^[A-Za-z0-9_-]{1,64}$/;

/**
 * A host name or address with an optional port (RFC 9110 §7.2); no user information, no list. Labels are not empty, but for the root
 * behind the last dot (RFC 1034 §3.1).
 */
const hostPattern =
  /^(?:(?:[A-Za-z0-9_~-]+\.)*[A-Za-z0-9_~-]+\.?|\[([0-9A-Fa-f:.]+)\])(?::(\d{1,5}))?$/;

/** A name is no longer (RFC 1035 §2.3.4); behind it there may be a port. */
const hostLength = 255 + ":65535".length;

function isHost(value: string): boolean {
  const parts = value.length > hostLength ? null : hostPattern.exec(value);
  if (parts === null) return false;
  const [, address, port] = parts;
  if (address !== undefined && !isIPv6(address)) return false;
  // Read to 16 bits, as some do, port 65616 would be 80.
  return port === undefined || (Number(port) > 0 && Number(port) <= 65_535);
}

/** Makes an exchange of a request. What is wrong with it is noted, not thrown: a refusal takes the way of every exchange. */
export function admit(
  request: IncomingMessage,
  connection: Connection,
  gate: Gate,
  clock: Clock,
): Exchange {
  const receivedAt = clock.monotonic();
  const head = readHead(request.rawHeaders);
  const origin = connection.origin(gate);
  const { trusted } = origin;
  const exchange = new Exchange(
    trusted && head.requestId !== undefined && requestIdPattern.test(head.requestId)
      ? head.requestId
      : freshId(),
    request.method ?? "",
    head,
    origin,
    trusted ? clientAddress(origin.address, head, gate.trusts) : origin.address,
    head.traceparent ?? freshTraceparent(),
    receivedAt,
  );
  exchange.fault = faultIn(exchange, request, connection, gate);
  return exchange;
}

function faultIn(
  exchange: Exchange,
  request: IncomingMessage,
  connection: Connection,
  { limits, isBlocked }: Gate,
): Refusal | undefined {
  const { head } = exchange;
  if (isBlocked(exchange.clientAddress)) return new Denial("address-blocked", "address-blocked");
  const url = request.url ?? "";
  if (url.length > limits.uri) return new Refusal("uri-too-long");
  if (head.bytes > limits.headers) return new Refusal("headers-too-large");
  if (exchange.method === "TRACE")
    return new Refusal("method-not-allowed", { headers: { allow: methods.join(", ") } });
  const malformed =
    version(request) ?? head.fault ?? placed(exchange, connection, url) ?? framing(head, request);
  if (malformed === authorizedTwice)
    return ambiguousCredential("authorization-repeated", malformed);
  if (malformed !== undefined) return new Refusal("bad-request", { detail: malformed });
  if (head.via !== undefined && loops(head.via)) return new Refusal("loop-detected");
  if (
    head.expect !== undefined &&
    head.expect.toLowerCase() !== "100-continue" &&
    request.httpVersionMinor === 1
  )
    return new Refusal("expectation-failed");
  if (
    head.contentLength !== undefined &&
    limits.body !== undefined &&
    head.contentLength > limits.body
  )
    return new Refusal("body-too-large");
  return undefined;
}

/** Decides host and target. @returns a sentence for the client when they are refused */
function placed(exchange: Exchange, connection: Connection, url: string): string | undefined {
  const { host } = exchange.head;
  if (host === undefined) return "no Host field";
  // Nearly all requests of a connection are for one host.
  if (host !== connection.host) {
    if (!isHost(host)) return "a bad Host field";
    connection.host = host;
  }
  let raw = url;
  if (!url.startsWith("/")) {
    // Absolute form (RFC 9112 §3.2.2): the target's host would count, so it must be the one that we see.
    const absolute = /^http:\/\/([^/?#]*)(.*)$/i.exec(url);
    if (absolute === null) return "the request target is neither a path nor an http URL";
    if (withoutPort(absolute[1]!) !== withoutPort(host))
      return "the request target and the Host field disagree";
    raw = absolute[2]!.startsWith("/") ? absolute[2]! : `/${absolute[2]}`;
  }
  const target = readTarget(raw);
  if (typeof target === "string") return target;
  exchange.path = target.path;
  exchange.target = target.query === "" ? target.path : target.path + target.query;
  exchange.variants = target.variants;
  exchange.caseless = target.caseless;
  return undefined;
}

function withoutPort(host: string): string {
  return host.toLowerCase().replace(/:80$/, "");
}

/** The parser lets two other versions through, in which messages would end elsewhere (RFC 9112 §2.3). */
function version({ httpVersionMajor }: IncomingMessage): string | undefined {
  return httpVersionMajor === 1 ? undefined : "not HTTP/1.1 or HTTP/1.0";
}

function framing(head: RequestHead, request: IncomingMessage): string | undefined {
  // RFC 9112 §6.1: HTTP/1.0 has no transfer codings; whoever sends one has the message framed by somebody else.
  return head.chunked && request.httpVersionMinor === 0
    ? "Transfer-Encoding in HTTP/1.0"
    : undefined;
}
