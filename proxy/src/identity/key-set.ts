import { messageOf, once } from "@tocsin/shared";
import type { Cancel, Clock, Log, Milliseconds, Random } from "@tocsin/shared";
import type { Algorithm } from "@tocsin/shared/contract";
import { fetchKeySet } from "./fetch-key-set.ts";
import type { Fetch, Jwk, KeyLocation } from "./fetch-key-set.ts";
import { importPublicKey } from "./jwt.ts";
import type { VerificationKey } from "./jwt.ts";

export interface KeySetOptions {
  readonly location: KeyLocation;
  /** Age at which the set is fetched again. */
  readonly maxAgeMs: Milliseconds;
  /** Those that the issuer may sign with. */
  readonly algorithms: readonly Algorithm[];
  readonly fetch: Fetch;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** A key that was trusted is trusted no longer: what it signed must be verified anew. */
  readonly onKeyGone: () => void;
}

/** There is no key yet, and none can be had: it cannot be told whether a token is good. */
export class KeysUnavailable extends Error {
  override readonly name = "KeysUnavailable";
}

interface Key {
  readonly id: string | undefined;
  readonly algorithm: Algorithm;
  readonly key: VerificationKey;
  /** What it was made from: two fetches brought the same key when these are equal. */
  readonly text: string;
}

const timeoutMs = 3_000;
const maxBytes = 256 * 1024;
const maxKeys = 100;
/** A token can name any key it likes; what it can cause is one fetch in this time, whether that succeeds or not. */
const coolDownMs = 30_000;
const firstRetryMs = 1_000;
/** While there is no key at all every token is turned away, so the wait stays short. */
const longestFirstRetryMs = 5_000;

/**
 * The keys of an issuer. Fetched when the first token asks for them, then again whenever they are `maxAgeMs` old. What was fetched
 * stays while the issuer is down: tokens are then as good as its last word.
 */
export class KeySet implements AsyncDisposable {
  readonly #options: KeySetOptions;
  readonly #closed = new AbortController();
  #keys: readonly Key[] | undefined;
  #fetching: Promise<void> | undefined;
  #failures = 0;
  /** Before that no first fetch is tried. */
  #retryAt: Milliseconds = -Infinity;
  /** Before that no unknown key is a reason to fetch. */
  #unknownAt: Milliseconds = -Infinity;
  #timer: Cancel | undefined;

  constructor(options: KeySetOptions) {
    this.#options = options;
  }

  /**
   * The keys that may have signed a token with this header.
   *
   * @param id the `kid`; without one there must be a single key for the algorithm
   * @throws KeysUnavailable
   */
  async find(algorithm: Algorithm, id: string | undefined): Promise<readonly VerificationKey[]> {
    const { clock } = this.#options;
    if (this.#keys === undefined) {
      if (this.#fetching === undefined && clock.monotonic() < this.#retryAt)
        throw new KeysUnavailable("the key set could not be fetched a moment ago");
      await this.#fetch();
      if (this.#keys === undefined) throw new KeysUnavailable("the key set cannot be fetched");
      return this.#fitting(algorithm, id);
    }
    const found = this.#fitting(algorithm, id);
    if (found.length > 0 || id === undefined) return found;
    // The issuer may have got a new key since.
    if (this.#fetching === undefined) {
      if (clock.monotonic() < this.#unknownAt) return found;
      this.#unknownAt = clock.monotonic() + coolDownMs;
    }
    await this.#fetch();
    return this.#fitting(algorithm, id);
  }

  readonly [Symbol.asyncDispose] = once(async () => {
    this.#closed.abort(new Error("closed"));
    this.#timer?.();
    await this.#fetching;
  });

  #fitting(algorithm: Algorithm, id: string | undefined): readonly VerificationKey[] {
    const fitting = (this.#keys ?? []).filter(
      (key) => key.algorithm === algorithm && (id === undefined || key.id === id),
    );
    // To try them all would let a token without a name be signed with any of them.
    return id === undefined && fitting.length > 1 ? [] : fitting.map(({ key }) => key);
  }

  /** One fetch at a time; whoever asks meanwhile waits for the same answer. Never rejects. */
  #fetch(): Promise<void> {
    return (this.#fetching ??= this.#renew().finally(() => (this.#fetching = undefined)));
  }

  async #renew(): Promise<void> {
    const { location, clock, log, random } = this.#options;
    if (this.#closed.signal.aborted) return;
    this.#timer?.();
    this.#timer = undefined;
    try {
      const fetched = await fetchKeySet(location, {
        fetch: this.#options.fetch,
        clock,
        timeoutMs,
        maxBytes,
        signal: this.#closed.signal,
      });
      const keys = await this.#usable(fetched);
      if (this.#closed.signal.aborted) return;
      // An issuer without keys is a broken one: to believe it would turn everybody away.
      if (keys.length === 0) throw new Error("no usable key");
      this.#take(keys);
      this.#failures = 0;
      // Not all proxies at once.
      this.#fetchAfter(this.#options.maxAgeMs * (0.9 + 0.1 * random()));
    } catch (error) {
      if (this.#closed.signal.aborted) return;
      log.warn(
        { url: location.name, cause: messageOf(error), kept: this.#keys !== undefined },
        "key set not fetched",
      );
      if (this.#keys !== undefined) {
        // There are keys to go on with, and a token with an unknown one may have asked for this: the next try is not sooner.
        this.#fetchAfter(coolDownMs);
        return;
      }
      const delayMs = firstRetryMs * 2 ** Math.min(this.#failures, 10);
      this.#failures += 1;
      this.#retryAt = clock.monotonic() + Math.min(delayMs, longestFirstRetryMs);
    }
  }

  #fetchAfter(delayMs: Milliseconds): void {
    this.#timer = this.#options.clock.after(delayMs, () => void this.#fetch());
  }

  #take(keys: readonly Key[]): void {
    const now = new Set(keys.map(({ text }) => text));
    const gone = this.#keys?.some(({ text }) => !now.has(text)) ?? false;
    this.#keys = keys;
    if (gone) this.#options.onKeyGone();
  }

  async #usable(set: readonly Jwk[]): Promise<Key[]> {
    const { algorithms, location, log } = this.#options;
    if (set.length > maxKeys) throw new Error(`more than ${maxKeys} keys`);
    const keys: Key[] = [];
    for (const jwk of set) {
      const id = typeof jwk["kid"] === "string" ? jwk["kid"] : undefined;
      for (const algorithm of algorithms) {
        if (!serves(jwk, algorithm)) continue;
        try {
          const key = await importPublicKey(jwk, algorithm);
          keys.push({ id, algorithm, key, text: JSON.stringify([algorithm, jwk]) });
        } catch (error) {
          log.warn(
            { url: location.name, kid: id, algorithm, cause: messageOf(error) },
            "key not usable",
          );
        }
      }
    }
    return keys;
  }
}

const curves: Readonly<Partial<Record<Algorithm, string>>> = {
  ES256: "P-256",
  ES384: "P-384",
  ES512: "P-521",
  EdDSA: "Ed25519",
};

/** Whether a key is meant to verify signatures of this algorithm (RFC 7517 §4.2 to §4.4, RFC 7518 §6). */
function serves(jwk: Jwk, algorithm: Algorithm): boolean {
  const { use, key_ops: operations, alg } = jwk;
  if (use !== undefined && use !== "sig") return false;
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes("verify")))
    return false;
  // RFC 9864 names the curve where RFC 8037 named the family.
  if (alg !== undefined && alg !== algorithm && !(algorithm === "EdDSA" && alg === "Ed25519"))
    return false;
  switch (algorithm.slice(0, 2)) {
    case "RS":
    case "PS":
      return jwk["kty"] === "RSA";
    case "ES":
      return jwk["kty"] === "EC" && jwk["crv"] === curves[algorithm];
    case "Ed":
      return jwk["kty"] === "OKP" && jwk["crv"] === curves[algorithm];
    default:
      return false;
  }
}
