import { headers, type Msg, type MsgHdrs } from "@nats-io/transport-node";
import type { Headers, Message } from "./bus.ts";

/** A message as NATS carries it: with where the answer goes, and the status that the server itself sets. */
export class NatsMessage implements Message {
  readonly #message: Msg;
  constructor(message: Msg) {
    this.#message = message;
  }
  get subject(): string {
    return this.#message.subject;
  }
  /** Of a message that a stream delivers: its position in the stream. */
  get reply(): string | undefined {
    return this.#message.reply;
  }
  /** 0 for an ordinary message; otherwise the server's word instead of one (404 no messages, 409 consumer gone, …). */
  get status(): number {
    return this.#message.headers?.code ?? 0;
  }
  text(): string {
    return this.#message.string();
  }
  bytes(): Uint8Array {
    return this.#message.data;
  }
  header(name: string): string | undefined {
    const value = this.#message.headers?.get(name);
    return value === "" ? undefined : value;
  }
  headers(): Headers | undefined {
    const fields = this.#message.headers;
    if (fields === undefined) return undefined;
    return Object.fromEntries(fields.keys().map((name) => [name, fields.get(name)]));
  }
  respond(payload: string | Uint8Array, fields?: Headers): void {
    if (this.#message.reply === undefined || this.#message.reply === "") return;
    this.#message.respond(payload, fields === undefined ? undefined : { headers: encode(fields) });
  }
}

export function encode(fields: Headers): MsgHdrs {
  const encoded = headers();
  for (const [name, value] of Object.entries(fields)) encoded.set(name, value);
  return encoded;
}
