/** Answers to what the parser of HTTP itself refuses, before there is a request. */
import type { Socket } from "node:net";
import { problemMediaType, problemType } from "@tocsin/shared";

interface Row {
  readonly status: number;
  readonly reason: string;
  readonly code: string;
  readonly title: string;
}

const malformed: Row = {
  status: 400,
  reason: "Bad Request",
  code: "bad-request",
  title: "The request is malformed",
};

const rows: Readonly<Record<string, Row>> = {
  HPE_HEADER_OVERFLOW: {
    status: 431,
    reason: "Request Header Fields Too Large",
    code: "headers-too-large",
    title: "The request headers are too large",
  },
  ERR_HTTP_REQUEST_TIMEOUT: {
    status: 408,
    reason: "Request Timeout",
    code: "request-timeout",
    title: "The request did not come in time",
  },
};

export function answerNotHttp(error: Error, socket: Socket): void {
  const failure = (error as NodeJS.ErrnoException).code ?? "";
  // Who went away, or was answered already, is told nothing.
  if (failure === "ECONNRESET" || !socket.writable || socket.bytesWritten > 0) {
    socket.destroy();
    return;
  }
  const { status, reason, code, title } = rows[failure] ?? malformed;
  const body = JSON.stringify({ type: problemType(code), title, status, code });
  socket.end(
    [
      `HTTP/1.1 ${status} ${reason}`,
      `content-type: ${problemMediaType}`,
      `content-length: ${Buffer.byteLength(body)}`,
      "connection: close",
      "",
      body,
    ].join("\r\n"),
  );
}
