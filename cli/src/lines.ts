import { createReadStream, statSync } from "node:fs";
import { CommandFailed, type Terminal } from "./terminal.ts";

export interface Line {
  /** From 1. */
  readonly number: number;
  readonly text: string;
}

/** The longest line, in bytes: more than the longest token, as JSON. */
const maxLineBytes = 64 * 1024;

/** A file that is read line by line, so that it may be longer than the memory. */
export interface LineFile {
  /** For messages: the file's name, `stdin` for standard input. */
  readonly name: string;
  /** The lines that are not blank. @throws CommandFailed when it cannot be read, or a line is too long */
  lines(): AsyncGenerator<Line>;
  /** How many there are; undefined where it can be read only once. @throws as {@link lines} */
  count(): Promise<number | undefined>;
}

/** @param file `-`: standard input */
export function lineFile(terminal: Terminal, file: string): LineFile {
  const name = file === "-" ? "stdin" : file;
  const open = () => (file === "-" ? terminal.input() : createReadStream(file));
  return {
    name,
    lines: () => linesOf(name, open()),
    async count() {
      if (file === "-" || statSync(file, { throwIfNoEntry: false })?.isFile() !== true)
        return undefined;
      let count = 0;
      // oxlint-disable-next-line no-unused-vars -- only how many there are
      for await (const _ of linesOf(name, open())) count += 1;
      return count;
    },
  };
}

async function* linesOf(name: string, input: AsyncIterable<Uint8Array>): AsyncGenerator<Line> {
  let number = 0;
  let rest = Buffer.alloc(0);
  const line = (bytes: Uint8Array): Line => {
    number += 1;
    if (bytes.length > maxLineBytes)
      throw new CommandFailed(`${name}:${number}: the line is longer than ${maxLineBytes} bytes`);
    // A byte order mark is no part of a token.
    return {
      number,
      text: Buffer.from(bytes)
        .toString("utf8")
        .replace(/^\uFEFF/, "")
        .trim(),
    };
  };
  try {
    for await (const chunk of input) {
      const bytes = rest.length === 0 ? Buffer.from(chunk) : Buffer.concat([rest, chunk]);
      let at = 0;
      for (let end = bytes.indexOf(10); end !== -1; end = bytes.indexOf(10, at)) {
        const found = line(bytes.subarray(at, end));
        if (found.text !== "") yield found;
        at = end + 1;
      }
      rest = Buffer.from(bytes.subarray(at));
      if (rest.length > maxLineBytes) line(rest);
    }
  } catch (cause) {
    if (cause instanceof CommandFailed) throw cause;
    const code = (cause as NodeJS.ErrnoException).code ?? "failed";
    throw new CommandFailed(`Cannot read ${name}: ${code}`, { cause });
  }
  if (rest.length === 0) return;
  const last = line(rest);
  if (last.text !== "") yield last;
}
