/** What stays open, and how it ends: WebSockets, event streams and downloads, as a client sees them. */
import { once } from "node:events";
import { request as send, type IncomingMessage, type ServerResponse } from "node:http";

export interface Ended {
  /** Of `performance.now()`. */
  readonly at: number;
  /** The code of a WebSocket; of everything else whether the end was a proper one. */
  readonly how: number | "proper" | "cut";
}

export interface Open {
  readonly ended: Promise<Ended>;
  /** Whether it has. */
  readonly isOver: () => boolean;
  /** The client has enough. */
  leave(): void;
}

function opened(ended: Promise<Ended>, leave: () => void): Open {
  let over = false;
  void ended.then(() => (over = true));
  return { ended, isOver: () => over, leave };
}

type Headers = Readonly<Record<string, string>>;

/** A WebSocket that is open. */
export async function openWebSocket(base: string, path: string, headers: Headers): Promise<Open> {
  const url = new URL(path, base);
  url.protocol = "ws:";
  const socket = new WebSocket(url, { headers });
  const ended = once(socket, "close").then(([event]): Ended => {
    return { at: performance.now(), how: (event as CloseEvent).code };
  });
  await Promise.race([
    once(socket, "open"),
    ended.then(({ how }) => {
      throw new Error(`the handshake was refused (${how})`);
    }),
  ]);
  return opened(ended, () => socket.close());
}

/** An answer whose first bytes have come, over a connection of its own. @throws Error when it is not a 200 */
export async function openAnswer(base: string, path: string, headers: Headers): Promise<Open> {
  const { hostname, port } = new URL(base);
  const asked = send({ host: hostname, port, path, headers, agent: false });
  asked.end();
  const [response] = (await once(asked, "response")) as [IncomingMessage];
  if (response.statusCode !== 200) {
    asked.destroy();
    throw new Error(`${path} was answered with ${response.statusCode}`);
  }
  const ended = new Promise<Ended>((resolve) => {
    response.on("end", () => resolve({ at: performance.now(), how: "proper" }));
    response.on("error", () => resolve({ at: performance.now(), how: "cut" }));
  });
  await once(response, "data");
  response.resume();
  return opened(ended, () => asked.destroy());
}

/** A service's answers that do not end: `/events`, `/download` (of known length), `/endless`. All others are `ok`. */
export function endless(request: IncomingMessage, response: ServerResponse): void {
  request.resume();
  switch (request.url!.split("?")[0]) {
    case "/events":
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write("data: hello\n\n");
      return;
    case "/download":
      response.writeHead(200, { "content-length": "1000000" });
      response.write("x".repeat(1_000));
      return;
    case "/endless":
      response.writeHead(200);
      response.write("x");
      return;
    default:
      response.end("ok");
  }
}
