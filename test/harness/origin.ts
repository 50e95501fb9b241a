/** A real HTTP server that stands behind the gateway and remembers what it saw. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface Seen {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

export interface Origin extends AsyncDisposable {
  readonly server: Server;
  readonly url: string;
  readonly port: number;
  /** Requests so far, health probes left out. */
  readonly seen: Seen[];
  /** When each health probe was answered, by `performance.now()`. */
  readonly probed: number[];
  /** What `/health` answers from now on. */
  health(status: number): void;
}

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

/** Answers every request with 200 and a small JSON body, or by the handler. */
export async function startOrigin(handler?: Handler): Promise<Origin> {
  const seen: Seen[] = [];
  const probed: number[] = [];
  let health = 200;
  const server = createServer((request, response) => {
    if (request.url === "/health") {
      response.writeHead(health).end();
      probed.push(performance.now());
      return;
    }
    seen.push({ method: request.method ?? "", url: request.url ?? "", headers: request.headers });
    if (handler) return handler(request, response);
    request.resume();
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify({ port: (server.address() as AddressInfo).port }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    server,
    url: `http://127.0.0.1:${port}`,
    port,
    seen,
    probed,
    health: (status) => {
      health = status;
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
