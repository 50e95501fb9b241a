import { BadAnswer } from "./answer-head.ts";

/** Takes what a decoder finds. */
export interface ChunkSink {
  data(bytes: Buffer): void;
}

/** A line with the size of a chunk, extensions included, may have this many bytes. */
const sizeLineBytes = 1_024;
/** The trailer section may have this many bytes. */
const trailerBytes = 16 * 1024;

const cr = 0x0d;
const lf = 0x0a;

/** What comes next. */
const size = 0;
const data = 1;
const dataEnd = 2;
const trailer = 3;
const over = 4;

/** Decodes the chunked coding (RFC 9112 §7.1) as it arrives. Strict: what could be read in two ways is an error. */
export class ChunkedDecoder {
  #next = size;
  /** Bytes of the chunk that are still to come. */
  #left = 0;
  /** The beginning of a line whose end has not come. */
  #line = "";
  /** The trailer section without the empty line that ends it; meaningful when it is over. */
  trailer = "";

  /** The whole body was there. */
  get done(): boolean {
    return this.#next === over;
  }

  /**
   * Takes bytes.
   *
   * @returns how many belonged to this body; fewer than there are when it is over
   * @throws BadAnswer
   */
  write(bytes: Buffer, from: number, sink: ChunkSink): number {
    let at = from;
    while (at < bytes.length) {
      switch (this.#next) {
        case size: {
          const line = this.#takeLine(bytes, at, sizeLineBytes);
          if (line === undefined) return bytes.length - from;
          at = this.#at;
          this.#left = sizeOf(line);
          this.#next = this.#left === 0 ? trailer : data;
          break;
        }
        case data: {
          const end = Math.min(bytes.length, at + this.#left);
          sink.data(at === 0 && end === bytes.length ? bytes : bytes.subarray(at, end));
          this.#left -= end - at;
          at = end;
          if (this.#left === 0) this.#next = dataEnd;
          break;
        }
        case dataEnd: {
          // The two bytes behind a chunk, which may come apart.
          const expected = this.#left === 0 ? cr : lf;
          if (bytes[at] !== expected) throw new BadAnswer("a chunk longer than its size");
          at += 1;
          this.#left += 1;
          if (this.#left === 2) {
            this.#left = 0;
            this.#next = size;
          }
          break;
        }
        case trailer: {
          const line = this.#takeLine(bytes, at, trailerBytes);
          if (line === undefined) return bytes.length - from;
          at = this.#at;
          if (line === "") this.#next = over;
          else {
            this.trailer = this.trailer === "" ? line : `${this.trailer}\r\n${line}`;
            if (this.trailer.length > trailerBytes) throw new BadAnswer("too many trailers");
          }
          break;
        }
        default:
          return at - from;
      }
    }
    return at - from;
  }

  /** Where the last line ended. */
  #at = 0;

  /** A whole line without its CRLF; undefined when its end has not come yet. */
  #takeLine(bytes: Buffer, from: number, maxBytes: number): string | undefined {
    const end = bytes.indexOf(lf, from);
    const piece = bytes.toString("latin1", from, end === -1 ? bytes.length : end);
    const line = this.#line === "" ? piece : this.#line + piece;
    if (line.length > maxBytes) throw new BadAnswer("a line too long in the chunked coding");
    if (end === -1) {
      this.#line = line;
      return undefined;
    }
    this.#line = "";
    this.#at = end + 1;
    // A line feed by itself ends no line here: others might think that it does.
    if (line.charCodeAt(line.length - 1) !== cr)
      throw new BadAnswer("a bare line feed in the chunked coding");
    return line.slice(0, -1);
  }
}

function sizeOf(line: string): number {
  // Extensions mean nothing to us and stop here (RFC 9112 §7.1.1), but they must be ones: no control characters among them.
  const found = /^([0-9A-Fa-f]{1,13})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?$/.exec(line);
  if (found === null) throw new BadAnswer("a bad chunk size");
  return Number.parseInt(found[1]!, 16);
}
