import { expect, test } from "vitest";
import {
  answering,
  codeOf,
  converse,
  instanceAt,
  startRawOrigin,
  startTestGateway,
  statusOf,
} from "../listener/gateway.fixture.ts";
import type { OriginConnection } from "../listener/gateway.fixture.ts";
import { answer, deadPort, requestText, resetting, silent } from "./resilience.fixture.ts";

const closing = ({ socket }: OriginConnection) => void socket.once("data", () => socket.end());
const babbling = ({ socket }: OriginConnection) =>
  void socket.once("data", () => socket.write("HTTP/1.1 400 Bad Request\r\n\r\n"));
const dripping = ({ socket }: OriginConnection) =>
  void socket.once("data", () => {
    const timer = setInterval(() => socket.write("X: y\r\n"), 20);
    socket.write("HTTP/1.1 200 OK\r\n");
    socket.on("close", () => clearInterval(timer));
  });

/** What an instance does, how it is reached, and what the client is told. */
const failures: readonly (readonly [
  what: string,
  behave: ((connection: OriginConnection) => void) | "dead" | "nobody" | "out",
  scheme: "http" | "https",
  service: Record<string, unknown>,
  status: number,
  code: string | undefined,
])[] = [
  ["refuses", "dead", "http", {}, 502, "upstream-failed"],
  ["resets before an answer", resetting, "http", {}, 502, "upstream-failed"],
  ["closes before an answer", closing, "http", {}, 502, "upstream-failed"],
  ["says garbage", answering("garbage\r\n\r\n"), "http", {}, 502, "upstream-failed"],
  ["speaks no TLS", babbling, "https", {}, 502, "upstream-failed"],
  ["makes no connection in time", silent, "https", { connect: "150ms" }, 504, "upstream-timeout"],
  ["says nothing", silent, "http", { firstByte: "150ms" }, 504, "upstream-timeout"],
  ["ends no head in time", dripping, "http", { firstByte: "150ms" }, 504, "upstream-timeout"],
  ["takes longer than all may", silent, "http", { total: "150ms" }, 504, "upstream-timeout"],
  ["is not there", "nobody", "http", {}, 503, "service-unavailable"],
  ["is out by its verdict", "out", "http", {}, 503, "service-unavailable"],
  ["answers 502 itself", answering(answer(502)), "http", {}, 502, undefined],
  ["answers 503 itself", answering(answer(503)), "http", {}, 503, undefined],
  ["answers 504 itself", answering(answer(504)), "http", {}, 504, undefined],
];

test.each(failures)(
  "an instance that %s is told by its status",
  async (_what, behave, scheme, timeouts, status, code) => {
    const origin = typeof behave === "string" ? undefined : await startRawOrigin(behave);
    await using stack = new AsyncDisposableStack();
    if (origin !== undefined) stack.use(origin);
    const port = origin?.port ?? (await deadPort());
    const instance = instanceAt(port, {
      url: `${scheme}://127.0.0.1:${port}`,
      eligible: behave !== "out",
    });
    const gateway = stack.use(
      await startTestGateway({
        to: behave === "nobody" ? [] : [instance],
        config: { services: { a: { timeouts } } },
      }),
    );
    const reply = await converse(gateway.port, requestText("POST"));
    expect(statusOf(reply)).toBe(status);
    expect(codeOf(reply)).toBe(code);
    expect(/\r\nretry-after: 1\r\n/i.test(reply)).toBe(code === "service-unavailable");
    // Not a word about the instance.
    expect(reply).not.toContain("127.0.0.1");
  },
);
