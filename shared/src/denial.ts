import { challenge } from "./challenge.ts";
import { Refusal, type RefusalCode, type RefusalOptions } from "./refusal.ts";

/**
 * Why somebody was not let in, in fixed words: the `cause` of a log line `sign-in-failed`. No word of a client's is among them, so a
 * line can be searched for, counted and believed.
 */
export const denials = {
  "credential-absent": "nothing was shown, and the route asks for something",
  "address-blocked": "the client's address is shut out",

  "api-key-not-taken": "an API key, on a route that takes none",
  "token-not-taken": "a token, on a route that takes none",
  "session-not-taken": "a session, on a route that takes none",
  "token-and-api-key": "a token and an API key in one request",

  "authorization-malformed": "Authorization is not one bearer token",
  "authorization-repeated": "more than one Authorization field",
  "token-too-long": "the token is longer than 16 KiB",
  "token-parts": "the token has not three parts",
  "token-encoding": "a part of the token is empty, or not canonical base64url",
  "token-header": "the token's header is no unambiguous JSON object with alg, and kid if any",
  "token-type": "typ says that the token is something else",
  "token-extension": "the token's header has extensions (crit, b64)",
  "token-brings-key": "the token brings its own key",
  "token-claims": "the claims are no unambiguous JSON object with iss",
  "issuer-unknown": "the config does not name the token's issuer",
  "algorithm-not-allowed": "the issuer does not sign with the token's algorithm",
  "key-unknown": "no key of the issuer fits the token",
  "signature-wrong": "the signature is not the issuer's",
  "audience-wrong": "the token is for somebody else",
  "not-yet-valid": "nbf or iat is in the future",
  "claim-missing": "exp, iat, sub or aud is missing",
  "claim-malformed": "a claim is not what it has to be",
  "lifetime-too-long": "the token lives longer than maxTokenLifetime",

  "api-key-repeated":
    "more than one API key, or one in a spelling that only some servers understand",
  "api-key-malformed": "not in the form of an API key, or its checksum does not fit",
  "api-key-unknown": "there is no API key with this id and this secret",

  "session-ambiguous": "a session cookie that servers would read in different ways",
  "session-malformed": "the cookie has not the form of a session",
  "session-unknown": "there is no such session",
  "session-secret-wrong": "another secret than the session's",
  "session-not-configured": "the config has no sessions any more",
  "cross-site": "a page of another site, or one that does not say where it is from",

  expired: "the credential has expired",
  revoked: "the credential, or whoever it names, was revoked",
  "user-inactive": "the service of users says that the user is not active",
  "user-not-askable": "the subject could be read as a path",

  "role-missing": "the route wants another role",
  "scope-missing": "the route wants another scope",
  "origin-not-allowed": "pages of this origin may not connect",

  "revocations-stale": "what is known of the revocations is older than the route takes",
  "keys-unavailable": "the issuer's keys are not known, and cannot be had at the moment",
  "session-store-unavailable": "the session could not be looked up",
  "users-unavailable": "the service of users does not answer, and the route does not go without",
} as const;

export type DenialCause = keyof typeof denials;

export interface DenialOptions extends RefusalOptions {
  /** Who is said to have issued the credential: only one that the config names. */
  readonly issuer?: string | undefined;
}

/** The refusal of a request for who it is, or for what it may. Whatever keeps somebody out is one. */
export class Denial extends Refusal {
  readonly why: DenialCause;
  readonly issuer: string | undefined;

  constructor(code: RefusalCode, why: DenialCause, options: DenialOptions = {}) {
    super(code, options.cause === undefined ? { ...options, cause: denials[why] } : options);
    this.why = why;
    this.issuer = options.issuer === "" ? undefined : options.issuer;
  }
}

/**
 * The refusal of credentials that can be read in more than one way: nobody chooses one of them. RFC 6750 §3.1: more than one method, or
 * one of them twice, is `invalid_request`.
 *
 * @param detail a sentence for the client
 */
export function ambiguousCredential(why: DenialCause, detail: string): Denial {
  const field = challenge({ error: "invalid_request", description: detail });
  return new Denial("bad-request", why, { detail, headers: { "www-authenticate": field } });
}
