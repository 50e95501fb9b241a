/**
 * How a set of revocations is written down: for snapshots over the bus, for the last-good file of a proxy, and for what a proxy
 * gives back to a control plane whose store has lost it.
 *
 * `TOCSREV2`, then blocks. A block is its kind, the length of its payload in bytes and a CRC-32 over both and the payload, 4 bytes
 * each, then the payload; all numbers have the little end first. Blocks, because a set of ten million is neither written nor read at
 * once: each is whole in itself, and others have their turn between two of them.
 */
import { crc32 } from "node:zlib";
import { z } from "zod";
import { bytesPerToken } from "./fingerprint-set.ts";
import { keyBytes } from "./generation.ts";
import type { DumpedMark } from "./marks.ts";

const magic = Buffer.from("TOCSREV2");

const kinds = { key: 1, tokens: 2, users: 3, end: 4 } as const;
const headBytes = 12;
/** Tokens (a double), marks, blocks and a CRC-32 over the checksums of all blocks before. */
const endBytes = 20;

export type Block =
  /** The tokens that follow are under this key. The first one is the primary key. */
  | { readonly kind: "key"; readonly key: Uint8Array }
  /** 12 bytes a token: upper half, lower half, Unix seconds after which it may be forgotten. */
  | { readonly kind: "tokens"; readonly bytes: Buffer }
  | { readonly kind: "users"; readonly marks: readonly DumpedMark[] };

const DumpedMarks = z.array(
  z.tuple([z.string(), z.string().nullable(), z.number(), z.number()], z.number()),
) satisfies z.ZodType<DumpedMark[]>;

/** Writes a dump, block by block. What it returns is to be put together in this order. */
export class DumpWriter {
  #tokens = 0;
  #marks = 0;
  #blocks = 0;
  #chain = 0;

  begin(): Uint8Array {
    return magic;
  }

  key(key: Uint8Array): Uint8Array {
    return this.#block(kinds.key, key);
  }

  /** @param write puts so many tokens down, three words each */
  tokens(count: number, write: (entries: Uint32Array) => void): Uint8Array {
    this.#tokens += count;
    const block = Buffer.allocUnsafeSlow(headBytes + count * bytesPerToken);
    write(new Uint32Array(block.buffer, headBytes));
    return this.#finish(kinds.tokens, block);
  }

  users(marks: readonly DumpedMark[]): Uint8Array {
    this.#marks += marks.length;
    return this.#block(kinds.users, Buffer.from(JSON.stringify(marks)));
  }

  end(): Uint8Array {
    const payload = Buffer.alloc(endBytes);
    payload.writeDoubleLE(this.#tokens);
    payload.writeUInt32LE(this.#marks, 8);
    payload.writeUInt32LE(this.#blocks, 12);
    payload.writeUInt32LE(this.#chain, 16);
    return this.#block(kinds.end, payload);
  }

  #block(kind: number, payload: Uint8Array): Uint8Array {
    const block = Buffer.allocUnsafeSlow(headBytes + payload.byteLength);
    block.set(payload, headBytes);
    return this.#finish(kind, block);
  }

  /** @param block with its payload, and room for its head */
  #finish(kind: number, block: Buffer): Uint8Array {
    block.writeUInt32LE(kind);
    block.writeUInt32LE(block.length - headBytes, 4);
    block.writeUInt32LE(crc32(block.subarray(headBytes), crc32(block.subarray(0, 8))), 8);
    this.#blocks += 1;
    this.#chain = crc32(block.subarray(8, headBytes), this.#chain);
    return block;
  }
}

/**
 * Reads the blocks of a dump, and checks each of them and, at the end, that none is missing. Only when the generator has ended is the
 * dump known to be whole.
 *
 * @throws Error when it is damaged, cut short, or something else
 */
export function* blocksOf(bytes: Uint8Array): Generator<Block> {
  const dump = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (!dump.subarray(0, magic.length).equals(magic)) throw new Error("not a dump of revocations");
  let tokens = 0;
  let marks = 0;
  let blocks = 0;
  let chain = 0;
  for (let at = magic.length; ; blocks += 1) {
    if (at + headBytes > dump.length) throw cutShort();
    const kind = dump.readUInt32LE(at);
    const end = at + headBytes + dump.readUInt32LE(at + 4);
    if (end > dump.length) throw cutShort();
    const payload = dump.subarray(at + headBytes, end);
    if (crc32(payload, crc32(dump.subarray(at, at + 8))) !== dump.readUInt32LE(at + 8))
      throw damaged("a checksum does not fit");
    switch (kind) {
      case kinds.key:
        if (payload.length !== keyBytes) throw damaged("a key of another length");
        yield { kind: "key", key: payload };
        break;
      case kinds.tokens:
        if (blocks === 0) throw damaged("tokens without a key");
        if (payload.length % bytesPerToken !== 0) throw damaged("half a token");
        tokens += payload.length / bytesPerToken;
        yield { kind: "tokens", bytes: payload };
        break;
      case kinds.users: {
        const read = DumpedMarks.parse(JSON.parse(payload.toString()));
        marks += read.length;
        yield { kind: "users", marks: read };
        break;
      }
      case kinds.end:
        if (
          end !== dump.length ||
          payload.length !== endBytes ||
          payload.readDoubleLE() !== tokens ||
          payload.readUInt32LE(8) !== marks ||
          payload.readUInt32LE(12) !== blocks ||
          payload.readUInt32LE(16) !== chain
        )
          throw damaged("its end does not fit");
        return;
      default:
        throw damaged(`a block of an unknown kind, ${kind}`);
    }
    chain = crc32(dump.subarray(at + 8, at + headBytes), chain);
    at = end;
  }
}

/** @returns the primary key of a dump, or undefined when it begins with none. The rest is not looked at. */
export function primaryKeyOf(dump: Uint8Array): Uint8Array | undefined {
  try {
    const first = blocksOf(dump).next();
    return first.done !== true && first.value.kind === "key" ? first.value.key : undefined;
  } catch {
    return undefined;
  }
}

function cutShort(): Error {
  return damaged("it is cut short");
}

function damaged(why: string): Error {
  return new Error(`a damaged dump of revocations: ${why}`);
}
