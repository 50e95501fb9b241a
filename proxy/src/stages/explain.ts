import { Aborted, Denial, messageOf, problemMediaType, problemOf, Refusal } from "@tocsin/shared";
import type { Log } from "@tocsin/shared";
import type { Received } from "../pipeline/exchange.ts";
import type { Stage } from "../pipeline/pipeline.ts";
import type { Reply } from "../pipeline/reply.ts";
import { unwatched, type SignInFailures } from "../telemetry/sign-in-failures.ts";

/** The status in logs of an exchange whose client went away before an answer. Nobody gets it. */
export const clientClosedRequest = 499;

/**
 * The only place where a refusal becomes a reply.
 *
 * The client gets the row's status and a problem document; the cause goes to the log. Whoever was kept out is counted, and told of in
 * lines of another kind.
 */
export function explain(
  log: Log,
  failures: Pick<SignInFailures, "note"> = unwatched,
): Stage<Received> {
  return async (exchange, next) => {
    try {
      return await next(exchange);
    } catch (thrown) {
      if (thrown instanceof Aborted) {
        exchange.aborted = thrown;
        return { status: clientClosedRequest, headers: [], body: undefined };
      }
      const refusal =
        thrown instanceof Refusal ? thrown : new Refusal("internal", { cause: thrown });
      exchange.code = refusal.code;
      if (refusal instanceof Denial) failures.note(exchange, refusal);
      else if (refusal.cause !== undefined || refusal.row.level === "error") {
        log[refusal.row.level](
          { request_id: exchange.id, code: refusal.code, cause: causes(refusal.cause) },
          "request refused",
        );
      }
      return problemReply(refusal, exchange.id);
    }
  };
}

/** A refusal as the client sees it. */
export function problemReply(refusal: Refusal, requestId: string): Reply {
  const body = Buffer.from(JSON.stringify(problemOf(refusal, requestId)));
  const headers = [
    "content-type",
    problemMediaType,
    "content-length",
    String(body.length),
    "cache-control",
    "no-store",
  ];
  for (const extra of [refusal.row.headers, refusal.headers]) {
    if (extra === undefined) continue;
    for (const [name, value] of Object.entries(extra)) {
      // What the refusal says itself goes before what its row says.
      if (extra === refusal.row.headers && refusal.headers !== undefined && name in refusal.headers)
        continue;
      headers.push(name, value);
    }
  }
  return { status: refusal.row.status, headers, body };
}

/** The chain of causes as texts, outermost first; of an unknown error its stack too. */
function causes(thrown: unknown): string[] {
  const chain: string[] = [];
  for (
    let cause = thrown;
    cause !== undefined && chain.length < 6;
    cause = cause instanceof Error ? cause.cause : undefined
  ) {
    chain.push(messageOf(cause));
    if (
      cause instanceof Error &&
      chain.length === 1 &&
      cause.cause === undefined &&
      cause.stack !== undefined
    )
      chain.push(cause.stack);
  }
  return chain;
}
