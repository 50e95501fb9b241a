/** The forms in which one request is made: each must be judged alike. */
import type { RawAnswer } from "../harness/raw.ts";
import type { Shown } from "./access-kit.ts";

export interface Shape {
  readonly name: string;
  readonly method: string;
  /** Beside those of every request. */
  readonly fields?: Shown;
  readonly body?: string;
  /** The body comes in chunks, and may have trailers. */
  readonly chunked?: true;
  /** Default 1.1. */
  readonly version?: "1.0" | "1.1";
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

/** More of them, in which fields could find other ways. */
export const otherShapes: readonly Shape[] = [
  { name: "chunks", method: "POST", body: "four", chunked: true, status: 200, goesOn: true },
  { name: "HTTP/1.0", method: "GET", version: "1.0", status: 200, goesOn: false },
];

/** A request as it is sent; behind it, where the connection goes on, another one that everybody may make. */
export function textOf(
  { method, fields = [], body, chunked, version = "1.1", goesOn }: Shape,
  path: string,
  shown: Shown,
  url: string,
  trailers: Shown = [],
): string {
  const { host } = new URL(url);
  const framing: Shown =
    body === undefined
      ? []
      : [chunked ? ["Transfer-Encoding", "chunked"] : ["Content-Length", String(body.length)]];
  const head: Shown = [
    ["Host", host],
    ["Origin", `http://${host}`],
    ...fields,
    ...shown,
    ...framing,
  ];
  const chunks = chunked ? `4\r\n${body}\r\n0\r\n${linesOf(trailers)}\r\n` : body;
  const next = goesOn ? `GET /free HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n` : "";
  return `${method} ${path} HTTP/${version}\r\n${linesOf(head)}\r\n${chunks ?? ""}${next}`;
}

function linesOf(fields: Shown): string {
  return fields.map(([name, value]) => `${name}: ${value}\r\n`).join("");
}

/** The fields of an answer that are the same for every request of its kind. */
export const lasting = ({ fields }: RawAnswer) =>
  fields.filter(([name]) => !["x-request-id", "date"].includes(name));
