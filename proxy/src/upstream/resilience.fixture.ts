/** For tests: instances that fail in the ways in which instances fail. */
import { answering, startRawOrigin } from "../listener/gateway.fixture.ts";
import type { OriginConnection, RawOrigin } from "../listener/gateway.fixture.ts";

/** An answer without a body, and with these fields. */
export const answer = (status: number, ...fields: string[]): string =>
  `HTTP/1.1 ${status} X\r\nContent-Length: 0\r\n${fields.map((field) => `${field}\r\n`).join("")}\r\n`;

/** Resets the connection when a request comes. */
export const resetting = ({ socket }: OriginConnection): void => {
  socket.on("data", () => socket.resetAndDestroy());
};

/** Takes requests and says nothing. */
export const silent = (): void => {};

/** Answers each request with the next of these texts; the last one again and again. */
export function answeringInTurn(...texts: string[]): (connection: OriginConnection) => void {
  let turn = 0;
  return ({ socket }) => {
    socket.on("data", () => {
      socket.write(texts[Math.min(turn, texts.length - 1)]!, "latin1");
      turn += 1;
    });
  };
}

/** A way to behave by its name: a status, or one of those above. */
export const behaving = (how: string): ((connection: OriginConnection) => void) => {
  if (how === "reset") return resetting;
  if (how === "silence") return silent;
  if (how === "garbage") return answering("garbage\r\n\r\n");
  return answering(answer(Number(how)));
};

const requestLine = /(?:GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS|REPORT) \S+(?= HTTP\/1\.1\r)/g;

/** The request lines that came, in order. */
export const requestsTo = (...origins: RawOrigin[]): string[] =>
  origins.flatMap((origin) => origin.received().match(requestLine) ?? []);

/** A port that nobody listens on. */
export async function deadPort(): Promise<number> {
  const server = await startRawOrigin(() => {});
  await server[Symbol.asyncDispose]();
  return server.port;
}

/** A request as text, on a connection that is closed after the answer. */
export function requestText(method: string, body?: string, ...fields: string[]): string {
  return [
    `${method} /x HTTP/1.1`,
    "Host: gw.test",
    "Connection: close",
    ...(body === undefined ? [] : [`Content-Length: ${Buffer.byteLength(body)}`]),
    ...fields,
    "",
    body ?? "",
  ].join("\r\n");
}
