import { Refusal } from "@tocsin/shared";
import { routed } from "../pipeline/exchange.ts";
import type { Received, Routed } from "../pipeline/exchange.ts";
import type { Next, Stage } from "../pipeline/pipeline.ts";
import type { Reply } from "../pipeline/reply.ts";
import { bodyWanted } from "../routing/candidates.ts";
import { unread, type Asked } from "../routing/conditions.ts";
import { JsonBody } from "../routing/json-body.ts";
import { isJson } from "../routing/media-type.ts";
import type { Route } from "../routing/route.ts";
import type { Router } from "../routing/router.ts";
import { gather, tooLarge } from "./gather.ts";

/**
 * Finds the route. Refuses what was wrong with the request from the start, hosts that are not served, and ambiguous paths.
 *
 * The body is read only when the route depends on it.
 *
 * @param maxBytes how much of a body is read for that
 */
export function match(router: Router, maxBytes: number): Stage<Received, Routed> {
  return (exchange, next) => {
    if (exchange.fault !== undefined) throw exchange.fault;
    if (!router.serves(exchange.head.host!)) throw new Refusal("host-not-allowed");
    const asked: Asked = {
      host: exchange.head.host!,
      fields: exchange.head.passing,
      target: exchange.target,
      body: exchange.body === undefined ? undefined : unread,
    };
    const route = routeOf(router, exchange, asked);
    return route === bodyWanted
      ? matchByBody(router, maxBytes, exchange, asked, next)
      : next(routed(exchange, route));
  };
}

/** The same once more, now with the body. */
async function matchByBody(
  router: Router,
  maxBytes: number,
  exchange: Received,
  asked: Asked,
  next: Next<Routed>,
): Promise<Reply> {
  const body = await jsonOf(exchange, maxBytes);
  // Gone while we waited for it.
  if (exchange.aborted !== undefined) throw exchange.aborted;
  const route = routeOf(router, exchange, { ...asked, body });
  if (route === bodyWanted) throw new Error("a body that was read is wanted again");
  return next(routed(exchange, route));
}

/** Reads the body. @returns undefined when it is not JSON: it is then left as it is */
async function jsonOf(exchange: Received, maxBytes: number): Promise<JsonBody | undefined> {
  const { head } = exchange;
  if (!isJson(head.passing)) return undefined;
  // Before a client that waits for `100 Continue` is asked for it.
  if (head.contentLength !== undefined && head.contentLength > maxBytes) throw tooLarge(maxBytes);
  const bytes = await gather(exchange.body!, maxBytes);
  exchange.bytes = bytes;
  return bytes.length === 0 ? undefined : new JsonBody(bytes);
}

function routeOf(router: Router, exchange: Received, asked: Asked): Route | typeof bodyWanted {
  const { method, variants, caseless, head } = exchange;
  const route = router.find(exchange.path, method, asked);
  if (route === bodyWanted) return route;
  // The upstream may read the path in another way; the rules of another route would then be walked around.
  if (variants !== undefined) {
    for (const variant of variants) {
      const other = found(router, variant, method, asked);
      if (other === bodyWanted) return other;
      if (other !== route) throw ambiguous("path");
    }
  }
  // So may it the method, by a field: where another route has that one, or none, it would be walked around too.
  if (head.methodOverride !== undefined) {
    for (const name of head.methodOverride.toUpperCase().split(",")) {
      const other = found(router, exchange.path, name.trim(), asked);
      if (other === bodyWanted) return other;
      if (other !== route) throw ambiguous("method");
    }
  }
  // Paths that differ in the case of letters are different paths (RFC 3986 §6.2.2.1), but not to every server: where it would find
  // something that more is asked for, the spelling of the config is the only one.
  if (caseless !== undefined) {
    for (const variant of caseless) {
      const other = found(router, variant, method, asked);
      if (other === bodyWanted) return other;
      if (other !== undefined && other !== route && asksForMore(other, route))
        throw ambiguous("path");
    }
  }
  return route;
}

function ambiguous(what: "path" | "method"): Refusal {
  return new Refusal("bad-request", { detail: `the ${what} can be read in more than one way` });
}

/** Whether a route keeps somebody out whom another one may let in. */
function asksForMore({ auth }: Route, other: Route): boolean {
  return auth.mode === "required" && JSON.stringify(auth) !== JSON.stringify(other.auth);
}

function found(
  router: Router,
  path: string,
  method: string,
  asked: Asked,
): Route | typeof bodyWanted | undefined {
  try {
    return router.find(path, method, asked);
  } catch {
    return undefined;
  }
}
