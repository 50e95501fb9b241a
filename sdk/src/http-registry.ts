import type { LeaseHolder } from "@tocsin/shared/contract";
import { exchange, parse } from "./admin-http.ts";
import { departureOf, failureOf, grantOf } from "./answers.ts";
import type { FoundToken } from "./environment.ts";
import { RegistrationRefused, RegistrationUnavailable } from "./errors.ts";
import { patience, type Registry } from "./registry.ts";

export interface HttpRegistryOptions {
  readonly url: URL;
  readonly token: () => FoundToken;
  readonly service: string;
  readonly instance: string;
}

/** Leases over the admin API. */
export function createHttpRegistry(options: HttpRegistryOptions): Registry {
  const { url, token, service, instance } = options;
  const place = url.origin;
  const instanceUrl = new URL(
    `${url.pathname.replace(/\/$/, "")}/v1/services/${service}/instances/${instance}`,
    url,
  );
  const renewUrl = new URL(`${instanceUrl.pathname}/renew`, instanceUrl);

  async function call(
    method: string,
    target: URL,
    body: object,
    timeoutMs: number,
  ): Promise<unknown> {
    const found = token();
    const answer = await exchange(method, target, body, found.token, timeoutMs).catch(
      (error: unknown) => {
        throw new RegistrationUnavailable(
          `no answer from the control plane at ${place}: ${(error as Error).message || (error as NodeJS.ErrnoException).code || "failed"}`,
          { cause: error },
        );
      },
    );
    const parsed = parse(answer.text);
    if (answer.status >= 200 && answer.status < 300) return parsed;
    const failure = failureOf(place, answer.status, parsed);
    if (answer.status !== 401 || !(failure instanceof RegistrationRefused)) throw failure;
    throw new RegistrationRefused({
      code: failure.code,
      status: 401,
      detail:
        found.token === undefined
          ? `${place} wants a token, and none was found in ${found.place}`
          : `${place} does not accept the token from ${found.place}`,
    });
  }

  return {
    place,
    async register(registration) {
      return grantOf(await call("PUT", instanceUrl, registration, patience.register));
    },
    async renew(boot) {
      const holder: LeaseHolder = { boot };
      return grantOf(await call("POST", renewUrl, holder, patience.renew));
    },
    async deregister(boot) {
      const holder: LeaseHolder = { boot };
      return departureOf(await call("DELETE", instanceUrl, holder, patience.deregister));
    },
    // There is no connection between two calls whose return could be heard of.
    onReturn() {},
    async [Symbol.asyncDispose]() {},
  };
}
