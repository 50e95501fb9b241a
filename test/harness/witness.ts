/** A service that says what it was asked by whom, field by field: over plain requests, WebSocket handshakes and event streams. */
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { acceptOf } from "./websocket-service.ts";

/** A request as it came. */
export interface Heard {
  readonly method: string;
  readonly url: string;
  /** Names in lower case and values, in order. */
  readonly fields: readonly (readonly [name: string, value: string])[];
  /** Names and values behind the body, in turn. */
  readonly trailers: readonly string[];
}

export interface Witness extends AsyncDisposable {
  readonly url: string;
  readonly heard: Heard[];
  /** Answers so many requests with 503 first. */
  failing: number;
}

export async function startWitness(): Promise<Witness> {
  const heard: Heard[] = [];
  const server = createServer((request, response) => {
    request.resume();
    request.on("end", () => {
      heard.push(heardOf(request));
      if (witness.failing > 0) {
        witness.failing -= 1;
        response.writeHead(503).end();
      } else if (request.headers.accept === "text/event-stream") {
        response.writeHead(200, { "content-type": "text/event-stream" });
        response.end("data: hello\n\n");
      } else response.end("hello");
    });
  });
  server.on("upgrade", (request, socket: Socket) => {
    heard.push(heardOf(request));
    socket.on("error", () => {});
    socket.end(
      [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        `Sec-WebSocket-Accept: ${acceptOf(request)}`,
        "\r\n",
      ].join("\r\n"),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const witness: Witness = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    heard,
    failing: 0,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return witness;
}

function heardOf({ method, url, rawHeaders, rawTrailers }: IncomingMessage): Heard {
  const fields: [string, string][] = [];
  for (let index = 0; index + 1 < rawHeaders.length; index += 2)
    fields.push([rawHeaders[index]!.toLowerCase(), rawHeaders[index + 1]!]);
  return { method: method!, url: url!, fields, trailers: rawTrailers };
}

/** Values of a field, in order. */
export const valuesIn = (fields: Heard["fields"], wanted: string): string[] =>
  fields.filter(([name]) => name === wanted).map(([, value]) => value);
