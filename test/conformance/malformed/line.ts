import type { RefusalCode } from "../../../shared/src/refusal.ts";

/** One request that is refused. The code is that of the status where it is left out (400: bad-request). */
export type Malformed = readonly [name: string, bytes: string, status: number, code?: RefusalCode];

export const host = "Host: gw.test\r\n";

/** A head with this request line, and a Host unless there is one. */
export const line = (text: string, ...fields: string[]): string =>
  `${text}\r\n${host}${fields.map((field) => `${field}\r\n`).join("")}\r\n`;

/** A GET with these fields behind its Host. */
export const fields = (...more: string[]): string => line("GET / HTTP/1.1", ...more);
