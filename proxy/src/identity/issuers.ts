import type { Clock, Log, Random } from "@tocsin/shared";
import type { Algorithm, Issuer } from "@tocsin/shared/contract";
import { DiscoveredLocation, discoveryUrl } from "./discovered-location.ts";
import { fixedLocation, mayFetch } from "./fetch-key-set.ts";
import type { Fetch } from "./fetch-key-set.ts";
import { importSecret } from "./jwt.ts";
import type { VerificationKey } from "./jwt.ts";
import { KeySet, KeysUnavailable } from "./key-set.ts";
import { rulesOf } from "./rules.ts";
import type { IssuerRules } from "./rules.ts";

/** An issuer whose tokens are accepted. */
export interface TrustedIssuer {
  readonly rules: IssuerRules;
  /**
   * The keys that may have signed a token with this header.
   *
   * @throws KeysUnavailable when it cannot be told
   */
  keys(algorithm: Algorithm, keyId: string | undefined): Promise<readonly VerificationKey[]>;
}

export interface IssuersOptions {
  readonly fetch: Fetch;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** A key that was trusted is trusted no longer. */
  readonly onKeyGone: () => void;
}

/** The issuers of the config in force. A key set that two configs have in common is kept, with what it has fetched. */
export class Issuers implements AsyncDisposable {
  readonly #options: IssuersOptions;
  #trusted = new Map<string, TrustedIssuer>();
  #keySets = new Map<string, KeySet>();

  constructor(options: IssuersOptions) {
    this.#options = options;
  }

  /** By the exact `iss`. */
  get(issuer: string): TrustedIssuer | undefined {
    return this.#trusted.get(issuer);
  }

  configure(issuers: readonly Issuer[], production: boolean): void {
    const before = this.#keySets;
    this.#keySets = new Map();
    this.#trusted = new Map(
      issuers.map((issuer) => [
        issuer.issuer,
        { rules: rulesOf(issuer), keys: this.#keysOf(issuer, production, before) },
      ]),
    );
    for (const [name, keySet] of before)
      if (!this.#keySets.has(name)) void keySet[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#keySets.values()].map((keySet) => keySet[Symbol.asyncDispose]()));
  }

  #keysOf(
    { issuer, jwks, secret, algorithms }: Issuer,
    production: boolean,
    before: ReadonlyMap<string, KeySet>,
  ): TrustedIssuer["keys"] {
    if (jwks === undefined) return secretKeys(secret ?? "");
    const { clock } = this.#options;
    const maxAgeMs = jwks.maxAge;
    const url = jwks.url ?? discoveryUrl(issuer);
    if (!mayFetch(url, production)) {
      this.#options.log.error(
        { issuer, url },
        "key set is not fetched: in production that takes https",
      );
      return () => Promise.reject(new KeysUnavailable("the key set is not at an https address"));
    }
    const name = JSON.stringify([issuer, jwks, algorithms, production]);
    const location =
      jwks.url === undefined
        ? new DiscoveredLocation({ issuer, maxAgeMs, production, clock })
        : fixedLocation(jwks.url);
    const keySet =
      before.get(name) ?? new KeySet({ ...this.#options, location, maxAgeMs, algorithms });
    this.#keySets.set(name, keySet);
    return (algorithm, keyId) => keySet.find(algorithm, keyId);
  }
}

/** One secret that is shared with the issuer, whatever key a token names. */
function secretKeys(secret: string): TrustedIssuer["keys"] {
  const keys = new Map<Algorithm, Promise<readonly VerificationKey[]>>();
  return (algorithm) => {
    let key = keys.get(algorithm);
    if (key === undefined)
      keys.set(algorithm, (key = importSecret(secret, algorithm).then((imported) => [imported])));
    return key;
  };
}
