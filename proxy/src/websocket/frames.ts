/** What the head of a frame can do wrong (RFC 6455 §5, and §10.4 for the size). */
export type FrameFault = "protocol-error" | "message-too-large";

export interface FrameRules {
  /** Frames of clients must be masked, those of servers must not (RFC 6455 §5.1). */
  readonly masked: boolean;
  /** An extension was agreed on: it may give the reserved bits a meaning (RFC 6455 §5.2). */
  readonly extended: boolean;
  /** Bytes of a message, all its frames together, as it travels: compressed where it is. */
  readonly maxMessageBytes: number;
}

const opcodes = { continuation: 0x0, binary: 0x2, close: 0x8, pong: 0xa } as const;
/** Control frames are no longer (RFC 6455 §5.5). */
const maxControlBytes = 125;
const nothing = Buffer.alloc(0);

/**
 * Follows the frames of one direction of a WebSocket, whose bytes pass as they are: where a frame ends, so that one of ours can stand
 * between two; how large a message has become; whether the end was announced. Payload is skipped, neither copied nor unmasked.
 *
 * A head that has not come as a whole is held back (at most 13 bytes), so what has passed always ends in a payload or between frames.
 */
export class Frames {
  readonly #rules: FrameRules;
  #held: Buffer | undefined = undefined;
  /** Bytes of the present frame's payload that are to come. */
  #left = 0;
  /** Bytes of the present message in frames so far; undefined: none has begun. */
  #message: number | undefined = undefined;
  #closing = false;
  #ended = false;
  #fault: FrameFault | undefined = undefined;

  constructor(rules: FrameRules) {
    this.#rules = rules;
  }

  /** Nothing passes any more: a close frame has (RFC 6455 §5.5.1 lets nothing follow it), or it was {@link stop stopped}. */
  get ended(): boolean {
    return this.#ended;
  }

  /** What was wrong with the frame before which the bytes stopped to pass. */
  get fault(): FrameFault | undefined {
    return this.#fault;
  }

  /** Takes the next bytes. @returns those that may go on; the same buffer when that is all of them */
  take(chunk: Buffer): Buffer {
    if (this.#ended || this.#fault !== undefined) return nothing;
    const input = this.#held === undefined ? chunk : Buffer.concat([this.#held, chunk]);
    this.#held = undefined;
    let at = 0;
    while (at < input.length && !this.#ended) {
      if (this.#left === 0) {
        const bytes = this.#head(input, at);
        if (bytes === 0) break;
        at += bytes;
      }
      const taken = Math.min(this.#left, input.length - at);
      this.#left -= taken;
      at += taken;
      this.#ended = this.#closing && this.#left === 0;
    }
    return at === input.length ? input : input.subarray(0, at);
  }

  /** Lets nothing pass behind the present frame. @returns whether what has passed ends between two frames already */
  stop(): boolean {
    this.#closing = true;
    this.#ended = this.#left === 0;
    return this.#ended;
  }

  /** The bytes that were held back: for when nothing more comes. */
  rest(): Buffer | undefined {
    const held = this.#held;
    this.#held = undefined;
    return held;
  }

  /** Reads a head. @returns its bytes; 0: it is not whole, or at fault */
  #head(input: Buffer, at: number): number {
    const there = input.length - at;
    if (there < 2) return this.#hold(input, at);
    const first = input[at]!;
    const second = input[at + 1]!;
    const opcode = first & 0x0f;
    const final = (first & 0x80) !== 0;
    const short = second & 0x7f;
    const masked = (second & 0x80) !== 0;
    if (masked !== this.#rules.masked || ((first & 0x70) !== 0 && !this.#rules.extended))
      return this.#fail("protocol-error");
    if (opcode >= opcodes.close) {
      // One byte is no code (RFC 6455 §5.5.1).
      const badClose = opcode === opcodes.close && short === 1;
      if (!final || short > maxControlBytes || opcode > opcodes.pong || badClose)
        return this.#fail("protocol-error");
    } else if (
      opcode > opcodes.binary ||
      (opcode === opcodes.continuation) !== (this.#message !== undefined)
    )
      return this.#fail("protocol-error");
    const bytes = 2 + (short === 127 ? 8 : short === 126 ? 2 : 0) + (masked ? 4 : 0);
    if (there < bytes) return this.#hold(input, at);
    const length =
      short === 126
        ? input.readUInt16BE(at + 2)
        : short === 127
          ? input.readUInt32BE(at + 2) * 2 ** 32 + input.readUInt32BE(at + 6)
          : short;
    // The fewest bytes must be used, and the highest bit be 0 (RFC 6455 §5.2); such lengths are not exact here, which is no matter.
    if (
      (short === 126 && length < 126) ||
      (short === 127 && (length < 2 ** 16 || length >= 2 ** 63))
    )
      return this.#fail("protocol-error");
    if (opcode >= opcodes.close) this.#closing = opcode === opcodes.close;
    else {
      const message = (this.#message ?? 0) + length;
      if (message > this.#rules.maxMessageBytes) return this.#fail("message-too-large");
      this.#message = final ? undefined : message;
    }
    this.#left = length;
    return bytes;
  }

  #hold(input: Buffer, at: number): 0 {
    // Copied: a few bytes must not keep a large buffer.
    this.#held = Buffer.from(input.subarray(at));
    return 0;
  }

  #fail(fault: FrameFault): 0 {
    this.#fault = fault;
    return 0;
  }
}
