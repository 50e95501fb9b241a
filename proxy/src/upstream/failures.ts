import { messageOf, Refusal } from "@tocsin/shared";
import { UploadStalled, UpstreamTimeout } from "./attempt.ts";
import { ConnectTimeout } from "./dial.ts";

/** Whether a request without an answer, or with half of one, speaks against the instance; what the client did does not. */
export function isTheirs(error: Error): boolean {
  return !(error instanceof Refusal || error instanceof UploadStalled || error.name === "Aborted");
}

/** What the client is told about the failure of an upstream; the cause stays in the log. */
export function refusalOf(error: Error, service: string): Error {
  if (error instanceof Refusal || error.name === "Aborted") return error;
  if (error instanceof UploadStalled) return new Refusal("request-timeout", { cause: error });
  const timeout = error instanceof UpstreamTimeout || error instanceof ConnectTimeout;
  const cause = new Error(`service ${service}: ${messageOf(error)}`, { cause: error });
  return new Refusal(timeout ? "upstream-timeout" : "upstream-failed", { cause });
}

/** Whether a refusal says that the service had no answer: what a fallback is for. */
export function hadNoAnswer(error: unknown): error is Refusal {
  if (!(error instanceof Refusal)) return false;
  const { code } = error;
  return (
    code === "service-unavailable" || code === "upstream-failed" || code === "upstream-timeout"
  );
}

/** No instance may get a request. @param seconds until one may, as far as that is known */
export function unavailable(seconds: number | undefined): Refusal {
  return seconds === undefined
    ? new Refusal("service-unavailable")
    : new Refusal("service-unavailable", { headers: { "retry-after": String(seconds) } });
}
