import { Denial } from "@tocsin/shared";
import type { Principal } from "../identity/principal.ts";
import { permitted } from "../pipeline/exchange.ts";
import type { Identified, Permitted } from "../pipeline/exchange.ts";
import type { Stage } from "../pipeline/pipeline.ts";

/** Roles or scopes that are needed: one of `any`, and each of `all`. */
interface Needs {
  readonly any?: readonly string[] | undefined;
  readonly all?: readonly string[] | undefined;
}

/** Lets through whom the route lets in; names are compared exactly. */
export function authorize(): Stage<Identified, Permitted> {
  return (exchange, next) => {
    const { auth } = exchange.route;
    const { principal } = exchange;
    if (!meets(auth.roles, principal.roles))
      throw new Denial("forbidden", "role-missing", {
        issuer: issuerOf(principal),
        detail: "a role is missing",
      });
    if (!meets(auth.scopes, principal.scopes))
      throw new Denial("forbidden", "scope-missing", {
        issuer: issuerOf(principal),
        ...insufficientScope(auth.scopes!),
      });
    return next(permitted(exchange));
  };
}

function issuerOf(principal: Principal): string | undefined {
  return principal.method === "none" ? undefined : principal.issuer;
}

function meets(needs: Needs | undefined, held: readonly string[]): boolean {
  if (needs === undefined) return true;
  if (needs.any !== undefined && !needs.any.some((name) => held.includes(name))) return false;
  return needs.all === undefined || needs.all.every((name) => held.includes(name));
}

/** RFC 6750 §3: the challenge may say which scopes are needed. Only characters of scope tokens get into it. */
function insufficientScope(needs: Needs) {
  const names = [...(needs.all ?? []), ...(needs.any ?? [])].filter((name) =>
    /^[\x21\x23-\x5b\x5d-\x7e]+$/.test(name),
  );
  const challenge = `Bearer realm="tocsin", error="insufficient_scope", scope="${names.join(" ")}"`;
  return { detail: "a scope is missing", headers: { "www-authenticate": challenge } };
}
