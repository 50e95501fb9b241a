import type { Fallback, ServicePolicy } from "@tocsin/shared/contract";

/** What stands in for a service that has no answer. */
export type StandIn =
  | { readonly kind: "service"; readonly upstream: ServicePolicy }
  | {
      readonly kind: "answer";
      readonly status: number;
      /** Names and values in turn. To be copied before anything is added. */
      readonly headers: readonly string[];
      readonly body: Buffer | undefined;
    };

/** Makes of a route's fallback what requests need: nothing is put together for each. */
export function standInOf(
  fallback: Fallback | undefined,
  policyOf: (service: string) => ServicePolicy,
): StandIn | undefined {
  if (fallback === undefined) return undefined;
  if ("service" in fallback) return { kind: "service", upstream: policyOf(fallback.service) };
  const { status, contentType, body: text } = fallback.answer;
  // RFC 9110 §15.3.5, §15.4.5: these have no content, and no length of it.
  if (status === 204 || status === 304)
    return { kind: "answer", status, headers: noStore, body: undefined };
  const body = Buffer.from(text);
  const headers = ["content-type", contentType, "content-length", String(body.length), ...noStore];
  return { kind: "answer", status, headers, body };
}

/** What stands in for an answer is none that a cache should keep. */
const noStore = ["cache-control", "no-store"];
