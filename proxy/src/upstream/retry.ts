import type { Clock, Milliseconds, Random } from "@tocsin/shared";
import type { RetryPolicy, ServicePolicy } from "@tocsin/shared/contract";
import { UpstreamTimeout } from "./attempt.ts";
import type { Attempt } from "./attempt.ts";
import { ConnectFailure } from "./dial.ts";
import { ConnectionLost } from "./http1/connection.ts";

export type RetryCause = RetryPolicy["on"][number];

/** Methods that may be repeated (RFC 9110 §9.2.2). */
const idempotent = new Set(["GET", "HEAD", "OPTIONS", "PUT", "DELETE"]);

/** Why an attempt without an answer may be made again; undefined: it may not. */
export function causeOf(attempt: Attempt, error: Error): RetryCause | undefined {
  if (!attempt.sent)
    return error instanceof ConnectFailure || phaseOf(error) === "connect"
      ? "connect-failure"
      : undefined;
  if (attempt.answered) return undefined;
  if (error instanceof ConnectionLost) return "reset";
  return phaseOf(error) === "first-byte" ? "timeout" : undefined;
}

function phaseOf(error: Error): UpstreamTimeout["phase"] | undefined {
  return error instanceof UpstreamTimeout ? error.phase : undefined;
}

/**
 * Whether a request has the same effect however often it is made.
 *
 * @param headers names and values in turn
 */
export function isRepeatable(
  method: string,
  headers: readonly string[],
  retry: RetryPolicy | undefined,
): boolean {
  if (idempotent.has(method)) return true;
  if (retry?.idempotencyKey !== true || (method !== "POST" && method !== "PATCH")) return false;
  return valueOf(headers, "idempotency-key") !== undefined;
}

/**
 * Whether a request that came to nothing may be sent again. Without a policy: once, where nothing was sent.
 *
 * @param attempts so far
 */
export function mayRetry(
  { retry }: ServicePolicy,
  cause: RetryCause,
  attempts: number,
  method: string,
  headers: readonly string[],
): boolean {
  if (retry === undefined) return cause === "connect-failure" && attempts === 1;
  if (attempts >= retry.attempts || !retry.on.includes(cause)) return false;
  return cause === "connect-failure" || isRepeatable(method, headers, retry);
}

/** Full jitter: any time from 0 up to a bound that doubles with each retry. @param count retries before this one */
export function backoffMs(
  { backoff: { base, max } }: RetryPolicy,
  count: number,
  random: Random,
): Milliseconds {
  return random() * Math.min(max, base * 2 ** count);
}

/** What `Retry-After` asks for (RFC 9110 §10.2.3); undefined when it is absent or says nothing. */
export function retryAfterMs(headers: readonly string[], clock: Clock): Milliseconds | undefined {
  const value = valueOf(headers, "retry-after")?.trim();
  if (value === undefined || value === "") return undefined;
  if (/^\d{1,9}$/.test(value)) return Number(value) * 1_000;
  const date = /^[A-Z][a-z]{2}, /.test(value) ? Date.parse(value) : Number.NaN;
  return Number.isNaN(date) ? undefined : Math.max(0, date - clock.wall());
}

/** The first value of a field. */
export function valueOf(headers: readonly string[], name: string): string | undefined {
  for (let index = 0; index + 1 < headers.length; index += 2) {
    const found = headers[index]!;
    if (found.length === name.length && found.toLowerCase() === name) return headers[index + 1];
  }
  return undefined;
}
