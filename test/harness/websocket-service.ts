/** A service behind the gateway that speaks WebSocket: it says back what it hears. */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo, Socket } from "node:net";

export interface WebSocketService extends AsyncDisposable {
  readonly url: string;
  /** Handshakes so far. */
  readonly handshakes: IncomingMessage[];
  /** Connections that are open. */
  readonly open: ReadonlySet<Socket>;
  /** Ends every open WebSocket with this code. */
  close(code: number): void;
}

/** `Sec-WebSocket-Accept` for a handshake (RFC 6455 §4.2.2). */
export function acceptOf({ headers }: IncomingMessage): string {
  return createHash("sha1")
    .update(`${headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
    .digest("base64");
}

/** Chooses the first sub-protocol that is offered. A plain GET is answered with 200. */
export async function startWebSocketService(): Promise<WebSocketService> {
  const handshakes: IncomingMessage[] = [];
  const open = new Set<Socket>();
  const server = createServer((request, response) => {
    request.resume();
    response.end("plain");
  });
  server.on("upgrade", (request, socket: Socket, first) => {
    handshakes.push(request);
    open.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => open.delete(socket));
    const protocol = request.headers["sec-websocket-protocol"]?.split(",", 1)[0];
    socket.write(
      [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        `Sec-WebSocket-Accept: ${acceptOf(request)}`,
        ...(protocol === undefined ? [] : [`Sec-WebSocket-Protocol: ${protocol}`]),
        "\r\n",
      ].join("\r\n"),
    );
    let rest: Buffer = first;
    const read = () => {
      for (let frame = take(rest); frame !== undefined; frame = take(rest)) {
        rest = rest.subarray(frame.bytes);
        socket.write(plain(frame.opcode, frame.payload));
        if (frame.opcode === 8) socket.end();
      }
    };
    socket.on("data", (bytes: Buffer) => {
      rest = Buffer.concat([rest, bytes]);
      read();
    });
    socket.on("end", () => socket.end());
    read();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    handshakes,
    open,
    close(code) {
      const payload = Buffer.alloc(2);
      payload.writeUInt16BE(code);
      for (const socket of open) socket.write(plain(8, payload));
    },
    async [Symbol.asyncDispose]() {
      for (const socket of open) socket.destroy();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

interface Frame {
  readonly opcode: number;
  readonly payload: Buffer;
  /** Of all of it. */
  readonly bytes: number;
}

/** The first frame of a client, unmasked; undefined: it is not whole. */
function take(bytes: Buffer): Frame | undefined {
  if (bytes.length < 2) return undefined;
  const short = bytes[1]! & 0x7f;
  const head = 6 + (short === 127 ? 8 : short === 126 ? 2 : 0);
  if (bytes.length < head) return undefined;
  const length =
    short === 127
      ? Number(bytes.readBigUInt64BE(2))
      : short === 126
        ? bytes.readUInt16BE(2)
        : short;
  if (bytes.length < head + length) return undefined;
  const payload = Buffer.from(bytes.subarray(head, head + length));
  for (let index = 0; index < length; index += 1) payload[index]! ^= bytes[head - 4 + (index % 4)]!;
  return { opcode: bytes[0]! & 0x0f, payload, bytes: head + length };
}

function plain(opcode: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(payload.length < 126 ? 2 : payload.length < 2 ** 16 ? 4 : 10);
  head[0] = 0x80 | opcode;
  if (payload.length < 126) head[1] = payload.length;
  else if (payload.length < 2 ** 16) {
    head[1] = 126;
    head.writeUInt16BE(payload.length, 2);
  } else {
    head[1] = 127;
    head.writeBigUInt64BE(BigInt(payload.length), 2);
  }
  return Buffer.concat([head, payload]);
}
