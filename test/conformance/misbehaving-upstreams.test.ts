/**
 * Upstreams that break the rules, each a line: what they send, and what the client must get. Both ends are raw sockets. The next
 * request on the same pool must find it clean: it gets its own answer, whatever was sent before.
 */
import { connect } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  codeOf,
  converse,
  soon,
  startRawOrigin,
  startTestGateway,
  statusOf,
} from "../../proxy/src/listener/gateway.fixture.ts";
import type { OriginConnection } from "../../proxy/src/listener/gateway.fixture.ts";

/** Bytes, or an action on the connection. */
type Step = string | { readonly pause: true } | { readonly reset: true } | { readonly end: true };

const pause = { pause: true } as const;
const reset = { reset: true } as const;
const end = { end: true } as const;

const head = (...fields: string[]) => ["HTTP/1.1 200 OK", ...fields, "", ""].join("\r\n");
const chunked = head("Transfer-Encoding: chunked");

let stack: AsyncDisposableStack;
beforeEach(() => {
  stack = new AsyncDisposableStack();
});
afterEach(() => stack.disposeAsync());

/** Answers a request for /bad with the steps, and one for /good with its number on this connection. */
function misbehaving(steps: readonly Step[]) {
  return ({ socket }: OriginConnection) => {
    let tail = "";
    socket.on("data", (bytes) => {
      tail += bytes.toString("latin1");
      for (let at = tail.indexOf("\r\n\r\n"); at !== -1; at = tail.indexOf("\r\n\r\n")) {
        const request = tail.slice(0, at);
        tail = tail.slice(at + 4);
        if (request.includes(" /good ")) socket.write(`${head("Content-Length: 4")}good`, "latin1");
        else if (/^[A-Z]+ \/bad /.test(request)) void play(steps);
      }
    });
    async function play(all: readonly Step[]): Promise<void> {
      for (const step of all) {
        if (typeof step === "string") socket.write(step, "latin1");
        else if ("pause" in step) await new Promise((resolve) => setTimeout(resolve, 20));
        else if ("reset" in step) socket.resetAndDestroy();
        else socket.end();
      }
    }
  };
}

async function gatewayTo(steps: readonly Step[]) {
  const origin = stack.use(await startRawOrigin(misbehaving(steps)));
  const gateway = stack.use(
    await startTestGateway({
      to: [origin.port],
      config: { services: { a: { timeouts: { firstByte: "300ms", idle: "300ms" } } } },
    }),
  );
  return { origin, gateway };
}

const ask = (port: number, target: string, method = "GET") =>
  converse(port, `${method} ${target} HTTP/1.1\r\nHost: gw.test\r\nConnection: close\r\n\r\n`);

/** Twice, and at once after the bad answer: whatever is left of it meets them. */
async function expectClean(port: number): Promise<void> {
  for (let round = 0; round < 2; round += 1) {
    const answer = await ask(port, "/good");
    expect(statusOf(answer)).toBe(200);
    expect(answer).toMatch(/\r\n\r\ngood$/);
  }
}

describe("what cannot be read for sure is a 502, and its connection is dropped", () => {
  const list: readonly (readonly [name: string, ...steps: Step[]])[] = [
    ["garbage", "garbage\r\n\r\n"],
    ["garbage without a line end", "garbage garbage garbage"],
    ["the answer of another protocol", "ICY 200 OK\r\n\r\n"],
    ["HTTP/0.9, just the body", "<html>hello</html>"],
    ["HTTP/2 in the clear", "\x00\x00\x12\x04\x00\x00\x00\x00\x00"],
    ["a TLS alert", "\x15\x03\x01\x00\x02\x02\x28"],
    ["HTTP/2.0 as a version", `HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n`],
    ["a status of two digits", "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n"],
    ["a status out of range", "HTTP/1.1 999 OK\r\nContent-Length: 0\r\n\r\n"],
    ["line feeds alone", "HTTP/1.1 200 OK\nContent-Length: 2\n\nok"],
    ["one line feed alone", "HTTP/1.1 200 OK\r\nX-A: 1\nX-B: 2\r\nContent-Length: 2\r\n\r\nok"],
    ["a folded field", `${head("X-A: 1", " folded", "Content-Length: 2")}ok`],
    ["a NUL in a field", `${head("X-A: a\0b", "Content-Length: 2")}ok`],
    ["a carriage return in a field", `${head("X-A: a\rb", "Content-Length: 2")}ok`],
    ["a blank before a colon", `${head("Content-Length : 2")}ok`],
    ["a line that is no field", `${head("nothing", "Content-Length: 2")}ok`],
    ["a field without a name", `${head(": 1", "Content-Length: 2")}ok`],
    ["a name beyond ASCII", `${head("X-\xe4: 1", "Content-Length: 2")}ok`],
    [
      "both lengths",
      `${head("Content-Length: 2", "Transfer-Encoding: chunked")}2\r\nok\r\n0\r\n\r\n`,
    ],
    ["both lengths, the other way", `${head("Transfer-Encoding: chunked", "Content-Length: 2")}ok`],
    ["two lengths that differ", `${head("Content-Length: 2", "Content-Length: 3")}ok!`],
    ["the same length twice", `${head("Content-Length: 2", "Content-Length: 2")}ok`],
    ["a list of lengths", `${head("Content-Length: 2, 2")}ok`],
    ["a negative length", `${head("Content-Length: -1")}ok`],
    ["a signed length", `${head("Content-Length: +2")}ok`],
    ["a length that is no number", `${head("Content-Length: two")}ok`],
    ["an unknown coding", `${head("Transfer-Encoding: gzip")}ok`],
    ["two codings", `${head("Transfer-Encoding: gzip, chunked")}2\r\nok\r\n0\r\n\r\n`],
    [
      "the coding twice",
      `${head("Transfer-Encoding: chunked", "Transfer-Encoding: chunked")}0\r\n\r\n`,
    ],
    ["a coding with a vertical tab", `${head("Transfer-Encoding:\x0bchunked")}0\r\n\r\n`],
    ["a coding in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
    [
      "an unasked 101",
      "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
    ],
    ["a 103 with a body", "HTTP/1.1 103 Early Hints\r\nContent-Length: 2\r\n\r\nok"],
    [
      "1,000 interim answers",
      "HTTP/1.1 102 Processing\r\n\r\n".repeat(1_000),
      `${head("Content-Length: 2")}ok`,
    ],
    [
      "interim answers of 80 KB",
      `HTTP/1.1 103 Early Hints\r\nX-A: ${"a".repeat(20_000)}\r\n\r\n`.repeat(4),
    ],
    ["a head of 80 KB", head(`X-A: ${"a".repeat(80_000)}`)],
    ["a head of 80 KB that never ends", `HTTP/1.1 200 OK\r\n${"X-A: 1\r\n".repeat(10_000)}`],
    ["a close without a word", end],
    ["a reset without a word", reset],
    ["a close within the head", "HTTP/1.1 200 OK\r\nContent-Le", end],
    ["a reset within the head", "HTTP/1.1 200 OK\r\nContent-Le", pause, reset],
    ["a close after an interim answer", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", end],
  ];

  test.each(list)("%s", async (_name, ...steps) => {
    const { gateway, origin } = await gatewayTo(steps);
    await expectClean(gateway.port);
    const answer = (await ask(gateway.port, "/bad")).replace(
      /^(?:HTTP\/1\.1 103[^]*?\r\n\r\n)+/,
      "",
    );
    expect([statusOf(answer), codeOf(answer)]).toEqual([502, "upstream-failed"]);
    expect(answer).not.toMatch(new RegExp(`127\\.0\\.0\\.1|${origin.port}|garbage`));
    // Whoever sent that is not asked again on the same connection.
    const bad = origin.connections.find(({ received }) => received.includes(" /bad "))!;
    await soon(() => bad.socket.destroyed || bad.socket.readableEnded);
    await expectClean(gateway.port);
    expect(bad.received).not.toMatch(/ \/bad [^]*\/good /);
  });
});

test("silence is a 504, also after an interim answer and within a head", async () => {
  for (const steps of [[], ["HTTP/1.1 103 Early Hints\r\n\r\n"], ["HTTP/1.1 200 O"]]) {
    const { gateway } = await gatewayTo(steps);
    const answer = (await ask(gateway.port, "/bad")).replace(/^HTTP\/1\.1 103[^]*?\r\n\r\n/, "");
    expect([statusOf(answer), codeOf(answer)]).toEqual([504, "upstream-timeout"]);
    await expectClean(gateway.port);
  }
});

describe("a body that is cut short is visibly cut short", () => {
  const list: readonly (readonly [name: string, ...steps: Step[]])[] = [
    ["less than the length, then a close", `${head("Content-Length: 10")}hello`, pause, end],
    ["less than the length, then a reset", `${head("Content-Length: 10")}hello`, pause, reset],
    ["less than the length, then silence", `${head("Content-Length: 10")}hello`],
    ["no last chunk, then a close", `${chunked}5\r\nhello\r\n`, pause, end],
    ["no last chunk, then a reset", `${chunked}5\r\nhello\r\n`, pause, reset],
    ["no last chunk, then silence", `${chunked}5\r\nhello\r\n`],
    ["half a chunk", `${chunked}a\r\nhello`, pause, end],
    ["a bad chunk size", `${chunked}5\r\nhello\r\nxyz\r\n`],
    ["a signed chunk size", `${chunked}5\r\nhello\r\n+5\r\nhello\r\n0\r\n\r\n`],
    ["a chunk size with 0x", `${chunked}5\r\nhello\r\n0x5\r\nhello\r\n0\r\n\r\n`],
    ["a chunk size beyond all bounds", `${chunked}5\r\nhello\r\nfffffffffffffffff\r\n`],
    ["a chunk longer than its size", `${chunked}5\r\nhello!\r\n0\r\n\r\n`],
    ["chunks ended by line feeds", `${chunked}5\r\nhello\r\n5\nworld\n0\n\n`],
    ["a carriage return in an extension", `${chunked}5\r\nhello\r\n5;a\rb\r\nworld\r\n0\r\n\r\n`],
    ["framing in the trailers", `${chunked}5\r\nhello\r\n0\r\nContent-Length: 99\r\n\r\n`],
    ["a trailer that is no field", `${chunked}5\r\nhello\r\n0\r\nnothing\r\n\r\n`],
    ["trailers without end", `${chunked}5\r\nhello\r\n0\r\n${"X-A: 1\r\n".repeat(5_000)}`],
  ];

  test.each(list)("%s", async (_name, ...steps) => {
    const { gateway } = await gatewayTo(steps);
    await expectClean(gateway.port);
    const answer = await ask(gateway.port, "/bad");
    // The whole of it may have come in one piece: then nothing of it was passed on yet.
    if (statusOf(answer) === 200) {
      expect(answer).not.toMatch(/\r\n0\r\n(?:[^\r]+\r\n)*\r\n$/);
      const length = /content-length: (\d+)/i.exec(answer)?.[1];
      if (length !== undefined)
        expect(answer.split("\r\n\r\n")[1]!.length).toBeLessThan(Number(length));
    } else expect(statusOf(answer)).toBe(502);
    await soon(() => gateway.listener.active === 0);
    await expectClean(gateway.port);
  });
});

test("to a client of HTTP/1.0, for whom a body may end with the connection, it is cut by a reset", async () => {
  const { gateway } = await gatewayTo([`${chunked}5\r\nhello\r\n`, pause, end]);
  const socket = stack.adopt(connect(gateway.port, "127.0.0.1"), (open) => void open.destroy());
  const ended = new Promise<string>((resolve) => {
    socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? ""));
    socket.on("end", () => resolve("a clean end"));
  });
  let received = "";
  socket.on("data", (bytes) => (received += bytes.toString("latin1")));
  socket.write("GET /bad HTTP/1.0\r\nHost: gw.test\r\n\r\n");
  expect(await ended).toBe("ECONNRESET");
  expect(received).not.toMatch(/transfer-encoding/i);
});

describe("bytes behind an answer are nobody's answer", () => {
  const poison = `${head("Content-Length: 6")}poison`;
  const list: readonly (readonly [
    name: string,
    method: string,
    status: number,
    steps: readonly Step[],
  ])[] = [
    ["a second answer", "GET", 200, [`${head("Content-Length: 2")}ok${poison}`]],
    ["a second answer, later", "GET", 200, [`${head("Content-Length: 2")}ok`, pause, poison]],
    ["more than the length", "GET", 200, [`${head("Content-Length: 2")}ok!!!`]],
    ["bytes behind the last chunk", "GET", 200, [`${chunked}2\r\nok\r\n0\r\n\r\n${poison}`]],
    ["a body behind a HEAD", "HEAD", 200, [`${head(`Content-Length: ${poison.length}`)}${poison}`]],
    [
      "a body behind a HEAD, later",
      "HEAD",
      200,
      [head(`Content-Length: ${poison.length}`), pause, poison],
    ],
    [
      "a body behind a 204",
      "GET",
      204,
      [`HTTP/1.1 204 No Content\r\nContent-Length: 66\r\n\r\n${poison}`],
    ],
    [
      "a body behind a 204, later",
      "GET",
      204,
      [`HTTP/1.1 204 No Content\r\nContent-Length: 66\r\n\r\n`, pause, poison],
    ],
    [
      "chunks behind a 204",
      "GET",
      204,
      [`HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n`, pause, "0\r\n\r\n"],
    ],
    [
      "a body behind a 304",
      "GET",
      304,
      [`HTTP/1.1 304 Not Modified\r\nContent-Length: 66\r\n\r\n${poison}`],
    ],
    [
      "an answer before any request",
      "GET",
      200,
      [
        `${head("Content-Length: 2")}ok`,
        pause,
        "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        end,
      ],
    ],
  ];

  test.each([204, 304])("a %s that announces chunks is the last answer there", async (status) => {
    const { gateway, origin } = await gatewayTo([
      `HTTP/1.1 ${status} X\r\nTransfer-Encoding: chunked\r\n\r\n`,
    ]);
    expect(statusOf(await ask(gateway.port, "/bad"))).toBe(status);
    await expectClean(gateway.port);
    expect(origin.connections).toHaveLength(2);
    expect(origin.connections[0]!.received).not.toContain(" /good ");
  });

  test.each(list)("%s", async (_name, method, status, steps) => {
    const { gateway, origin } = await gatewayTo(steps);
    await expectClean(gateway.port);
    const answer = await ask(gateway.port, "/bad", method);
    expect(statusOf(answer)).toBe(status);
    expect(answer).not.toContain("poison");
    await expectClean(gateway.port);
    const bad = origin.connections.find(({ received }) => received.includes(" /bad "))!;
    if (steps.includes(pause)) await soon(() => bad.socket.destroyed || bad.socket.readableEnded);
    await expectClean(gateway.port);
  });
});

describe("what is unusual but clear passes", () => {
  const list: readonly (readonly [name: string, body: string, ...steps: Step[]])[] = [
    ["no reason, no blank", "ok", "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok"],
    ["a body that ends with the connection", "ok", "HTTP/1.1 200 OK\r\n\r\nok", pause, end],
    ["HTTP/1.0", "ok", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", end],
    ["an unasked 100", "ok", `HTTP/1.1 100 Continue\r\n\r\n${head("Content-Length: 2")}ok`],
    [
      "ten of them",
      "ok",
      "HTTP/1.1 100 Continue\r\n\r\n".repeat(10),
      `${head("Content-Length: 2")}ok`,
    ],
    [
      "in small pieces",
      "ok",
      ..."HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        .match(/[^]{1,7}/g)!
        .flatMap((piece) => [piece, pause]),
    ],
    ["a close announced", "ok", `${head("Connection: close", "Content-Length: 2")}ok`, end],
    ["a close that was not announced", "ok", `${head("Content-Length: 2")}ok`, end],
    ["an empty body", "", head("Content-Length: 0")],
  ];

  test.each(list)("%s", async (_name, body, ...steps) => {
    const { gateway } = await gatewayTo(steps);
    const answer = await ask(gateway.port, "/bad");
    expect(statusOf(answer)).toBe(200);
    const [fields = "", found = ""] = answer.split("\r\n\r\n");
    expect(/chunked/.test(fields) ? found.split("\r\n")[1] : found).toBe(body);
    await expectClean(gateway.port);
  });
});

test("fields pass byte for byte, in order, with their repeats", async () => {
  const fields = [
    "Set-Cookie: a=1; Path=/",
    "X-First: 1",
    "set-cookie: b=2",
    "X-UPPER: Gr\xfc\xdfe",
    "Set-Cookie: c=3",
    'ETag: W/"x"',
    "Vary: Accept",
    "vary: Accept-Language",
    "Server: old/1.0",
    "Date: Mon, 02 Nov 2026 10:00:00 GMT",
    "Content-Length: 2",
  ];
  const { gateway } = await gatewayTo([`${head(...fields)}ok`]);
  const answer = await ask(gateway.port, "/bad");
  const lines = answer.split("\r\n\r\n")[0]!.split("\r\n").slice(1);
  expect(lines.filter((line) => !/^(?:X-Request-ID|Connection): /.test(line))).toEqual(fields);
});

describe("trailers", () => {
  const steps = [
    `${head("Trailer: X-Sum", "Transfer-Encoding: chunked")}2\r\nok\r\n0\r\nX-Sum: 42\r\nX-User-ID: eve\r\nSet-Cookie: a=1\r\n\r\n`,
  ];

  test("reach a client who asks for them, but not those that frame, route or name somebody", async () => {
    const { gateway, origin } = await gatewayTo(steps);
    const answer = await converse(
      gateway.port,
      "GET /bad HTTP/1.1\r\nHost: gw.test\r\nTE: trailers\r\nConnection: close, TE\r\n\r\n",
    );
    expect(answer).toMatch(/\r\n2\r\nok\r\n0\r\nX-Sum: 42\r\n\r\n$/);
    expect(answer).not.toMatch(/eve|a=1/);
    expect(origin.received()).toMatch(/\r\nTE: trailers\r\nConnection: TE\r\n/);
  });

  test("do not reach one who does not", async () => {
    const { gateway, origin } = await gatewayTo(steps);
    const answer = await ask(gateway.port, "/bad");
    expect(answer).toMatch(/\r\n2\r\nok\r\n0\r\n\r\n$/);
    expect(origin.received()).not.toMatch(/\r\nTE:/i);
  });
});
