/** A token that is to be revoked, reduced to what identifies it. The token itself is neither kept nor logged. */
import type { Clock, Log } from "@tocsin/shared";
import type { Config, Issuer } from "@tocsin/shared/contract";
import { compactVerify, createRemoteJWKSet, decodeJwt, errors, type JWTVerifyGetKey } from "jose";
import { Declined } from "../problem.ts";

export interface IdentifiedToken {
  readonly issuer: string;
  readonly jti: string;
  /** Unix seconds. */
  readonly expiresAt: number;
}

export class TokenReader {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #keySets = new Map<string, JWTVerifyGetKey>();

  constructor(clock: Clock, log: Log) {
    this.#clock = clock;
    this.#log = log;
  }

  /** @throws Declined 422 when the token is not one of a known issuer, has no `jti`, or has expired */
  async read(token: string, config: Config): Promise<IdentifiedToken> {
    const claimed = this.#decode(token);
    const issuer = config.identity.issuers.find(({ issuer }) => issuer === claimed.iss);
    if (issuer === undefined) throw unusable("Its issuer is not in the config.");
    try {
      await this.#verify(token, issuer);
    } catch (cause) {
      this.#log.debug(
        { issuer: issuer.issuer, code: cause instanceof errors.JOSEError ? cause.code : "failed" },
        "token not verified",
      );
      if (
        cause instanceof errors.JWKSTimeout ||
        (cause instanceof TypeError && issuer.jwks !== undefined)
      ) {
        throw new Declined(503, "issuer-unavailable", "The issuer's keys cannot be fetched", {
          detail: "Revoke it by issuer and jti instead.",
          cause,
        });
      }
      throw unusable("Its signature does not verify.", cause);
    }
    const { jti, exp } = claimed;
    if (typeof exp !== "number") throw unusable("It has no exp.");
    if (exp + issuer.clockTolerance / 1000 < this.#clock.wall() / 1000) {
      throw new Declined(422, "token-expired", "The token has expired already", {
        detail: "No proxy accepts it any more.",
      });
    }
    if (typeof jti !== "string" || jti === "")
      throw unusable("It has no jti, so it cannot be told from others: revoke the user instead.");
    return { issuer: issuer.issuer, jti, expiresAt: exp };
  }

  #decode(token: string): {
    readonly iss?: unknown;
    readonly jti?: unknown;
    readonly exp?: unknown;
  } {
    try {
      return decodeJwt(token);
    } catch (cause) {
      throw unusable("It is not a JWT.", cause);
    }
  }

  async #verify(token: string, issuer: Issuer): Promise<void> {
    const options = { algorithms: [...issuer.algorithms] };
    if (issuer.secret !== undefined) {
      await compactVerify(token, new TextEncoder().encode(issuer.secret), options);
      return;
    }
    const { url, maxAge } = issuer.jwks!;
    let keys = this.#keySets.get(url);
    if (keys === undefined) {
      keys = createRemoteJWKSet(new URL(url), {
        timeoutDuration: 3_000,
        cacheMaxAge: maxAge,
        cooldownDuration: 30_000,
      });
      this.#keySets.set(url, keys);
    }
    await compactVerify(token, keys, options);
  }
}

function unusable(detail: string, cause?: unknown): Declined {
  return new Declined(422, "token-not-usable", "The token cannot be revoked by itself", {
    detail,
    cause,
  });
}
