/** Whom a request speaks for. Made once per credential, when it is verified, and shared by all requests that carry it. */
export type Principal = AnonymousPrincipal | TokenPrincipal;

export interface AnonymousPrincipal {
  readonly method: "none";
  readonly roles: readonly [];
  readonly scopes: readonly [];
  /** The identity headers for the upstream, as a flat list of names and values. */
  readonly headers: readonly string[];
}

export interface TokenPrincipal {
  readonly method: "jwt";
  /** The `sub` claim. */
  readonly subject: string;
  readonly issuer: string;
  readonly roles: readonly string[];
  readonly scopes: readonly string[];
  readonly session?: string;
  readonly client?: string;
  /** Unix seconds. */
  readonly expiresAt: number;
  /** The identity headers for the upstream, as a flat list of names and values, built once. */
  readonly headers: readonly string[];
}

export const anonymous: AnonymousPrincipal = {
  method: "none",
  roles: [],
  scopes: [],
  headers: ["X-Auth-Method", "none"],
};
