import { request as send, type Agent, type IncomingHttpHeaders } from "node:http";

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  json(): Record<string, unknown>;
}

export interface RequestOptions {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly token?: string;
  readonly body?: string;
  readonly agent?: Agent;
  /** How long the socket may be silent, in milliseconds. Default 20 000. */
  readonly timeoutMs?: number;
}

/** One request over a connection of its own (or the agent's), the path sent as it is. */
export function ask(base: string, path: string, options: RequestOptions = {}): Promise<Answer> {
  const { hostname, port } = new URL(base);
  const { timeoutMs = 20_000 } = options;
  return new Promise((resolve, reject) => {
    const request = send(
      {
        host: hostname,
        port,
        path,
        method: options.method ?? "GET",
        headers: {
          // Node frames the body of some methods only when it is told its length.
          ...(options.body === undefined
            ? {}
            : { "content-length": String(Buffer.byteLength(options.body)) }),
          ...options.headers,
          ...(options.token === undefined ? {} : { authorization: `Bearer ${options.token}` }),
        },
        agent: options.agent ?? false,
        timeout: timeoutMs,
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("error", reject);
        response.on("end", () => {
          const text = Buffer.concat(chunks).toString();
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            text,
            json: () => JSON.parse(text) as Record<string, unknown>,
          });
        });
      },
    );
    request.on("timeout", () =>
      request.destroy(
        new Error(`no answer to ${options.method ?? "GET"} ${path} within ${timeoutMs} ms`),
      ),
    );
    request.on("error", reject);
    request.end(options.body);
  });
}
