import { ambiguousCredential, Denial } from "@tocsin/shared";
import type { AuthPolicy, Config } from "@tocsin/shared/contract";
import { ApiKeys } from "./api-keys/api-keys.ts";
import type { ApiKeysOptions } from "./api-keys/api-keys.ts";
import type { Identity, Presented } from "./identity.ts";
import { anonymous } from "./principal.ts";
import type { Principal } from "./principal.ts";
import { Sessions } from "./sessions/sessions.ts";
import type { SessionsOptions } from "./sessions/sessions.ts";
import { Tokens } from "./tokens.ts";
import type { TokensOptions } from "./tokens.ts";

export type IdentityOptions = TokensOptions & SessionsOptions & ApiKeysOptions;

export interface ConfigurableIdentity extends Identity, AsyncDisposable {
  /**
   * Takes the credentials that this config names from now on, and no others. What was verified under another config is verified anew.
   *
   * @param options.production key sets are then fetched over https only, but for this machine's own
   */
  configure(config: Config["identity"], options: { readonly production: boolean }): void;
}

/** Trusts nobody until it is configured. */
export function createIdentity(options: IdentityOptions): ConfigurableIdentity {
  return new Credentials(options);
}

/** Finds out which kind of credential a request has, and has it verified. */
class Credentials implements ConfigurableIdentity {
  readonly #tokens: Tokens;
  readonly #sessions: Sessions;
  readonly #apiKeys: ApiKeys;

  constructor(options: IdentityOptions) {
    this.#tokens = new Tokens(options);
    this.#sessions = new Sessions(options);
    this.#apiKeys = new ApiKeys(options);
  }

  configure(
    { issuers, sessions, apiKeys }: Config["identity"],
    options: { readonly production: boolean },
  ): void {
    this.#tokens.configure(issuers, options);
    this.#apiKeys.configure(apiKeys);
    this.#sessions.configure(sessions, sessions?.secure ?? options.production);
  }

  identify(request: Presented, { mode, via }: AuthPolicy): Principal | Promise<Principal> {
    const { head } = request;
    // Whatever becomes of them, they are not for the upstream.
    const cookie = this.#sessions.take(head);
    const key = this.#apiKeys.take(head);
    if (mode === "none") return anonymous;
    const { authorization } = head;
    if (key !== undefined) {
      // Which of two counts, somebody else could see otherwise.
      if (authorization !== undefined)
        throw ambiguousCredential("token-and-api-key", "both a token and an API key");
      if (!takes(via, "api-key")) throw new Denial("credential-invalid", "api-key-not-taken");
      return this.#apiKeys.identify(key);
    }
    if (authorization !== undefined) {
      // What a client shows is looked at, or refused: it is never as if it had shown nothing.
      if (!takes(via, "jwt")) throw new Denial("credential-invalid", "token-not-taken");
      return this.#tokens.identify(authorization);
    }
    // Browsers send it unasked, so whatever a client says of its own accord counts before it.
    if (cookie !== undefined) {
      if (!takes(via, "session")) throw new Denial("credential-invalid", "session-not-taken");
      return this.#sessions.identify(cookie, request);
    }
    if (mode === "optional") return anonymous;
    throw new Denial("credential-missing", "credential-absent");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#tokens[Symbol.asyncDispose]();
  }
}

function takes(via: AuthPolicy["via"], kind: "jwt" | "session" | "api-key"): boolean {
  return via === undefined || via.includes(kind);
}
