import { fieldKind } from "./answer-fields.ts";
import * as kinds from "./answer-fields.ts";

/** An answer that breaks the rules of its protocol: whatever followed it could be read in more than one way. */
export class BadAnswer extends Error {
  override readonly name = "BadAnswer";
}

/** The head of an answer (RFC 9112 §4 and §5), read once: what passes to the client, and what frames the body. */
export class AnswerHead {
  readonly status: number;
  /** The minor version of HTTP/1. */
  readonly minor: number;
  /** End-to-end fields as they came: names and values in turn, order, case and repeats kept. */
  passing: string[] = [];
  contentLength: number | undefined = undefined;
  chunked = false;
  /** The options of `Connection`, in lower case, repeats joined. */
  connection: string | undefined = undefined;
  /** `Keep-Alive`, as far as it is there. */
  keepAlive: string | undefined = undefined;
  /** `Upgrade`. */
  upgrade: string | undefined = undefined;

  constructor(status: number, minor: number) {
    this.status = status;
    this.minor = minor;
  }

  /** Whether the connection stays open after this answer (RFC 9112 §9.3). */
  get persistent(): boolean {
    if (this.connection === undefined) return this.minor === 1;
    if (this.connection === "keep-alive") return true;
    const options = this.connection.split(",").map((option) => option.trim());
    return !options.includes("close") && (this.minor === 1 || options.includes("keep-alive"));
  }
}

/** Nothing but visible characters, blanks and bytes above ASCII may stand in a line: no bare CR or LF, no NUL (RFC 9110 §5.5). */
const control = /[\x00-\x08\x0a-\x1f\x7f]/;

/**
 * Reads a head.
 *
 * @param text without the empty line that ends it; one character a byte
 * @throws BadAnswer naming what is wrong
 */
export function readAnswerHead(text: string): AnswerHead {
  let end = text.indexOf("\r\n");
  const head = statusLine(end === -1 ? text : text.slice(0, end));
  while (end !== -1) {
    const start = end + 2;
    end = text.indexOf("\r\n", start);
    field(head, text, start, end === -1 ? text.length : end);
  }
  if (head.connection !== undefined) applyConnection(head, head.connection);
  if (head.chunked) {
    // RFC 9112 §6.3: both at once may be an attempt at response splitting.
    if (head.contentLength !== undefined)
      throw new BadAnswer("both Content-Length and Transfer-Encoding");
    // RFC 9112 §6.1: HTTP/1.0 has no transfer codings.
    if (head.minor === 0) throw new BadAnswer("Transfer-Encoding in HTTP/1.0");
  }
  return head;
}

function statusLine(line: string): AnswerHead {
  // `HTTP/1.1 200 OK`; the reason, and the blank before it, are often left out.
  const minor = line.charCodeAt(7) - zero;
  const status = digit(line, 9, 1, 5) * 100 + digit(line, 10, 0, 9) * 10 + digit(line, 11, 0, 9);
  if (
    !line.startsWith("HTTP/1.") ||
    !(minor === 0 || minor === 1) ||
    line.charCodeAt(8) !== blank ||
    Number.isNaN(status) ||
    !(line.length === 12 || line.charCodeAt(12) === blank) ||
    control.test(line)
  )
    throw new BadAnswer("a bad status line");
  return new AnswerHead(status, minor);
}

const zero = 0x30;
const blank = 0x20;

/** The digit at a place; NaN when there is none, or it is out of range. */
function digit(line: string, at: number, least: number, most: number): number {
  const found = line.charCodeAt(at) - zero;
  return found >= least && found <= most ? found : Number.NaN;
}

function field(head: AnswerHead, text: string, start: number, end: number): void {
  const colon = text.indexOf(":", start);
  // Also a folded line (RFC 9112 §5.2): it begins with a blank, so what stands before its colon is not a name.
  if (colon === -1 || colon >= end || colon === start)
    throw new BadAnswer("a line that is not a field");
  const name = text.slice(start, colon);
  const kind = fieldKind(name);
  if (kind === kinds.bad) throw new BadAnswer("a bad field name");
  const value = trimmed(text, colon + 1, end);
  if (control.test(value)) throw new BadAnswer("a control character in a field");
  switch (kind) {
    case kinds.pass:
      head.passing.push(name, value);
      return;
    case kinds.drop:
      return;
    case kinds.contentLength:
      if (head.contentLength !== undefined) throw new BadAnswer("two Content-Length fields");
      if (!/^\d{1,15}$/.test(value)) throw new BadAnswer("a bad Content-Length");
      head.contentLength = Number(value);
      // RFC 9110 §8.6: not in a 204, nor in an interim answer.
      if (head.status !== 204 && head.status >= 200) head.passing.push(name, value);
      return;
    case kinds.transferEncoding:
      // Any other coding would be passed on as something that it is not.
      if (head.chunked || value.toLowerCase() !== "chunked")
        throw new BadAnswer("an unknown Transfer-Encoding");
      head.chunked = true;
      return;
    case kinds.connection:
      head.connection = joined(head.connection, value.toLowerCase());
      return;
    case kinds.keepAlive:
      head.keepAlive = joined(head.keepAlive, value);
      return;
    case kinds.upgrade:
      head.upgrade = joined(head.upgrade, value);
      return;
    default:
      throw new Error(`no rule for fields of the kind ${kind}`);
  }
}

/** Optional whitespace around a value is not part of it (RFC 9110 §5.5). */
function trimmed(text: string, from: number, to: number): string {
  let start = from;
  let end = to;
  while (start < end && isBlank(text.charCodeAt(start))) start += 1;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end -= 1;
  return text.slice(start, end);
}

function isBlank(code: number): boolean {
  return code === blank || code === 0x09;
}

/** Fields that `Connection` names belong to this connection and stop here (RFC 9110 §7.6.1). */
function applyConnection(head: AnswerHead, options: string): void {
  if (options === "keep-alive" || options === "close") return;
  const named = new Set(options.split(",").map((option) => option.trim()));
  // The length frames the answer; without it a body that was cut short would look whole.
  named.delete("content-length");
  const { passing } = head;
  const kept: string[] = [];
  for (let index = 0; index + 1 < passing.length; index += 2)
    if (!named.has(passing[index]!.toLowerCase())) kept.push(passing[index]!, passing[index + 1]!);
  head.passing = kept;
}

function joined(before: string | undefined, value: string): string {
  return before === undefined ? value : `${before}, ${value}`;
}
