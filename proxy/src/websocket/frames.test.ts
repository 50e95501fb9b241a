import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { frame, frameCases, maxMessageBytes, plainFrame } from "./frames.fixture.ts";
import type { FrameCase } from "./frames.fixture.ts";
import { Frames } from "./frames.ts";

const framesOf = ({ from, extended = false }: Pick<FrameCase, "from" | "extended">) =>
  new Frames({ masked: from === "client", extended, maxMessageBytes });

/** What passes of these pieces. */
function passed(frames: Frames, pieces: readonly Buffer[]): Buffer {
  // Kept as a copy: what is passed on may be written later.
  return Buffer.concat(pieces.map((piece) => Buffer.from(frames.take(piece))));
}

const cut = (bytes: Buffer, every: number): Buffer[] =>
  Array.from({ length: Math.ceil(bytes.length / every) }, (_, index) =>
    bytes.subarray(index * every, (index + 1) * every),
  );

describe.each(frameCases)("$from: $name", (line) => {
  const bytes = Buffer.concat(line.bytes);
  const wanted = Buffer.concat(line.bytes.slice(0, line.pass ?? line.bytes.length));

  test.each([1, 2, 3, 5, 7, 100, 1 << 20])("in pieces of %i bytes", (every) => {
    const frames = framesOf(line);
    expect(passed(frames, cut(bytes, every)).equals(wanted)).toBe(true);
    expect(frames.fault).toBe(line.fault);
  });
});

test("what has passed never ends within a head", () => {
  const frames = framesOf({ from: "client" });
  const bytes = Buffer.concat([frame("x".repeat(300)), frame("y")]);
  let total = 0;
  const ends = new Set([0, 314, 315]);
  for (const byte of bytes) {
    total += frames.take(Buffer.from([byte])).length;
    expect(total >= 8 && total <= 308 ? true : ends.has(total)).toBe(true);
  }
  expect(total).toBe(bytes.length);
});

test("what passes as a whole is the same buffer, not a copy", () => {
  const piece = frame("hello");
  expect(framesOf({ from: "client" }).take(piece)).toBe(piece);
});

test("stopped in a frame, the rest of it passes and nothing else", () => {
  const frames = framesOf({ from: "service" });
  const bytes = plainFrame("0123456789");
  expect(frames.take(bytes.subarray(0, 5))).toHaveLength(5);
  expect(frames.stop()).toBe(false);
  const rest = frames.take(Buffer.concat([bytes.subarray(5), plainFrame("no more")]));
  expect(rest.equals(bytes.subarray(5))).toBe(true);
  expect(frames.ended).toBe(true);
  expect(frames.fault).toBeUndefined();
});

test("stopped between frames, nothing passes", () => {
  const frames = framesOf({ from: "service" });
  frames.take(plainFrame("a"));
  // A head that has not come as a whole is no frame yet.
  frames.take(plainFrame("b").subarray(0, 1));
  expect(frames.stop()).toBe(true);
  expect(frames.take(plainFrame("b").subarray(1))).toHaveLength(0);
});

test("the beginning of a head is given back when nothing more comes", () => {
  const frames = framesOf({ from: "client" });
  expect(frames.take(Buffer.from([0x81]))).toHaveLength(0);
  expect(frames.rest()).toEqual(Buffer.from([0x81]));
  expect(frames.rest()).toBeUndefined();
});

test("any messages, cut anywhere, pass as they are", () => {
  const message = fc.array(fc.nat({ max: 300 }), { minLength: 1, maxLength: 3 });
  fc.assert(
    fc.property(
      fc.array(message, { maxLength: 5 }),
      fc.array(fc.nat({ max: 40 })),
      (list, cuts) => {
        const bytes = Buffer.concat(
          list.flatMap((parts) =>
            parts.map((length, index) =>
              frame(Buffer.alloc(length, length), {
                opcode: index === 0 ? 2 : 0,
                final: index === parts.length - 1,
              }),
            ),
          ),
        );
        const pieces: Buffer[] = [];
        let at = 0;
        for (const length of cuts) {
          pieces.push(bytes.subarray(at, at + length));
          at += length;
        }
        pieces.push(bytes.subarray(at));
        const frames = framesOf({ from: "client" });
        expect(passed(frames, pieces).equals(bytes)).toBe(true);
        expect(frames.fault).toBeUndefined();
      },
    ),
    { numRuns: 300 },
  );
});
