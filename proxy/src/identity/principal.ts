import type { WallTime } from "@tocsin/shared";
import type { Credential } from "@tocsin/shared/revocations";

/** Whom a request speaks for. Made once per credential, when it is verified, and shared by all requests that carry it. */
export type Principal = AnonymousPrincipal | IdentifiedPrincipal;

export interface AnonymousPrincipal {
  readonly method: "none";
  readonly roles: readonly [];
  readonly scopes: readonly [];
  /** The identity headers for the upstream, as a flat list of names and values. */
  readonly headers: readonly string[];
}

export interface IdentifiedPrincipal {
  readonly method: "jwt" | "api-key" | "session";
  /** The `sub` claim, or whom an API key or a session was made for. */
  readonly subject: string;
  /** Who says so. Empty: this gateway itself, by an API key or a session. */
  readonly issuer: string;
  readonly roles: readonly string[];
  readonly scopes: readonly string[];
  readonly session?: string;
  readonly client?: string;
  /** Unix seconds; Infinity: it does not expire. */
  readonly expiresAt: number;
  /** From then on it does not count any more, as far as clocks may be off, in Unix milliseconds. Absent: from `expiresAt` on. */
  readonly endsAt?: WallTime;
  /** What is asked of the revocations. */
  readonly credential: Credential;
  /** Of an API key: the digest of the secret that was shown, which may be rotated away. */
  readonly keyDigest?: string;
  /** As the credential says it, where the service of users has said other roles or scopes. Absent: this is it. */
  readonly shown?: IdentifiedPrincipal;
  /** The identity headers for the upstream, as a flat list of names and values, built once. */
  readonly headers: readonly string[];
}

export const anonymous: AnonymousPrincipal = {
  method: "none",
  roles: [],
  scopes: [],
  headers: ["X-Auth-Method", "none"],
};
