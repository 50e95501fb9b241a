import type { AuthPolicy } from "@tocsin/shared/contract";
import type { Principal } from "./principal.ts";

/** Roles or scopes that are needed: one of `any`, and each of `all`. */
export interface Needs {
  readonly any?: readonly string[] | undefined;
  readonly all?: readonly string[] | undefined;
}

/** Whether somebody has what is needed; names are compared exactly. */
export function meets(needs: Needs | undefined, held: readonly string[]): boolean {
  if (needs === undefined) return true;
  if (needs.any !== undefined && !needs.any.some((name) => held.includes(name))) return false;
  return needs.all === undefined || needs.all.every((name) => held.includes(name));
}

/** Whether a principal has the roles and scopes that a route needs. */
export function mayPass({ roles, scopes }: AuthPolicy, principal: Principal): boolean {
  return meets(roles, principal.roles) && meets(scopes, principal.scopes);
}
