import { request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import type { LeaseHolder } from "@tocsin/shared/contract";
import { departureOf, failureOf, grantOf } from "./answers.ts";
import type { FoundToken } from "./environment.ts";
import { RegistrationRefused, RegistrationUnavailable } from "./errors.ts";
import { patience, type Registry } from "./registry.ts";

/** More than any answer has; a server that is not the control plane may send anything. */
const maxAnswerBytes = 1_048_576;

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

interface Answer {
  readonly status: number;
  readonly text: string;
}

/**
 * One request on a connection of its own: the service's global `fetch` and its agents may be patched, pooled or proxied in ways
 * that are right for the service and wrong here.
 */
function exchange(
  method: string,
  url: URL,
  body: object,
  token: string | undefined,
  timeoutMs: number,
): Promise<Answer> {
  const payload = JSON.stringify(body);
  const send = url.protocol === "https:" ? requestHttps : requestHttp;
  return new Promise((resolve, reject) => {
    const request = send(
      url,
      {
        method,
        agent: false,
        headers: {
          "content-type": "application/json",
          "content-length": Buffer.byteLength(payload),
          accept: "application/json",
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        },
      },
      (response) => {
        const chunks: Buffer[] = [];
        let bytes = 0;
        response.on("data", (chunk: Buffer) => {
          bytes += chunk.length;
          if (bytes > maxAnswerBytes) request.destroy(new Error("the answer is too large"));
          else chunks.push(chunk);
        });
        response.on("end", () => {
          clearTimeout(deadline);
          resolve({
            status: response.statusCode ?? 0,
            text: Buffer.concat(chunks).toString("utf8"),
          });
        });
        response.on("error", fail);
      },
    );
    const deadline = setTimeout(
      () => request.destroy(new Error(`nothing within ${timeoutMs} ms`)),
      timeoutMs,
    );
    function fail(error: Error): void {
      clearTimeout(deadline);
      reject(error);
    }
    request.on("error", fail);
    request.end(payload);
  });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
