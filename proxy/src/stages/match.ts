import { Refusal } from "@tocsin/shared";
import { routed } from "../pipeline/exchange.ts";
import type { Received, Routed } from "../pipeline/exchange.ts";
import type { Stage } from "../pipeline/pipeline.ts";
import type { Asked } from "../routing/conditions.ts";
import type { Route } from "../routing/route.ts";
import type { Router } from "../routing/router.ts";

/** Finds the route. Refuses what was wrong with the request from the start, hosts that are not served, and ambiguous paths. */
export function match(router: Router): Stage<Received, Routed> {
  return (exchange, next) => {
    if (exchange.fault !== undefined) throw exchange.fault;
    if (!router.serves(exchange.head.host!)) throw new Refusal("host-not-allowed");
    const asked: Asked = {
      host: exchange.head.host!,
      fields: exchange.head.passing,
      target: exchange.target,
    };
    const route = router.find(exchange.path, exchange.method, asked);
    if (exchange.variants !== undefined) {
      // The upstream may read the path in another way; the rules of another route would then be walked around.
      for (const variant of exchange.variants) {
        if (found(router, variant, exchange.method, asked) !== route)
          throw new Refusal("bad-request", { detail: "the path can be read in more than one way" });
      }
    }
    return next(routed(exchange, route));
  };
}

function found(router: Router, path: string, method: string, asked: Asked): Route | undefined {
  try {
    return router.find(path, method, asked);
  } catch {
    return undefined;
  }
}
