/** For tests: both ends of a WebSocket as raw sockets. */
import { connect } from "node:net";
import type { Socket } from "node:net";
import { acceptOf } from "../websocket/handshake.ts";
import { soon, startRawOrigin, startTestGateway } from "./gateway.fixture.ts";
import type { OriginConnection, RawOrigin, TestGateway } from "./gateway.fixture.ts";

export const key = "dGhlIHNhbXBsZSBub25jZQ==";

/** The head of a handshake, without the empty line's successors. */
export function handshakeText(fields: readonly string[] = [], target = "/chat"): string {
  return [
    `GET ${target} HTTP/1.1`,
    "Host: gw.test",
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    `Sec-WebSocket-Key: ${key}`,
    ...fields,
    "\r\n",
  ].join("\r\n");
}

/** The answer of a service to a handshake. */
export function switchingText(fields: readonly string[] = [], accept = acceptOf(key)): string {
  return [
    "HTTP/1.1 101 Switching Protocols",
    "Upgrade: websocket",
    "Connection: Upgrade",
    `Sec-WebSocket-Accept: ${accept}`,
    ...fields,
    "\r\n",
  ].join("\r\n");
}

/** Code and reason of the close frame that the bytes end with, masked or not; undefined when they do not end with one. */
export function lastClose(bytes: Buffer): string | undefined {
  for (let at = bytes.length - 4; at >= 0; at -= 1) {
    if (bytes[at] !== 0x88) continue;
    const masked = (bytes[at + 1]! & 0x80) !== 0;
    const length = bytes[at + 1]! & 0x7f;
    const start = at + 2 + (masked ? 4 : 0);
    if (start + length !== bytes.length || length < 2) continue;
    const payload = Buffer.from(bytes.subarray(start));
    if (masked)
      for (let index = 0; index < length; index += 1)
        payload[index]! ^= bytes[at + 2 + (index % 4)]!;
    return `${payload.readUInt16BE()} ${payload.toString("latin1", 2)}`;
  }
  return undefined;
}

/** One end, and what came to it. */
export class End {
  readonly socket: Socket;
  /** How often it has said something. */
  sent = 0;
  /** How many bytes came. */
  size = 0;
  #pieces: Buffer[] = [];
  #head = "";
  ended = false;
  closed = false;
  /** The connection broke. */
  reset = false;
  /** The gateway masks what it says here. */
  masks = false;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (piece: Buffer) => {
      this.size += piece.length;
      this.#pieces.push(piece);
    });
    socket.on("end", () => (this.ended = true));
    socket.on("error", () => (this.reset = true));
    socket.on("close", () => (this.closed = true));
  }

  get bytes(): Buffer {
    const all = Buffer.concat(this.#pieces);
    this.#pieces = [all];
    return all;
  }

  get text(): string {
    return this.bytes.toString("latin1");
  }

  /** Head and what is behind it. */
  get head(): string {
    if (this.#head === "") {
      const end = this.text.indexOf("\r\n\r\n");
      if (end !== -1) this.#head = this.text.slice(0, end + 4);
    }
    return this.#head;
  }

  get frames(): Buffer {
    return this.bytes.subarray(this.head.length);
  }

  send(bytes: string | Buffer): void {
    this.sent += 1;
    this.socket.write(typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes);
  }

  /** Waits until the bytes behind the head are these. */
  async gets(bytes: Buffer): Promise<void> {
    await soon(() => this.size - this.head.length >= bytes.length);
    if (!this.frames.equals(bytes))
      throw new Error(`expected ${bytes.toString("hex")}, got ${this.frames.toString("hex")}`);
  }
}

export interface Stage extends AsyncDisposable {
  readonly gateway: TestGateway;
  readonly origin: RawOrigin;
  /** Connections that the service took. */
  readonly services: End[];
  /** A client that has sent this. */
  client(text?: string | Buffer): End;
  /** Both ends of a WebSocket that is open. */
  open(fields?: readonly string[], answer?: string): Promise<{ client: End; service: End }>;
}

export interface StageOptions {
  /** Of the route. */
  readonly websocket?: Record<string, unknown> | true;
  readonly config?: Record<string, unknown>;
  readonly gateway?: Partial<Parameters<typeof startTestGateway>[0]>;
  readonly behave?: (connection: OriginConnection) => void;
}

export async function startStage(options: StageOptions = {}): Promise<Stage> {
  await using stack = new AsyncDisposableStack();
  const services: End[] = [];
  const origin = stack.use(
    await startRawOrigin((connection) => {
      connection.socket.allowHalfOpen = true;
      services.push(new End(connection.socket));
      options.behave?.(connection);
    }),
  );
  const gateway = stack.use(
    await startTestGateway({
      to: [origin.port],
      config: {
        routes: [
          {
            id: "all",
            match: { path: "/*" },
            service: "a",
            auth: "none",
            websocket: options.websocket ?? true,
          },
        ],
        ...options.config,
      },
      ...options.gateway,
    }),
  );
  const owned = stack.move();
  const client = (text: string | Buffer = handshakeText()): End => {
    const socket = connect({ port: gateway.port, host: "127.0.0.1", allowHalfOpen: true });
    owned.defer(() => void socket.destroy());
    const end = new End(socket);
    end.send(text);
    return end;
  };
  return {
    gateway,
    origin,
    services,
    client,
    async open(fields = [], answer = switchingText()) {
      const count = services.length;
      const end = client(handshakeText(fields));
      const service = await soon(() => services[count]?.head !== "" && services[count]);
      service.send(answer);
      await soon(() => end.head !== "");
      return { client: end, service };
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
