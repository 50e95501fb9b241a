import { Aborted } from "@tocsin/shared";
import { codeOf, refusalOf, type Ending } from "../streams/standing.ts";
import type { ExchangeResponse } from "./response.ts";

/**
 * Ends what is open for somebody who would not be let in any more. WebSockets and event streams end as their protocols say. Of everything
 * else an answer that has begun is visibly cut short (RFC 9112 §8), and one that has not begun is the refusal that a new request would
 * get.
 *
 * @returns false: it waits for something before it is forwarded, and cannot be ended yet
 */
export function endNow(response: ExchangeResponse, ending: Ending): boolean {
  const exchange = response.exchange!;
  if (response.stream !== undefined) {
    response.stream.close(codeOf(ending), ending);
    return true;
  }
  // What was refused is on its way out already.
  if (exchange.code !== undefined) return true;
  if (!response.headersSent) {
    // Nothing of an answer has come: whoever waits for it gets the refusal in its place.
    exchange.delivery?.abort(refusalOf(ending));
    return exchange.delivery !== undefined;
  }
  exchange.aborted ??= new Aborted(ending);
  exchange.delivery?.abort(exchange.aborted);
  response.destroy();
  return true;
}
