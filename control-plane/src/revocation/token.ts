/** A token that is to be revoked, reduced to what identifies it. The token itself is neither kept nor logged. */
import { messageOf, type Clock, type Log } from "@tocsin/shared";
import type { Config, Issuer } from "@tocsin/shared/contract";
import {
  compactVerify,
  createRemoteJWKSet,
  customFetch,
  decodeJwt,
  errors,
  type CompactVerifyGetKey,
  type FetchImplementation,
} from "jose";
import { Declined } from "../problem.ts";

/** How long an issuer may take to hand out its keys, in milliseconds, and how much that may be, in bytes. */
const keySetTimeoutMs = 3_000;
const maxKeySetBytes = 1024 * 1024;

/** As long as an entry may have it (`TokenRevocation`). */
const maxJtiLength = 512;

export interface IdentifiedToken {
  readonly issuer: string;
  readonly jti: string;
  /** Unix seconds. */
  readonly expiresAt: number;
}

export class TokenReader {
  readonly #clock: Clock;
  readonly #log: Log;
  /** By the issuer as the config has it: another config begins anew, and what it no longer names is forgotten. */
  readonly #keySets = new WeakMap<Issuer, CompactVerifyGetKey>();

  constructor(clock: Clock, log: Log) {
    this.#clock = clock;
    this.#log = log;
  }

  /**
   * @param expired what becomes of a token that has expired: alone it is refused, because whoever gives it expects an effect; among
   * others it is read, because what the others do must not depend on the moment
   * @throws Declined 422 when the token is not one of a known issuer, has no `jti`, or has expired; 503 when nobody can say
   */
  async read(
    token: string,
    config: Config,
    expired: "refuse" | "read" = "refuse",
  ): Promise<IdentifiedToken> {
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
      if (cause instanceof KeysUnavailable) {
        throw new Declined(503, "issuer-unavailable", "The issuer's keys cannot be fetched", {
          detail: "Revoke it by issuer and jti instead.",
          cause,
        });
      }
      throw unusable("Its signature does not verify.", cause);
    }
    const { jti, exp } = claimed;
    if (typeof exp !== "number") throw unusable("It has no exp.");
    if (expired === "refuse" && exp + issuer.clockTolerance / 1000 < this.#clock.wall() / 1000) {
      throw new Declined(422, "token-expired", "The token has expired already", {
        detail: "No proxy accepts it any more.",
      });
    }
    if (typeof jti !== "string" || jti === "")
      throw unusable("It has no jti, so it cannot be told from others: revoke the user instead.");
    if (jti.length > maxJtiLength)
      throw unusable(`Its jti is longer than ${maxJtiLength} characters: revoke the user instead.`);
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
    let keys = this.#keySets.get(issuer);
    if (keys === undefined) {
      keys = keysOf(issuer, issuer.jwks!);
      this.#keySets.set(issuer, keys);
    }
    await compactVerify(token, keys, options);
  }
}

/** The issuer's keys could not be had: that says nothing about the token. */
class KeysUnavailable extends Error {
  override readonly name = "KeysUnavailable";
}

function keysOf(
  { issuer }: Issuer,
  { url, maxAge }: NonNullable<Issuer["jwks"]>,
): CompactVerifyGetKey {
  let remote: CompactVerifyGetKey | undefined = url === undefined ? undefined : keysAt(url, maxAge);
  return async (header, token) => {
    try {
      remote ??= keysAt(await discoverKeys(issuer), maxAge);
      return await remote(header, token);
    } catch (cause) {
      // These two are about the token: the set is there, and its key is not in it.
      if (
        cause instanceof errors.JWKSNoMatchingKey ||
        cause instanceof errors.JWKSMultipleMatchingKeys
      )
        throw cause;
      // The keys may have moved.
      if (url === undefined) remote = undefined;
      throw new KeysUnavailable(messageOf(cause), { cause });
    }
  };
}

function keysAt(url: string, maxAge: number): CompactVerifyGetKey {
  return createRemoteJWKSet(new URL(url), {
    timeoutDuration: keySetTimeoutMs,
    cacheMaxAge: maxAge,
    cooldownDuration: 30_000,
    [customFetch]: boundedFetch,
  });
}

/**
 * Where the issuer says that its keys are (OpenID Connect Discovery 1.0 §4).
 *
 * @throws Error when it does not say, or says it for another issuer
 */
async function discoverKeys(issuer: string): Promise<string> {
  const place = `${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`;
  const response = await boundedFetch(place, {
    method: "GET",
    redirect: "manual",
    headers: new Headers({ accept: "application/json" }),
    signal: AbortSignal.timeout(keySetTimeoutMs),
  });
  if (response.status !== 200) throw new Error(`status ${response.status} of ${place}`);
  const document = (await response.json()) as { issuer?: unknown; jwks_uri?: unknown } | null;
  // §4.3: exactly the same, or somebody speaks for somebody else.
  if (document?.issuer !== issuer) throw new Error("the discovery document is another issuer's");
  const { jwks_uri: url } = document;
  if (typeof url !== "string" || !URL.canParse(url)) throw new Error("jwks_uri is not a URL");
  // What travels unprotected is no better than what it was fetched by.
  if (place.startsWith("https:") && !url.startsWith("https:"))
    throw new Error("jwks_uri is not an https address");
  return url;
}

/** Reads an answer up to a limit; the signal that is given ends the reading too. */
const boundedFetch: FetchImplementation = async (url, options) => {
  const response = await fetch(url, options);
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of response.body ?? []) {
    bytes += part.byteLength;
    if (bytes > maxKeySetBytes) throw new Error(`the key set is over ${maxKeySetBytes} bytes`);
    parts.push(part);
  }
  const { status, headers } = response;
  // A status that has no body takes none here either.
  return new Response(bytes === 0 ? null : Buffer.concat(parts), { status, headers });
};

function unusable(detail: string, cause?: unknown): Declined {
  return new Declined(422, "token-not-usable", "The token cannot be revoked by itself", {
    detail,
    cause,
  });
}
