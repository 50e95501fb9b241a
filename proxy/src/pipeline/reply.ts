import type { ByteSource } from "../upstream/byte-stream.ts";
import type { Switched } from "../upstream/switching.ts";

export type { ByteSink, ByteSource } from "../upstream/byte-stream.ts";

/** What the client gets. A stage may put another reply, or a wrapped body, in place of the one it was given. */
export interface Reply {
  readonly status: number;
  /** Names and values in turn, order and repeats kept. Belongs to who holds the reply: it may be added to. */
  readonly headers: string[];
  /** All of it, a source of it, or undefined when there is none. */
  readonly body: Uint8Array | ByteSource | undefined;
  /** Of a 101: the connection to the instance, on which another protocol goes on. */
  readonly switched?: Switched;
}

/** Whether a body is there as a whole. */
export function isWhole(body: Uint8Array | ByteSource): body is Uint8Array {
  return body instanceof Uint8Array;
}
