import { Denial } from "@tocsin/shared";
import type { Clock, Log, Random } from "@tocsin/shared";
import type { Issuer } from "@tocsin/shared/contract";
import { Admission } from "./admission.ts";
import type { Verified } from "./admission.ts";
import { bearerToken } from "./bearer.ts";
import { readClaims } from "./claims.ts";
import type { Claims } from "./claims.ts";
import type { Fetch } from "./fetch-key-set.ts";
import { identityHeaders } from "./identity-headers.ts";
import { Issuers } from "./issuers.ts";
import { verifyToken } from "./jwt.ts";
import { KeysUnavailable } from "./key-set.ts";
import type { IdentifiedPrincipal } from "./principal.ts";
import type { IssuerRules } from "./rules.ts";
import type { Credential, RevocationSet } from "@tocsin/shared/revocations";
import { readToken } from "./token.ts";
import { VerifiedTokens } from "./verified.ts";

export interface TokensOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** For key sets. Default: the platform's. */
  readonly fetch?: Fetch | undefined;
  /** What was taken back; asked for each request. */
  readonly revocations: RevocationSet;
}

/** `iat` is often rounded to whole seconds: what is ahead by less is not ahead. */
const mayBeAheadSeconds = 1;

/** Signed tokens (RFC 7519). Trusts no issuer until it is configured. */
export class Tokens implements AsyncDisposable {
  readonly #clock: Clock;
  readonly #revocations: RevocationSet;
  readonly #admission: Admission;
  readonly #issuers: Issuers;
  readonly #verified = new VerifiedTokens();
  /** Verifications on their way: the same token is verified once, however many requests bring it. */
  readonly #pending = new Map<string, Promise<Verified>>();
  readonly #log: Log;
  /** Issuers whose clocks were seen to be ahead of this machine's. */
  readonly #ahead = new Set<string>();
  /** Another number: what was verified before does not count. */
  #generation = 0;
  #config = "";

  constructor({ clock, random, log, fetch = globalThis.fetch, revocations }: TokensOptions) {
    this.#clock = clock;
    this.#log = log;
    this.#revocations = revocations;
    this.#admission = new Admission(clock, revocations);
    this.#issuers = new Issuers({ clock, random, log, fetch, onKeyGone: () => this.#forget() });
  }

  /**
   * Trusts these issuers from now on, and no others. What was verified under another config is verified anew.
   *
   * @param options.production key sets are then fetched over https only, but for this machine's own
   */
  configure(issuers: readonly Issuer[], { production }: { readonly production: boolean }): void {
    const config = JSON.stringify([issuers, production]);
    if (config === this.#config) return;
    this.#config = config;
    this.#issuers.configure(issuers, production);
    this.#forget();
  }

  /**
   * Whom an `Authorization` field speaks for. Answers at once (no promise) when its token was verified before.
   *
   * @throws Refusal credential-invalid, credential-expired, credential-revoked; stale-state when the issuer's keys are not known and
   * cannot be had
   */
  identify(authorization: string): IdentifiedPrincipal | Promise<IdentifiedPrincipal> {
    // What is held is held under the usual spelling of the field, so that the usual request costs one look and no new text.
    const held = this.#verified.get(authorization);
    if (held !== undefined) return this.#admit(authorization, held);
    const field = `Bearer ${bearerToken(authorization)}`;
    const verified = this.#verified.get(field);
    return verified === undefined ? this.#verify(field) : this.#admit(field, verified);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#issuers[Symbol.asyncDispose]();
  }

  #admit(field: string, verified: Verified): IdentifiedPrincipal {
    // It will not come again.
    if (this.#clock.wall() >= verified.endsAt) this.#verified.forget(field);
    return this.#admission.admit(verified);
  }

  async #verify(field: string): Promise<IdentifiedPrincipal> {
    for (;;) {
      const generation = this.#generation;
      let pending = this.#pending.get(field);
      if (pending === undefined) {
        pending = this.#read(field.slice("Bearer ".length));
        this.#pending.set(field, pending);
      }
      let verified: Verified;
      try {
        verified = await pending;
      } catch (error) {
        if (generation !== this.#generation) continue;
        throw error;
      } finally {
        if (this.#pending.get(field) === pending) this.#pending.delete(field);
      }
      // Whom the config trusts has changed meanwhile: it must be asked again.
      if (generation !== this.#generation) continue;
      this.#verified.put(field, verified);
      return this.#admit(field, verified);
    }
  }

  async #read(text: string): Promise<Verified> {
    const token = readToken(text);
    const issuer = this.#issuers.get(token.issuer);
    if (issuer === undefined) throw new Denial("credential-invalid", "issuer-unknown");
    const { rules } = issuer;
    // RFC 8725 §3.1: the list of the issuer decides, before any key is looked for; the token's own word never does.
    const algorithm = rules.algorithms.find((name) => name === token.algorithm);
    if (algorithm === undefined)
      throw new Denial("credential-invalid", "algorithm-not-allowed", { issuer: rules.issuer });
    const keys = await this.#keys(rules, () => issuer.keys(algorithm, token.keyId));
    const now = this.#clock.wall();
    const { payload, keyId } = await verifyToken(text, algorithm, keys, rules, now);
    const claims = readClaims(payload, rules, now / 1000);
    const { issuer: name } = rules;
    const credential = {
      issuer: name,
      subject: claims.subject,
      issuedAt: this.#issuedAt(claims, rules, now / 1000),
      jti: claims.tokenId,
      fingerprint:
        claims.tokenId === undefined
          ? undefined
          : this.#revocations.fingerprint(name, claims.tokenId),
      session: claims.session,
      client: claims.client,
      keyId,
    };
    const endsAt = (claims.expiresAt + rules.toleranceSeconds) * 1000;
    return {
      principal: { ...principalOf(name, claims, credential), endsAt },
      endsAt,
      clearedAt: 0,
    };
  }

  /**
   * When the token was issued at the latest, by the clocks of those who set marks, in Unix seconds.
   *
   * An issuer whose clock is ahead writes a moment into its tokens that is yet to come. A mark that is set now would not cover them,
   * and one that was set a moment ago would not either. So all tokens of such an issuer count as older by what its clock may be off.
   */
  #issuedAt({ issuedAt }: Claims, { issuer, toleranceSeconds }: IssuerRules, now: number): number {
    if (issuedAt > now + mayBeAheadSeconds && !this.#ahead.has(issuer)) {
      this.#ahead.add(issuer);
      const aheadSeconds = Math.round(issuedAt - now);
      this.#log.warn({ issuer, aheadSeconds }, "the issuer's clock is ahead of this machine's");
      // What was verified before it was known is to be judged by the same measure.
      this.#forget();
    }
    return this.#ahead.has(issuer) ? issuedAt - toleranceSeconds : issuedAt;
  }

  async #keys<Keys>({ issuer }: IssuerRules, find: () => Promise<Keys>): Promise<Keys> {
    try {
      return await find();
    } catch (error) {
      // The token may be good; this gateway does not know enough to tell. So not 401, which would make clients throw good tokens
      // away, but 503: come back. And never in: what cannot be checked is not let through.
      if (error instanceof KeysUnavailable)
        throw new Denial("stale-state", "keys-unavailable", { cause: error, issuer });
      throw error;
    }
  }

  #forget(): void {
    this.#generation += 1;
    this.#verified.clear();
    this.#pending.clear();
  }
}

function principalOf(issuer: string, claims: Claims, credential: Credential): IdentifiedPrincipal {
  const { subject, roles, scopes, session, client, expiresAt } = claims;
  return {
    method: "jwt",
    subject,
    issuer,
    roles,
    scopes,
    ...(session === undefined ? {} : { session }),
    ...(client === undefined ? {} : { client }),
    expiresAt,
    credential,
    headers: identityHeaders("jwt", subject, roles, scopes),
  };
}
