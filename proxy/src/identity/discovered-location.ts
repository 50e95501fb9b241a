import type { Clock, Milliseconds } from "@tocsin/shared";
import { mayFetch } from "./fetch-key-set.ts";
import type { FetchDocument, KeyLocation } from "./fetch-key-set.ts";
import { isObject } from "./json.ts";

export interface DiscoveredLocationOptions {
  /** As `iss` has it. */
  readonly issuer: string;
  /** How long what the issuer said is believed. */
  readonly maxAgeMs: Milliseconds;
  /** The keys are then at an https address, or on this machine. */
  readonly production: boolean;
  readonly clock: Clock;
}

/** The place that the issuer itself names (OpenID Connect Discovery 1.0 §4, RFC 8414 §3.3). */
export class DiscoveredLocation implements KeyLocation {
  readonly name: string;
  readonly #options: DiscoveredLocationOptions;
  #found: { readonly url: string; readonly until: Milliseconds } | undefined;

  constructor(options: DiscoveredLocationOptions) {
    this.#options = options;
    this.name = discoveryUrl(options.issuer);
  }

  async locate(fetchDocument: FetchDocument): Promise<string> {
    const { issuer, production, clock, maxAgeMs } = this.#options;
    if (this.#found !== undefined && clock.monotonic() < this.#found.until) return this.#found.url;
    const document = await fetchDocument(this.name);
    if (!isObject(document)) throw new Error("the discovery document is not an object");
    // OpenID Connect Discovery 1.0 §4.3: exactly the same, or somebody speaks for somebody else.
    if (document["issuer"] !== issuer)
      throw new Error("the discovery document is another issuer's");
    const url = document["jwks_uri"];
    if (typeof url !== "string" || !URL.canParse(url)) throw new Error("jwks_uri is not a URL");
    if (!mayFetch(url, production)) throw new Error("jwks_uri is not an https address");
    this.#found = { url, until: clock.monotonic() + maxAgeMs };
    return url;
  }

  wasWrong(): void {
    // The keys may have moved.
    this.#found = undefined;
  }
}

/** OpenID Connect Discovery 1.0 §4.1: one slash at the end does not count. */
export function discoveryUrl(issuer: string): string {
  return `${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`;
}
