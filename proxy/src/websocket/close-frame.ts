import { randomBytes } from "node:crypto";

/** A reason may have this many bytes: a control frame has 125 of payload, and the code takes two (RFC 6455 §5.5). */
const reasonBytes = 123;

/**
 * A close frame (RFC 6455 §5.5.1).
 *
 * @param code 1000 to 4999
 * @param reason ASCII; cut where it is too long
 * @param masked towards a server, with a mask that nobody can foresee (RFC 6455 §5.3)
 */
export function closeFrame(code: number, reason: string, masked: boolean): Buffer {
  const text = Buffer.from(reason, "latin1").subarray(0, reasonBytes);
  const payload = Buffer.alloc(2 + text.length);
  payload.writeUInt16BE(code);
  text.copy(payload, 2);
  if (!masked) return Buffer.concat([Buffer.from([0x88, payload.length]), payload]);
  const mask = randomBytes(4);
  for (let index = 0; index < payload.length; index += 1) payload[index]! ^= mask[index % 4]!;
  return Buffer.concat([Buffer.from([0x88, 0x80 | payload.length]), mask, payload]);
}
