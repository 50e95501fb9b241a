import { randomBytes } from "node:crypto";

/** Random digits are drawn for some hundred ids at once: a draw costs more than an id. */
const drawnBytes = 8 * 1024;
let digits = "";
let at = 0;

function hex(count: number): string {
  if (at + count > digits.length) {
    digits = randomBytes(drawnBytes).toString("hex");
    at = 0;
  }
  at += count;
  return digits.slice(at - count, at);
}

/** 128 random bits as 32 hexadecimal digits. */
export function freshId(): string {
  return hex(32);
}

/** A `traceparent` of a new trace, sampled (Trace Context §3.2). All zeros would be invalid; 128 random bits are not. */
export function freshTraceparent(): string {
  return `00-${hex(32)}-${hex(16)}-01`;
}
