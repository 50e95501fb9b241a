/** A service whose answers take long: what must survive a restart of the proxy before it. */
import { createHash } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo, Socket } from "node:net";

export interface Endless extends AsyncDisposable {
  readonly url: string;
}

/** Between two pieces of a download, two events, two messages, in milliseconds. */
const paceMs = 100;
/** Of a download, in bytes. */
export const pieceBytes = 1024;

/**
 * `/x` answers at once; `/upload` with the number of bytes; `/download?pieces=N` sends pieces of 1 KiB, ten a second; `/events`
 * numbered events, resumed by `Last-Event-ID`; `/socket` a WebSocket on which numbers come.
 */
export async function startEndless(): Promise<Endless> {
  const sockets = new Set<Socket>();
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? "/", "http://x");
    if (url.pathname === "/upload") {
      let bytes = 0;
      request.on("data", (data: Buffer) => (bytes += data.length));
      request.on("end", () => response.end(String(bytes)));
      return;
    }
    request.resume();
    if (url.pathname === "/download") {
      let left = Number(url.searchParams.get("pieces"));
      response.writeHead(200, { "content-length": String(left * pieceBytes) });
      const timer = setInterval(() => {
        left -= 1;
        response.write(Buffer.alloc(pieceBytes, 7));
        if (left === 0) response.end();
        if (left === 0) clearInterval(timer);
      }, paceMs);
      response.on("close", () => clearInterval(timer));
      return;
    }
    if (url.pathname === "/events") {
      let id = Number(request.headers["last-event-id"] ?? 0);
      response.writeHead(200, { "content-type": "text/event-stream" });
      const timer = setInterval(() => {
        id += 1;
        response.write(`id: ${id}\ndata: ${id}\n\n`);
      }, paceMs);
      response.on("close", () => clearInterval(timer));
      return;
    }
    response.end("ok");
  });
  server.on("upgrade", (request, socket: Socket) => {
    const key = request.headers["sec-websocket-key"] ?? "";
    const accept = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`);
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept.digest("base64")}\r\n\r\n`,
    );
    let number = 0;
    const timer = setInterval(() => {
      const text = Buffer.from(String(++number));
      socket.write(Buffer.concat([Buffer.from([0x81, text.length]), text]));
    }, paceMs);
    socket.on("error", () => {});
    socket.on("close", () => clearInterval(timer));
    // The only frames that come are the closing handshake's, and it is answered with an empty one.
    socket.on("data", () => {
      clearInterval(timer);
      socket.end(Buffer.from([0x88, 0]));
    });
  });
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
