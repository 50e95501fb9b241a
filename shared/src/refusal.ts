/**
 * Every negative answer the gateway gives of its own accord, as rows of one table.
 *
 * Status, problem document, metric label, log level and the reference page come from the row. Codes are API: they are never
 * renamed (docs/design/decisions/0006-refusal-codes-are-api.md).
 */

import { challenge } from "./challenge.ts";

/** Whose doing it is; decides the log level and which dashboards light up. */
export type Fault = "client" | "upstream" | "gateway" | "operator";

export interface RefusalRow {
  readonly status: number;
  readonly title: string;
  readonly fault: Fault;
  readonly level: "debug" | "info" | "warn" | "error";
  /** Headers that belong to the refusal by its standard, beside the problem document. */
  readonly headers?: Readonly<Record<string, string>>;
}

const invalidToken = (description: string) => challenge({ error: "invalid_token", description });

export const refusals = {
  "bad-request": {
    status: 400,
    title: "The request is malformed or ambiguous",
    fault: "client",
    level: "info",
  },
  "validation-failed": {
    status: 400,
    title: "The request does not validate",
    fault: "client",
    level: "info",
  },
  // RFC 6750 §3: the challenge names the scheme; §3.1: no error code when no credential was sent.
  // RFC 9110 §15.5.2: a 401 has a challenge, also where it is about an API key or a session, which have no scheme of their own.
  "credential-missing": {
    status: 401,
    title: "A credential is required",
    fault: "client",
    level: "info",
    headers: { "www-authenticate": challenge() },
  },
  "credential-invalid": {
    status: 401,
    title: "The credential is not valid",
    fault: "client",
    level: "info",
    headers: { "www-authenticate": invalidToken("The credential is not valid") },
  },
  "credential-expired": {
    status: 401,
    title: "The credential has expired",
    fault: "client",
    level: "info",
    headers: { "www-authenticate": invalidToken("The credential has expired") },
  },
  "credential-revoked": {
    status: 401,
    title: "The credential has been revoked",
    fault: "client",
    level: "info",
    headers: { "www-authenticate": invalidToken("The credential has been revoked") },
  },
  // Its challenge says what is missing, and is written where that is known. A page of another site has none: no other token would help.
  forbidden: {
    status: 403,
    title: "The credential does not permit this",
    fault: "client",
    level: "info",
  },
  "address-blocked": {
    status: 403,
    title: "Your address is blocked",
    fault: "client",
    level: "info",
  },
  "route-not-found": { status: 404, title: "No route matches", fault: "client", level: "info" },
  "method-not-allowed": {
    status: 405,
    title: "The route does not allow this method",
    fault: "client",
    level: "info",
  },
  "request-timeout": {
    status: 408,
    title: "The request took too long to arrive",
    fault: "client",
    level: "info",
    headers: { connection: "close" },
  },
  "body-too-large": {
    status: 413,
    title: "The request body is too large",
    fault: "client",
    level: "info",
    headers: { connection: "close" },
  },
  "uri-too-long": {
    status: 414,
    title: "The request target is too long",
    fault: "client",
    level: "info",
    headers: { connection: "close" },
  },
  // RFC 9110 §15.5.16: also for a content coding.
  "unsupported-media-type": {
    status: 415,
    title: "The request body is in a form that is not taken here",
    fault: "client",
    level: "info",
  },
  "expectation-failed": {
    status: 417,
    title: "The expectation cannot be met",
    fault: "client",
    level: "info",
  },
  "host-not-allowed": {
    status: 421,
    title: "This host is not served here",
    fault: "client",
    level: "info",
  },
  // RFC 9110 §15.5.22: it says what to upgrade to; RFC 6455 §4.4: and to which version of it.
  "upgrade-required": {
    status: 426,
    title: "Another version of the protocol is needed",
    fault: "client",
    level: "info",
    headers: {
      upgrade: "websocket",
      connection: "upgrade, close",
      "sec-websocket-version": "13",
    },
  },
  "quota-exceeded": {
    status: 429,
    title: "A quota is used up",
    fault: "client",
    level: "info",
    headers: { "retry-after": "1" },
  },
  "headers-too-large": {
    status: 431,
    title: "The request headers are too large",
    fault: "client",
    level: "info",
    headers: { connection: "close" },
  },
  internal: { status: 500, title: "The gateway failed", fault: "gateway", level: "error" },
  "upstream-failed": {
    status: 502,
    title: "The service failed to answer",
    fault: "upstream",
    level: "warn",
  },
  "service-unavailable": {
    status: 503,
    title: "The service is not available",
    fault: "upstream",
    level: "warn",
    headers: { "retry-after": "1" },
  },
  "stale-state": {
    status: 503,
    title: "The gateway's knowledge is too old to decide",
    fault: "gateway",
    level: "warn",
    headers: { "retry-after": "1" },
  },
  "session-store-unavailable": {
    status: 503,
    title: "Sessions cannot be looked up at the moment",
    fault: "gateway",
    level: "warn",
    headers: { "retry-after": "1" },
  },
  "upstream-timeout": {
    status: 504,
    title: "The service took too long to answer",
    fault: "upstream",
    level: "warn",
  },
  "loop-detected": {
    status: 508,
    title: "The request goes round in circles",
    fault: "operator",
    level: "warn",
  },
} as const satisfies Record<string, RefusalRow>;

export type RefusalCode = keyof typeof refusals;

export interface RefusalOptions {
  /** What happened, for the operator's log only; the client never sees it. */
  readonly cause?: unknown;
  /** A sentence that is safe to show to the client. */
  readonly detail?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Places in the request body that do not validate. */
  readonly errors?: readonly { readonly pointer: string; readonly message: string }[];
}

/** Thrown where it is known that a request is refused; rendered in one place (proxy/src/stages/explain.ts). */
export class Refusal extends Error {
  override readonly name = "Refusal";
  readonly code: RefusalCode;
  readonly row: RefusalRow;
  readonly detail: string | undefined;
  readonly headers: Readonly<Record<string, string>> | undefined;
  readonly errors: RefusalOptions["errors"];

  constructor(code: RefusalCode, options: RefusalOptions = {}) {
    // A refusal is an answer, not a defect: collecting a stack for each would cost more than the request itself.
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = 0;
    super(code, options.cause === undefined ? undefined : { cause: options.cause });
    Error.stackTraceLimit = stackTraceLimit;
    this.code = code;
    this.row = refusals[code];
    this.detail = options.detail;
    this.headers = options.headers;
    this.errors = options.errors;
  }
}
