/** For tests: frames as they go on the wire, and a list of what may and may not be said in them (RFC 6455 §5). */
import type { FrameFault } from "./frames.ts";

export interface FrameShape {
  readonly opcode?: number;
  readonly final?: boolean;
  readonly reserved?: number;
  readonly mask?: readonly number[] | undefined;
}

/** A frame as it goes on the wire. Masked unless `mask` is undefined; every length in its shortest form. */
export function frame(payload: string | Buffer, shape: FrameShape = {}): Buffer {
  const { opcode = 1, final = true, reserved = 0 } = shape;
  const mask = "mask" in shape ? shape.mask : [1, 2, 3, 4];
  const bytes = Buffer.from(payload);
  const bit = mask === undefined ? 0 : 0x80;
  const first = (final ? 0x80 : 0) | (reserved << 4) | opcode;
  const { length } = bytes;
  let head: Buffer;
  if (length < 126) head = Buffer.from([first, bit | length]);
  else if (length < 2 ** 16) {
    head = Buffer.from([first, bit | 126, 0, 0]);
    head.writeUInt16BE(length, 2);
  } else {
    head = Buffer.alloc(10);
    head[0] = first;
    head[1] = bit | 127;
    head.writeBigUInt64BE(BigInt(length), 2);
  }
  if (mask !== undefined)
    for (let index = 0; index < length; index += 1) bytes[index]! ^= mask[index % 4]!;
  return Buffer.concat([head, Buffer.from(mask ?? []), bytes]);
}

/** A frame of a server. */
export function plainFrame(payload: string | Buffer, shape: Omit<FrameShape, "mask"> = {}): Buffer {
  return frame(payload, { ...shape, mask: undefined });
}

/** The payload of a close frame. */
export function closing(code: number, reason = ""): Buffer {
  const payload = Buffer.alloc(2);
  payload.writeUInt16BE(code);
  return Buffer.concat([payload, Buffer.from(reason)]);
}

export interface FrameCase {
  readonly name: string;
  readonly from: "client" | "service";
  /** What is sent. */
  readonly bytes: readonly Buffer[];
  /** How many of these pieces arrive; the rest does not. Default: all. */
  readonly pass?: number;
  /** What is wrong with the rest. Absent: nothing is. */
  readonly fault?: FrameFault;
  /** An extension was agreed on. */
  readonly extended?: boolean;
}

/** In this list no message may have more bytes. */
export const maxMessageBytes = 1_000;

const text = frame("hello");
const first = frame("a", { final: false });
const more = frame("b", { opcode: 0, final: false });
const last = frame("c", { opcode: 0 });
const close = frame(closing(1000), { opcode: 8 });
const raw = (hex: string) => Buffer.from(hex.replaceAll(" ", ""), "hex");

function fine(name: string, ...bytes: Buffer[]): FrameCase {
  return { name, from: "client", bytes };
}
function wrong(name: string, ...bytes: Buffer[]): FrameCase {
  return { name, from: "client", bytes, pass: bytes.length - 1, fault: "protocol-error" };
}
function large(name: string, ...bytes: Buffer[]): FrameCase {
  return { name, from: "client", bytes, pass: bytes.length - 1, fault: "message-too-large" };
}

export const frameCases: readonly FrameCase[] = [
  fine("a text message", text),
  fine("an empty message", frame("")),
  fine("a message of 125 bytes", frame("x".repeat(125))),
  fine("a message of 126 bytes", frame("x".repeat(126))),
  fine("the largest message", frame("x".repeat(1_000), { opcode: 2 })),
  fine("a mask of zeros", frame("hello", { mask: [0, 0, 0, 0] })),
  fine("two messages in one piece", text, text),
  fine("a message in three frames", first, more, last),
  fine(
    "empty frames around a message",
    frame("", { final: false }),
    frame("", { opcode: 0, final: false }),
    last,
  ),
  fine("a ping", frame("", { opcode: 9 })),
  fine("a ping of 125 bytes", frame("x".repeat(125), { opcode: 9 })),
  fine("a pong that nobody asked for", frame("x", { opcode: 10 })),
  fine(
    "control frames between the frames of a message",
    first,
    frame("p", { opcode: 9 }),
    more,
    frame("q", { opcode: 10 }),
    last,
  ),
  fine(
    "messages that are large together",
    ...Array.from({ length: 5 }, () => frame("x".repeat(900))),
  ),
  fine("text that is no UTF-8: not ours to read", frame(raw("ff fe"))),
  fine("a close frame", close),
  fine("a close frame without a code", frame("", { opcode: 8 })),
  fine(
    "a close frame with the longest reason",
    frame(closing(4_999, "r".repeat(123)), { opcode: 8 }),
  ),
  fine("a close frame in the middle of a message", first, close),
  { ...fine("nothing behind a close frame", close, text), pass: 1 },
  { ...fine("no rubbish behind a close frame", close, raw("ff ff ff ff")), pass: 1 },
  {
    ...fine("compressed messages where that was agreed", frame("zip", { reserved: 4 })),
    extended: true,
  },
  {
    ...fine("reserved bits where an extension was agreed", frame("zip", { reserved: 7 })),
    extended: true,
  },

  wrong("the first reserved bit", frame("x", { reserved: 4 })),
  wrong("the second reserved bit", frame("x", { reserved: 2 })),
  wrong("the third reserved bit, behind a message", text, frame("x", { reserved: 1 })),
  wrong("a reserved bit in a ping", frame("", { opcode: 9, reserved: 4 })),
  ...[3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map((opcode) =>
    wrong(`opcode ${opcode}`, frame("x", { opcode })),
  ),
  {
    ...wrong("an unknown opcode where an extension was agreed", frame("x", { opcode: 3 })),
    extended: true,
  },
  wrong("a frame that is not masked", frame("x", { mask: undefined })),
  wrong("a close frame that is not masked", frame(closing(1000), { opcode: 8, mask: undefined })),
  wrong("a ping in two frames", frame("x", { opcode: 9, final: false })),
  wrong("a close in two frames", frame(closing(1000), { opcode: 8, final: false })),
  wrong("a ping of 126 bytes", frame("x".repeat(126), { opcode: 9 })),
  wrong("a pong of 70,000 bytes", frame("x".repeat(70_000), { opcode: 10 })),
  wrong("a close frame of 126 bytes", frame(closing(1000, "r".repeat(124)), { opcode: 8 })),
  wrong("a close frame of one byte", frame("x", { opcode: 8 })),
  wrong("a continuation of nothing", frame("x", { opcode: 0 })),
  wrong("a continuation of nothing that goes on", frame("x", { opcode: 0, final: false })),
  wrong("a continuation of a message that is over", first, last, frame("x", { opcode: 0 })),
  wrong("a message within a message", first, frame("x")),
  wrong(
    "a message within a message, behind a ping",
    first,
    frame("", { opcode: 9 }),
    frame("x", { opcode: 2 }),
  ),
  wrong("a length of 125 in three bytes", raw("82 fe 00 7d 01 02 03 04")),
  wrong("a length of 0 in three bytes", raw("82 fe 00 00 01 02 03 04")),
  wrong("a length of 65,535 in nine bytes", raw("82 ff 00 00 00 00 00 00 ff ff 01 02 03 04")),
  wrong("a length of 1 in nine bytes", raw("82 ff 00 00 00 00 00 00 00 01 01 02 03 04")),
  wrong("a length with the highest bit", raw("82 ff 80 00 00 00 00 00 00 00 01 02 03 04")),
  wrong("a length of all bits", raw("82 ff ff ff ff ff ff ff ff ff 01 02 03 04")),

  large("a message of one byte too many", frame("x".repeat(1_001))),
  large("a message of 65,536 bytes", text, frame("x".repeat(65_536))),
  large("a message that says it has 2^62 bytes", raw("82 ff 40 00 00 00 00 00 00 00 01 02 03 04")),
  large(
    "a message of one byte too many in two frames",
    frame("x".repeat(600), { final: false }),
    frame("x".repeat(401), { opcode: 0 }),
  ),
  large(
    "a message of very many frames",
    ...Array.from({ length: 1_000 }, (_, index) =>
      frame("x", { opcode: index === 0 ? 1 : 0, final: false }),
    ),
    last,
  ),

  { name: "a service's message", from: "service", bytes: [plainFrame("hello")] },
  {
    name: "a service's message in two frames",
    from: "service",
    bytes: [plainFrame("a", { final: false }), plainFrame("b", { opcode: 0 })],
  },
  {
    name: "a service's frame that is masked",
    from: "service",
    bytes: [text],
    pass: 0,
    fault: "protocol-error",
  },
  {
    name: "a service's reserved bit",
    from: "service",
    bytes: [plainFrame("x", { reserved: 4 })],
    pass: 0,
    fault: "protocol-error",
  },
  {
    name: "a service's ping in two frames",
    from: "service",
    bytes: [plainFrame("x", { opcode: 9, final: false })],
    pass: 0,
    fault: "protocol-error",
  },
  {
    name: "a service's message too large",
    from: "service",
    bytes: [plainFrame("ok"), plainFrame("x".repeat(1_001))],
    pass: 1,
    fault: "message-too-large",
  },
  {
    name: "HTTP where frames are expected",
    from: "service",
    bytes: [Buffer.from("HTTP/1.1 200 OK\r\n\r\n")],
    pass: 0,
    fault: "protocol-error",
  },
];
