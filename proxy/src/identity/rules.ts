import { claimNames } from "@tocsin/shared/contract";
import type { Algorithm, Issuer } from "@tocsin/shared/contract";

/** What an issuer's tokens must comply with. Made once per config. */
export interface IssuerRules {
  readonly issuer: string;
  readonly audience: readonly string[];
  readonly algorithms: readonly Algorithm[];
  /** In seconds. */
  readonly toleranceSeconds: number;
  /** In seconds. */
  readonly maxLifetimeSeconds: number;
  /** Where the claims stand, as paths into the payload. */
  readonly claims: {
    readonly roles: readonly string[];
    readonly scopes: readonly string[];
    readonly session: readonly string[];
    readonly client: readonly string[];
  };
}

export function rulesOf(issuer: Issuer): IssuerRules {
  const { roles, scopes, session, client } = issuer.claims;
  return {
    issuer: issuer.issuer,
    audience: typeof issuer.audience === "string" ? [issuer.audience] : issuer.audience,
    algorithms: issuer.algorithms,
    toleranceSeconds: issuer.clockTolerance / 1000,
    maxLifetimeSeconds: issuer.maxTokenLifetime / 1000,
    claims: {
      roles: claimNames(roles),
      scopes: claimNames(scopes),
      session: claimNames(session),
      client: claimNames(client),
    },
  };
}
