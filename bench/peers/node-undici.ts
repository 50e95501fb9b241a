/** node:http in, undici's `dispatch` out, bytes passed on as they come: the least that a proxy on Node does, without any policy. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { Pool, type Dispatcher } from "undici";
import { listen, upstream } from "./listen.ts";

const pool = new Pool(upstream, { connections: 128, pipelining: 1, allowH2: false });
/** Fields that belong to one connection (RFC 9110 §7.6.1), and Host, which is the upstream's. */
const ours = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "te",
  "transfer-encoding",
  "upgrade",
  "host",
]);

const server = createServer((request, response) => {
  const hasBody = request.method !== "GET" && request.method !== "HEAD";
  const options = {
    path: request.url ?? "/",
    method: request.method as Dispatcher.HttpMethod,
    headers: forwarded(request.rawHeaders),
    body: hasBody ? request : null,
  };
  pool.dispatch(options, new Exchange(request, response));
});

function forwarded(raw: readonly string[]): string[] {
  const headers: string[] = [];
  for (let index = 0; index < raw.length; index += 2) {
    if (!ours.has(raw[index]!.toLowerCase())) headers.push(raw[index]!, raw[index + 1]!);
  }
  return headers;
}

class Exchange implements Dispatcher.DispatchHandler {
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;

  constructor(request: IncomingMessage, response: ServerResponse) {
    this.#request = request;
    this.#response = response;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#response.once("close", () => {
      if (!this.#response.writableFinished) controller.abort(new Error("the client is gone"));
    });
    this.#response.on("drain", () => controller.resume());
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    if (status < 200) return;
    delete headers["connection"];
    delete headers["keep-alive"];
    delete headers["transfer-encoding"];
    this.#response.writeHead(status, headers);
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (!this.#response.write(chunk)) controller.pause();
  }

  onResponseEnd(): void {
    this.#response.end();
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    if (this.#response.headersSent) this.#response.destroy(error);
    else this.#response.writeHead(502).end();
    this.#request.resume();
  }
}

await listen(server);
