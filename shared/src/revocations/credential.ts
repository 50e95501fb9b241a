import type { Fingerprint } from "./generation.ts";

/** What is asked about: a verified token, by what cannot be spelled in two ways. */
export interface Credential {
  readonly issuer: string;
  readonly subject: string;
  /** Unix seconds. */
  readonly issuedAt: number;
  /** Absent: the token can only be revoked by its user. */
  readonly jti: string | undefined;
  /**
   * Of issuer and `jti`, made once, so that the usual question costs no hash. Absent, or of a set that has another key by now: it is
   * made anew for each question.
   */
  readonly fingerprint: Fingerprint | undefined;
}
