import { withoutCredentials } from "@tocsin/shared";
import type { Cancel, Clock, Milliseconds } from "@tocsin/shared";

/** One exchange that is over, as metrics and the access line tell it. */
export interface ExchangeRecord {
  /** 1 to 64 characters of `A-Za-z0-9_-`. */
  readonly requestId: string;
  /** 32 hexadecimal digits. */
  readonly traceId: string;
  readonly clientAddress: string;
  readonly method: string;
  readonly host: string | undefined;
  /** Without the query, which may hold secrets. */
  readonly path: string;
  /** Route id; empty when no route was found. */
  readonly route: string;
  readonly service: string;
  readonly instance: string | undefined;
  readonly status: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly durationMs: Milliseconds;
  /** Time until the reply began, without the time until the upstream answered; undefined when nothing was replied. */
  readonly overheadMs: Milliseconds | undefined;
  /** Time from forwarding to the upstream's answer; undefined when nothing was forwarded. */
  readonly upstreamMs: Milliseconds | undefined;
  /** The refusal's code, when that was the reply. */
  readonly code: string | undefined;
  /** Why it ended before its time. */
  readonly aborted: string | undefined;
}

export interface AccessLog extends Disposable {
  note(exchange: ExchangeRecord): void;
}

/** Says nothing. */
export const silentAccessLog: AccessLog = { note() {}, [Symbol.dispose]() {} };

/** Lines are handed over when they are this many characters, or this old. */
const batchBytes = 64 * 1024;
/** The longest line: all fields of a request together are bounded at 64 KiB, and escaping makes six characters of one at most. */
const lineBytes = 512 * 1024;
const batchAgeMs: Milliseconds = 100;

/**
 * One JSON line per exchange, in the shape of all other log lines (`level`, `time`, `msg`).
 *
 * It does not go through the general logger, where a line costs about 13 µs of a request's 45: here the text is put together
 * as it stands, the date is made once per millisecond, and a batch is one write.
 *
 * @param write takes whole lines in ASCII, some at a time; the bytes are its own
 * @param fields on every line: role, node
 */
export function createAccessLog(
  write: (lines: Buffer) => void,
  clock: Clock,
  fields: object = {},
): AccessLog {
  const constant = JSON.stringify(fields).slice(1, -1);
  const tail = `${constant === "" ? "" : `,${constant}`},"msg":"exchange",`;
  // A text of thousands of pieces takes long to put together at the end. Lines are copied as they come, while they are warm in the
  // cache; what leaves is one piece of bytes, which nobody has to encode any more.
  const lines = Buffer.allocUnsafeSlow(batchBytes + lineBytes);
  let length = 0;
  let timer: Cancel | undefined;
  let prefixedAt = -1;
  let prefix = "";

  function flush(): void {
    timer?.();
    timer = undefined;
    if (length === 0) return;
    const batch = Buffer.from(lines.subarray(0, length));
    length = 0;
    write(batch);
  }

  /** Cannot be, by the limits of the listener; and if it is, it is written all the same. */
  function tooLong(line: string): void {
    flush();
    write(Buffer.from(line, "latin1"));
  }

  return {
    note(exchange) {
      const now = Math.trunc(clock.wall());
      if (now !== prefixedAt) {
        prefixedAt = now;
        prefix = `{"level":"info","time":"${new Date(now).toISOString()}"${tail}`;
      }
      const line = prefix + lineOf(exchange);
      if (line.length > lineBytes) return tooLong(line);
      length += lines.write(line, length, "latin1");
      if (length >= batchBytes) flush();
      else timer ??= clock.after(batchAgeMs, flush);
    },
    [Symbol.dispose]: flush,
  };
}

function lineOf(exchange: ExchangeRecord): string {
  const { host, instance, upstreamMs, code, aborted } = exchange;
  // Names, ids and addresses were validated where they came from; host and path are the client's words, and so is the method.
  let line = `"request_id":"${exchange.requestId}","trace_id":"${exchange.traceId}","client_ip":"${exchange.clientAddress}"`;
  line += `,"method":${quoted(exchange.method)}`;
  if (host !== undefined) line += `,"host":${quoted(hostOf(host))}`;
  line += `,"path":${quoted(pathOf(exchange.path))},"route":"${exchange.route}","service":"${exchange.service}"`;
  if (instance !== undefined) line += `,"instance":"${instance}"`;
  line += `,"status":${exchange.status},"bytes_in":${exchange.bytesIn},"bytes_out":${exchange.bytesOut}`;
  // Three digits are microseconds; more say nothing and take bytes in every line.
  line += `,"duration_ms":${thousandths(exchange.durationMs)}`;
  if (upstreamMs !== undefined) line += `,"upstream_ms":${thousandths(upstreamMs)}`;
  if (code !== undefined) line += `,"code":"${code}"`;
  if (aborted !== undefined) line += `,"aborted":"${aborted}"`;
  return `${line}}\n`;
}

/** A host that was refused may be anything; what stands before an `@` is a name and a password (RFC 3986 §3.2.1). */
function hostOf(host: string): string {
  return host.includes("@") ? host.slice(host.lastIndexOf("@") + 1) : host;
}

/** Some put a token or a key into the path. None of them is shorter. */
function pathOf(path: string): string {
  return path.length < 40 ? path : withoutCredentials(path);
}

/** A number with three digits behind the point. `toFixed` says the same, and takes three times as long. */
function thousandths(value: number): string {
  const all = Math.round(value * 1_000);
  if (!(all >= 0 && all < 2 ** 31)) return value.toFixed(3);
  const whole = Math.trunc(all / 1_000);
  const rest = all - whole * 1_000;
  return rest < 10 ? `${whole}.00${rest}` : rest < 100 ? `${whole}.0${rest}` : `${whole}.${rest}`;
}

/** Printable ASCII without the quote and the backslash stands in JSON as it is. */
const plain = /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/;

function quoted(text: string): string {
  return plain.test(text)
    ? `"${text}"`
    : JSON.stringify(text).replace(
        /[\x7f-\uffff]/g,
        (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
      );
}
