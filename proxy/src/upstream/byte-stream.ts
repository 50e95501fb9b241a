/**
 * A body on its way, without Node's stream objects: bytes are pushed, and a sink that is full says so.
 *
 * Stages that change a body wrap the source, and the sink in its `start`.
 */

export interface ByteSink {
  /** Takes a chunk. False: nothing more until {@link ByteSource.resume}. */
  write(chunk: Uint8Array): boolean;
  /**
   * The body is whole. `last` is its last chunk, so that a small body goes out as one write. `trailers`: fields that follow the body,
   * names and values in turn.
   */
  end(last?: Uint8Array, trailers?: readonly string[]): void;
  /** The body broke off: what was written so far must not look whole. */
  fail(error: Error): void;
}

export interface ByteSource {
  /** Pushes what has come so far and then what comes, into this sink. Called once. */
  start(sink: ByteSink): void;
  /** The sink takes more again. */
  resume(): void;
  /** Nobody wants the rest. The sink hears nothing more. */
  abort(reason: Error): void;
}
