/** The forms in which one request is made: each must be judged alike. */
import type { RawAnswer } from "../harness/raw.ts";
import type { Shown } from "./access-kit.ts";

export interface Shape {
  readonly name: string;
  readonly method: string;
  /** Beside those of every request. */
  readonly fields?: Shown;
  readonly body?: string;
  /** The answer of whoever is let in. */
  readonly status: number;
  /** Whether the connection can be used for another request behind it. */
  readonly goesOn: boolean;
}

const handshake: Shown = [
  ["Upgrade", "websocket"],
  ["Connection", "Upgrade"],
  ["Sec-WebSocket-Version", "13"],
  ["Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="],
];
const events: Shown = [["Accept", "text/event-stream"]];

export const shapes: readonly Shape[] = [
  { name: "GET", method: "GET", status: 200, goesOn: true },
  { name: "HEAD", method: "HEAD", status: 200, goesOn: true },
  { name: "OPTIONS", method: "OPTIONS", status: 200, goesOn: true },
  { name: "POST", method: "POST", body: "four", status: 200, goesOn: true },
  { name: "WebSocket", method: "GET", fields: handshake, status: 101, goesOn: false },
  { name: "event stream", method: "GET", fields: events, status: 200, goesOn: true },
];

/** A request as it is sent; behind it, where the connection goes on, another one that everybody may make. */
export function textOf(
  { method, fields = [], body, goesOn }: Shape,
  path: string,
  shown: Shown,
  url: string,
): string {
  const { host } = new URL(url);
  const all: Shown = [["Host", host], ["Origin", `http://${host}`], ...fields, ...shown];
  const length: Shown = body === undefined ? [] : [["Content-Length", String(body.length)]];
  const head = [...all, ...length].map(([name, value]) => `${name}: ${value}\r\n`).join("");
  const next = goesOn ? `GET /free HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n` : "";
  return `${method} ${path} HTTP/1.1\r\n${head}\r\n${body ?? ""}${next}`;
}

/** The fields of an answer that are the same for every request of its kind. */
export const lasting = ({ fields }: RawAnswer) =>
  fields.filter(([name]) => !["x-request-id", "date"].includes(name));
