import { STATUS_CODES } from "node:http";
import { Refusal, refusals } from "@tocsin/shared";
import type { RefusalCode } from "@tocsin/shared";
import { problemReply } from "../stages/explain.ts";
import type { Deadlines } from "../upstream/deadlines.ts";
import type { Connection } from "./connection.ts";
import { freshId } from "./ids.ts";

/** The refusal of something that the parser could not read; undefined when there is nobody to tell. */
export function unreadable(error: Error & { readonly code?: string }): RefusalCode | undefined {
  const code = error.code ?? "";
  if (code === "HPE_HEADER_OVERFLOW") return "headers-too-large";
  if (code === "ERR_HTTP_REQUEST_TIMEOUT") return "request-timeout";
  // The client left in the middle of a message: there is nobody to tell.
  if (code === "HPE_INVALID_EOF_STATE") return undefined;
  if (code === "HPE_CHUNK_EXTENSIONS_OVERFLOW") return "body-too-large";
  return code.startsWith("HPE_") ? "bad-request" : undefined;
}

/** Answers what is not a request, and closes. Requests that came before it on the connection are answered first. */
export function refuseConnection(
  connection: Connection,
  code: RefusalCode,
  deadlines: Deadlines,
  headers?: Readonly<Record<string, string>>,
): void {
  const { socket, newest } = connection;
  connection.closing = true;
  const text = rawReply(code, headers);
  if (newest?.held === true) {
    newest.abandon();
    connection.active -= 1;
    if (connection.active > 0) connection.farewell = text;
    else farewell(connection, text, deadlines);
    return;
  }
  if (connection.active === 0) return farewell(connection, text, deadlines);
  if (newest?.req.complete) {
    connection.farewell = text;
    return;
  }
  // The body of the newest request is what cannot be read.
  const exchange = newest?.exchange;
  if (connection.active > 1 || newest === undefined || newest.headersSent) socket.destroy();
  else {
    if (exchange !== undefined) {
      exchange.code = code;
      exchange.status = refusals[code].status;
    }
    farewell(connection, text, deadlines);
  }
}

/** Says a last thing and closes. */
export function farewell(connection: Connection, text: string, deadlines: Deadlines): void {
  const { socket } = connection;
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  // Closing at once, with bytes unread, would reset the connection, and the client might not see why (RFC 9112 §9.6).
  // Whatever still comes is thrown away, and does not make it longer.
  deadlines.start(connection, lingerMs);
  socket.end(text, "latin1");
}

/** How long the other side may take to read the last thing and to close, in milliseconds. */
const lingerMs = 1_000;

function rawReply(code: RefusalCode, extra: Readonly<Record<string, string>> = {}): string {
  const id = freshId();
  const reply = problemReply(new Refusal(code, { headers: { ...extra, connection: "close" } }), id);
  const lines = [`HTTP/1.1 ${reply.status} ${STATUS_CODES[reply.status] ?? ""}`];
  for (let index = 0; index + 1 < reply.headers.length; index += 2)
    lines.push(`${reply.headers[index]}: ${reply.headers[index + 1]}`);
  lines.push(`X-Request-ID: ${id}`, "", "");
  return lines.join("\r\n") + Buffer.from(reply.body as Uint8Array).toString("latin1");
}
