/** Calls of the admin API. */
import { request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";

/** More than any answer has; a server that is not the control plane may send anything. */
const maxAnswerBytes = 1_048_576;

export interface Answer {
  readonly status: number;
  readonly text: string;
}

/**
 * One request on a connection of its own: the service's global `fetch` and its agents may be patched, pooled or proxied in ways
 * that are right for the service and wrong here.
 */
export function exchange(
  method: string,
  url: URL,
  body: object | undefined,
  token: string | undefined,
  timeoutMs: number,
): Promise<Answer> {
  const payload = body === undefined ? "" : JSON.stringify(body);
  const send = url.protocol === "https:" ? requestHttps : requestHttp;
  return new Promise((resolve, reject) => {
    const request = send(
      url,
      {
        method,
        agent: false,
        headers: {
          ...(body === undefined ? {} : { "content-type": "application/json" }),
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

export function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
