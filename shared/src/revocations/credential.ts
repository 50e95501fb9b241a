import type { Fingerprint } from "./generation.ts";

/** What is asked about: a verified credential, by what cannot be spelled in two ways. */
export interface Credential {
  /** Of a token. Empty: an API key or a session of this gateway's own. */
  readonly issuer: string;
  readonly subject: string;
  /** When it was made, in Unix seconds. */
  readonly issuedAt: number;
  /** Absent: the token can only be revoked by its user. */
  readonly jti: string | undefined;
  /**
   * Of issuer and `jti`, made once, so that the usual question costs no hash. Absent, or of a set that has another key by now: it is
   * made anew for each question.
   */
  readonly fingerprint: Fingerprint | undefined;
  /** The session that it belongs to: the `sid` claim, or the id of a session of this gateway's. */
  readonly session?: string | undefined;
  /** The client that it was issued to: `azp`. */
  readonly client?: string | undefined;
  /** The key that signed it: its `kid`, or its thumbprint (RFC 7638) when it has none. */
  readonly keyId?: string | undefined;
  /** The id of an API key. */
  readonly apiKey?: string | undefined;
}
