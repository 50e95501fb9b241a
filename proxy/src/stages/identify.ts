import { Denial } from "@tocsin/shared";
import type { Milliseconds } from "@tocsin/shared";
import type { Identity } from "../identity/identity.ts";
import type { Principal } from "../identity/principal.ts";
import { identified } from "../pipeline/exchange.ts";
import type { Identified, Routed } from "../pipeline/exchange.ts";
import type { Stage } from "../pipeline/pipeline.ts";

/** How old the knowledge of this proxy is. */
export interface Staleness {
  /** Time since the revocations were known to be current; undefined: not since this process began. */
  revocationsMs(): Milliseconds | undefined;
}

/**
 * Finds out whom the request speaks for.
 *
 * A credential is good only as far as the revocations are known: beyond the route's bound the route says what happens.
 */
export function identify(identity: Identity, staleness: Staleness): Stage<Routed, Identified> {
  return (exchange, next) => {
    const { auth } = exchange.route;
    // Where credentials are not looked at too: they are not for the upstream.
    const found = identity.identify(exchange, auth);
    return found instanceof Promise
      ? later(exchange, found)
      : next(identified(exchange, fresh(exchange, found)));

    async function later(exchange: Routed, promise: Promise<Principal>) {
      return next(identified(exchange, fresh(exchange, await promise)));
    }
  };

  function fresh(exchange: Routed, principal: Principal): Principal {
    if (principal.method === "none") return principal;
    const { revocation } = exchange.route;
    // Read from disk and not confirmed since: of unknown age, so older than any bound. (Without any snapshot the gate is closed.)
    const ageMs = staleness.revocationsMs() ?? Infinity;
    if (ageMs > revocation.maxStalenessMs && revocation.denyWhenStale)
      throw new Denial("stale-state", "revocations-stale", { issuer: principal.issuer });
    return principal;
  }
}
