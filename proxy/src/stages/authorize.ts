import { challenge, Denial } from "@tocsin/shared";
import { meets, type Needs } from "../identity/needs.ts";
import type { Principal } from "../identity/principal.ts";
import { permitted } from "../pipeline/exchange.ts";
import type { Identified, Permitted } from "../pipeline/exchange.ts";
import type { Stage } from "../pipeline/pipeline.ts";

/** Lets through whom the route lets in; names are compared exactly. */
export function authorize(): Stage<Identified, Permitted> {
  return (exchange, next) => {
    const { auth } = exchange.route;
    const { principal } = exchange;
    if (!meets(auth.roles, principal.roles))
      throw new Denial("forbidden", "role-missing", {
        issuer: issuerOf(principal),
        ...insufficient("a role is missing", auth.scopes),
      });
    if (!meets(auth.scopes, principal.scopes))
      throw new Denial("forbidden", "scope-missing", {
        issuer: issuerOf(principal),
        ...insufficient("a scope is missing", auth.scopes),
      });
    return next(permitted(exchange));
  };
}

function issuerOf(principal: Principal): string | undefined {
  return principal.method === "none" ? undefined : principal.issuer;
}

/**
 * RFC 6750 §3.1: the challenge says which scopes the route wants, so that the client can ask for them at once. Of those of which one is
 * enough it names all, because a list cannot say so.
 */
function insufficient(description: string, { all = [], any = [] }: Needs = {}) {
  const scopes = [...all, ...any];
  const field = challenge({ error: "insufficient_scope", description, scopes });
  return { detail: description, headers: { "www-authenticate": field } };
}
