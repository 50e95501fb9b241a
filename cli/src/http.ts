import { request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import type { Clock, Milliseconds } from "@tocsin/shared";

export interface Request {
  readonly method: string;
  readonly url: URL;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** For the whole exchange, in milliseconds. */
  readonly timeoutMs: Milliseconds;
  /** Gives up, with its reason. */
  readonly signal?: AbortSignal;
}

export interface Answer {
  readonly status: number;
  readonly type: string;
  readonly text: string;
}

/** The other side took too long. */
export class TooSlow extends Error {
  override readonly name = "TooSlow";
}

/**
 * One HTTP exchange on a connection of its own, any port (which `fetch` does not have). Redirects are not followed.
 *
 * @throws TooSlow after `timeoutMs`; the system's error when there is no connection
 */
export function exchange(clock: Clock, request: Request): Promise<Answer> {
  const { method, url, headers = {}, body = "", timeoutMs, signal } = request;
  const send = url.protocol === "https:" ? requestHttps : requestHttp;
  return new Promise((resolve, reject) => {
    const length = method === "GET" ? {} : { "content-length": String(Buffer.byteLength(body)) };
    const sent = send(url, { method, agent: false, headers: { ...headers, ...length } });
    const cancel = clock.after(timeoutMs, () =>
      sent.destroy(new TooSlow(`no answer within ${timeoutMs} ms`)),
    );
    const abort = () => sent.destroy(signal!.reason as Error);
    const over = () => {
      cancel();
      signal?.removeEventListener("abort", abort);
    };
    const fail = (error: Error) => {
      over();
      reject(error);
    };
    signal?.addEventListener("abort", abort, { once: true });
    if (signal?.aborted === true) abort();
    sent.on("error", fail);
    sent.on("response", (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", fail);
      response.on("end", () => {
        over();
        resolve({
          status: response.statusCode ?? 0,
          type: (response.headers["content-type"] ?? "").split(";")[0]!.trim().toLowerCase(),
          text: Buffer.concat(chunks).toString("utf8"),
        });
      });
    });
    sent.end(body);
  });
}
