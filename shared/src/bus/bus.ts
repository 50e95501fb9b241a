/**
 * The bus port: what carries messages between the planes. Two adapters: NATS for clusters, embedded for one process.
 */
import type { Milliseconds } from "../time.ts";

export type Headers = Readonly<Record<string, string>>;

export interface Message {
  readonly subject: string;
  /** The payload as text. */
  text(): string;
  /** The payload as bytes; do not keep a reference longer than the callback unless you copy. */
  bytes(): Uint8Array;
  header(name: string): string | undefined;
  /** All of them, for whoever carries the message on; undefined when there are none. */
  headers(): Headers | undefined;
  /** Answers a request; may be called several times (chunks). Does nothing when nobody asked. */
  respond(payload: string | Uint8Array, headers?: Headers): void;
}

export type BusState = "connected" | "disconnected" | "closed";

export interface RequestOptions {
  /** How long to wait for the answer, in milliseconds. */
  readonly timeoutMs: Milliseconds;
  readonly headers?: Headers;
  readonly signal?: AbortSignal;
}

export interface Bus extends AsyncDisposable {
  readonly state: BusState;
  /**
   * Sends and forgets. While disconnected the message is dropped; so nothing that must not be lost goes this way.
   */
  publish(subject: string, payload: string | Uint8Array, headers?: Headers): void;
  /**
   * Hears a subject (wildcards `*` and `>` as in NATS). Resolves when the bus has taken the subscription, so that what is
   * published after that is heard. Callbacks are O(1) and do not throw.
   *
   * @param options.queue members of one queue group share the messages: each goes to one of them
   * @throws BusUnavailable `refused` when we may not hear it, `disconnected` or `timeout` when the bus stays away for 5 s: ask again
   */
  subscribe(
    subject: string,
    onMessage: (message: Message) => void,
    options?: { queue?: string },
  ): Promise<AsyncDisposable>;
  /**
   * Asks and waits for one answer.
   *
   * @throws BusUnavailable when nobody listens, nobody answers in time, or the bus is away
   */
  request(subject: string, payload: string | Uint8Array, options: RequestOptions): Promise<Message>;
  /**
   * Asks and takes answers until `onMessage` returns `"done"`.
   *
   * @param options.timeoutMs the longest silence between two answers
   * @throws BusUnavailable as {@link request}
   */
  requestMany(
    subject: string,
    payload: string | Uint8Array,
    onMessage: (message: Message) => "more" | "done",
    options: RequestOptions,
  ): Promise<void>;
  /** Called at each change of state. Returns how to stop it. `connected` again after `disconnected` means messages may have been missed. */
  onState(listener: (state: BusState) => void): () => void;
  /**
   * Drops the connection and makes a new one; for a connection that is open and mute. Resolves when the old one is left behind;
   * `onState` tells when the new one is there.
   */
  reconnect(): Promise<void>;
  /** Resolves when all that was published has reached the server. @throws BusUnavailable when it does not within 5 s */
  flush(): Promise<void>;
}

/** Nobody answered, or the bus is away. */
export class BusUnavailable extends Error {
  override readonly name = "BusUnavailable";
  readonly kind: "no-responders" | "timeout" | "disconnected" | "refused";
  constructor(kind: BusUnavailable["kind"], message: string, options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
  }
}
