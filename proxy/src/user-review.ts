/** Who decides about the users of what is open: the look-up of users, and what the routes need now. */
import { Refusal } from "@tocsin/shared";
import type { AuthPolicy, Config } from "@tocsin/shared/contract";
import type { Invalidations } from "@tocsin/shared/invalidations";
import { mayPass } from "./identity/needs.ts";
import type { IdentifiedPrincipal } from "./identity/principal.ts";
import type { Users } from "./identity/users/users.ts";
import type { UserReview } from "./listener/review.ts";
import type { Route } from "./routing/route.ts";

export interface UserReviewOptions {
  readonly users: Pick<Users, "concerns" | "check">;
  readonly invalidations: Pick<Invalidations, "onForgotten">;
  /** The config in force. */
  readonly config: () => Config | undefined;
}

export function userReview({ users, invalidations, config }: UserReviewOptions): UserReview {
  let known: { readonly of: Config | undefined; readonly auths: Map<string, AuthPolicy> } = {
    of: undefined,
    auths: new Map(),
  };
  /** What the route asks for now; where there is none of this name any more, what it asked for then. */
  function authOf(route: Route): AuthPolicy {
    const now = config();
    if (known.of !== now)
      known = { of: now, auths: new Map(now?.routes.map(({ id, auth }) => [id, auth])) };
    return known.auths.get(route.id) ?? route.auth;
  }
  const lacks = (auth: AuthPolicy, principal: IdentifiedPrincipal) =>
    mayPass(auth, principal) ? undefined : ("forbidden" as const);

  return {
    onForgotten: (listener) => invalidations.onForgotten(listener),
    concerns: (principal) => users.concerns(principal),
    async judge(principal, route) {
      const auth = authOf(route);
      try {
        // Whether the route goes without an answer is asked later: what is open can wait a little longer for one than a request.
        const strict: AuthPolicy = { ...auth, users: { onUnavailable: "deny" } };
        const found = await users.check(shownBy(principal), strict);
        return found.method === "none" ? undefined : lacks(auth, found);
      } catch (error) {
        const isRevoked = error instanceof Refusal && error.code === "credential-revoked";
        return isRevoked ? "revoked" : "unanswered";
      }
    },
    unanswered(principal, route) {
      const auth = authOf(route);
      // `stale` too: what was known was invalidated, or nobody would ask.
      return auth.users?.onUnavailable === "allow"
        ? lacks(auth, shownBy(principal))
        : "unavailable";
    },
  };
}

/** Roles that the service has said before are no roles of the credential. */
function shownBy(principal: IdentifiedPrincipal): IdentifiedPrincipal {
  return principal.shown ?? principal;
}
