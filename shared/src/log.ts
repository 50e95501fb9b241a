import { destination, pino } from "pino";
import { withoutCredentials } from "./shown.ts";

/** Events with fields: a constant message and what varies beside it. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  /** A log whose every line carries these fields too. */
  child(fields: object): Log;
  /**
   * Takes whole lines of JSON as they are, for what writes one for every request and cannot afford the way of the other lines.
   * Nothing is redacted and no fields are added. The bytes must not be changed afterwards. Absent: such lines go nowhere.
   */
  lines?(bytes: Buffer): void;
}

export const logLevels = ["debug", "info", "warn", "error", "silent"] as const;
export type LogLevel = (typeof logLevels)[number];

/** A text that never shows: in a log line, a JSON document or a template it reads `[redacted]`. */
export class Secret {
  readonly #text: string;
  constructor(text: string) {
    this.#text = text;
  }
  /** The text itself. Every call is a place to look at in a review. */
  reveal(): string {
    return this.#text;
  }
  toString(): string {
    return "[redacted]";
  }
  toJSON(): string {
    return "[redacted]";
  }
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return "[redacted]";
  }
}

/** Header names whose values are never written, as pino paths under `headers`. */
const redacted = ["authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key"].map(
  (name) => `headers["${name}"]`,
);

export interface LogOptions {
  readonly level: LogLevel;
  /** Fields on every line: role, node. */
  readonly fields?: object;
  /** File descriptor. Default 2: standard output is for data. */
  readonly fd?: number;
  /** Other processes write to it too: lines stay whole. Default false. */
  readonly shared?: boolean;
}

export interface FlushableLog extends Log {
  /** Takes whole JSON lines as they are, where `info` is logged. */
  lines(bytes: Buffer): void;
  /** Writes what is buffered, now. Call it before the process ends. */
  flush(): void;
}

/** A log of JSON lines. Lines are buffered to 4 KiB and written at the latest after 100 ms, so that a line costs no system call. */
export function createLog(options: LogOptions): FlushableLog {
  const file = destination({
    fd: options.fd ?? 2,
    sync: false,
    minLength: 4096,
    periodicFlush: 100,
    // Bytes, so that those of whoever has them already are not made a text first.
    contentMode: "buffer",
    ...(options.shared === true ? { maxWrite: atomicBytes, minLength: atomicBytes / 2 } : {}),
  });
  const lines = pino(
    {
      level: options.level,
      base: options.fields ?? null,
      redact: { paths: redacted, censor: "[redacted]" },
      formatters: { level: (label) => ({ level: label }) },
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
    },
    // Whatever an error of a library has quoted: what looks like a credential is not written.
    {
      write: (line) => void file.write(Buffer.from(withoutCredentials(line)) as unknown as string),
    },
  );
  return Object.assign(lines, {
    lines(bytes: Buffer) {
      if (!lines.isLevelEnabled("info")) return;
      if (options.shared === true)
        for (const piece of wholeLines(bytes)) file.write(piece as unknown as string);
      else file.write(bytes as unknown as string);
    },
    flush() {
      // A destination that has not opened yet, or is already closed, has nothing that could be written.
      try {
        file.flushSync();
      } catch {}
    },
  });
}

/** What several processes write to a pipe in one piece stays in one piece up to this size (PIPE_BUF of Linux, pipe(7)), in bytes. */
const atomicBytes = 4096;

/** Pieces that may be written one by one: each ends with a line, and is longer than {@link atomicBytes} only where one line is. */
export function* wholeLines(bytes: Buffer): Iterable<Buffer> {
  for (let start = 0; start < bytes.length;) {
    let end = bytes.length;
    if (end - start > atomicBytes) {
      const last = bytes.lastIndexOf(10, start + atomicBytes - 1);
      const next = last < start ? bytes.indexOf(10, start) : last;
      end = next < 0 ? bytes.length : next + 1;
    }
    yield bytes.subarray(start, end);
    start = end;
  }
}

/** Says nothing. */
export const silentLog: Log = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => silentLog,
};
