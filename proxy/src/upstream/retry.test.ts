import { connect } from "node:net";
import type { Clock } from "@tocsin/shared";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createVirtualClock } from "../../../test/harness/virtual-clock.ts";
import {
  answering,
  codeOf,
  converse,
  ok,
  soon,
  startRawOrigin,
  startTestGateway,
  statusOf,
} from "../listener/gateway.fixture.ts";
import type { OriginConnection, TestGatewayOptions } from "../listener/gateway.fixture.ts";
import {
  answer,
  answeringInTurn,
  behaving,
  deadPort,
  requestsTo,
  requestText,
} from "./resilience.fixture.ts";

let stack: AsyncDisposableStack;
beforeEach(() => {
  stack = new AsyncDisposableStack();
});
afterEach(() => stack.disposeAsync());

const origin = async (behave: (connection: OriginConnection) => void) =>
  stack.use(await startRawOrigin(behave));
const gateway = async (
  to: TestGatewayOptions["to"],
  service: Record<string, unknown>,
  more: Partial<TestGatewayOptions> = {},
) => stack.use(await startTestGateway({ to, config: { services: { a: service } }, ...more }));

const everything = {
  on: ["connect-failure", "reset", "timeout", 408, 425, 429, 500, 502, 503, 504],
};
const keyed = { ...everything, idempotencyKey: true };
const key = "Idempotency-Key: one";

describe("what is tried again", () => {
  test.each([
    // method, what the first instance does, policy, fields, body, whether the second instance gets it
    ["GET", "reset", {}, [], undefined, true],
    ["HEAD", "reset", {}, [], undefined, true],
    ["OPTIONS", "reset", {}, [], undefined, true],
    ["PUT", "reset", {}, [], "some", true],
    ["DELETE", "reset", {}, [], undefined, true],
    ["POST", "reset", everything, [], "some", false],
    ["PATCH", "reset", everything, [], "some", false],
    ["POST", "reset", everything, [key], "some", false],
    ["POST", "reset", keyed, [], "some", false],
    ["POST", "reset", keyed, [key], "some", true],
    ["PATCH", "reset", keyed, ["idempotency-KEY: x"], "some", true],
    ["POST", "reset", keyed, [key], undefined, true],
    ["REPORT", "reset", everything, [key], undefined, false],
    ["GET", "502", {}, [], undefined, true],
    ["GET", "503", {}, [], undefined, true],
    ["GET", "504", {}, [], undefined, true],
    ["PUT", "503", {}, [], "some", true],
    ["GET", "500", {}, [], undefined, false],
    ["GET", "500", everything, [], undefined, true],
    ["GET", "429", {}, [], undefined, false],
    ["GET", "429", everything, [], undefined, true],
    ["GET", "501", everything, [], undefined, false],
    ["GET", "404", everything, [], undefined, false],
    ["POST", "503", everything, [], "some", false],
    ["POST", "503", keyed, [key], "some", true],
    ["GET", "silence", {}, [], undefined, false],
    ["GET", "silence", everything, [], undefined, true],
    ["POST", "silence", everything, [], "some", false],
    ["GET", "refusal", {}, [], undefined, true],
    ["POST", "refusal", {}, [], "some", true],
    ["REPORT", "refusal", {}, [], undefined, true],
    ["GET", "refusal", { on: ["reset"] }, [], undefined, false],
    ["GET", "garbage", everything, [], undefined, false],
  ] as const)("%s, %s, %j, %j", async (method, how, retry, fields, body, again) => {
    const bad = how === "refusal" ? undefined : await origin(behaving(how));
    const good = await origin(answering(ok));
    const { port } = await gateway([bad?.port ?? (await deadPort()), good.port], {
      timeouts: { firstByte: "100ms" },
      retry,
    });
    const status = statusOf(await converse(port, requestText(method, body, ...fields)));
    expect(requestsTo(good)).toEqual(again ? [`${method} /x`] : []);
    if (again) {
      expect(status).toBe(200);
      if (body !== undefined) expect(good.received().endsWith(`\r\n\r\n${body}`)).toBe(true);
    } else {
      const given = { refusal: 502, reset: 502, silence: 504, garbage: 502 }[how as "reset"];
      expect(status).toBe(given ?? Number(how));
    }
    if (bad !== undefined) expect(requestsTo(bad)).toEqual([`${method} /x`]);
  });
});

describe("where it is tried again", () => {
  test("always at another instance while there is one, then at the same again", async () => {
    const origins = [
      await origin(behaving("503")),
      await origin(behaving("503")),
      await origin(behaving("503")),
    ];
    const { port } = await gateway(
      origins.map((each) => each.port),
      { retry: { attempts: 3 } },
    );
    expect(statusOf(await converse(port, requestText("GET")))).toBe(503);
    expect(origins.map((each) => requestsTo(each).length)).toEqual([1, 1, 1]);
  });

  test("at the only instance when there is no other, and no more often than the policy says", async () => {
    const only = await origin(behaving("503"));
    const { port } = await gateway([only.port], { retry: { attempts: 4 } });
    expect(statusOf(await converse(port, requestText("GET")))).toBe(503);
    expect(requestsTo(only)).toHaveLength(4);
  });

  test("an instance that recovers between two attempts answers", async () => {
    const only = await origin(answeringInTurn(answer(503), answer(502), ok));
    const { port } = await gateway([only.port], { retry: {} });
    expect(statusOf(await converse(port, requestText("GET")))).toBe(200);
    expect(requestsTo(only)).toHaveLength(3);
  });

  test("attempts: 1 is never again", async () => {
    const only = await origin(behaving("503"));
    const { port } = await gateway([only.port], { retry: { attempts: 1 } });
    expect(statusOf(await converse(port, requestText("GET")))).toBe(503);
    expect(requestsTo(only)).toHaveLength(1);
  });

  test("without a policy once more elsewhere when nothing was sent, and never at the same", async () => {
    const good = await origin(answering(ok));
    const dead = [await deadPort(), await deadPort()];
    const one = await gateway([dead[0]!, good.port], {});
    expect(statusOf(await converse(one.port, requestText("POST", "some")))).toBe(200);
    const two = await gateway([...dead, good.port], {});
    expect(statusOf(await converse(two.port, requestText("POST", "some")))).toBe(502);
  });
});

describe("what the client gets when all attempts fail", () => {
  test("the last answer, as it came", async () => {
    const first = await origin(behaving("502"));
    const last = await origin(
      answering("HTTP/1.1 503 Busy\r\nX-Mine: 1\r\nContent-Length: 4\r\n\r\nbusy"),
    );
    const { port } = await gateway([first.port, last.port], { retry: { attempts: 2 } });
    const reply = await converse(port, requestText("GET"));
    expect(statusOf(reply)).toBe(503);
    expect(reply).toMatch(/X-Mine: 1\r\n/);
    expect(reply.endsWith("\r\n\r\nbusy")).toBe(true);
  });

  test("our refusal when the last attempt had no answer", async () => {
    const first = await origin(behaving("503"));
    const last = await origin(behaving("reset"));
    const { port } = await gateway([first.port, last.port], { retry: { attempts: 2 } });
    const reply = await converse(port, requestText("GET"));
    expect(statusOf(reply)).toBe(502);
    expect(codeOf(reply)).toBe("upstream-failed");
  });

  test("the answer that is there when meanwhile nobody may be tried any more", async () => {
    const clock = createVirtualClock();
    const only = await origin(
      answering("HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 4\r\n\r\nbusy"),
    );
    const made = await gateway([only.port], { retry: {} }, { clock });
    const reply = converse(made.port, requestText("GET"));
    await soon(() => requestsTo(only).length === 1 && clock.timers > 1);
    made.setInstances();
    await clock.pass(1_000);
    expect((await reply).endsWith("\r\n\r\nbusy")).toBe(true);
    expect(requestsTo(only)).toHaveLength(1);
  });
});

describe("when it is tried again", () => {
  /** Sends a request, and tells how long it is waited before the second attempt; undefined: there is none. */
  async function waited(
    first: string,
    retry: Record<string, unknown>,
    random: () => number,
    wall?: number,
  ): Promise<number | undefined> {
    const clock = createVirtualClock();
    if (wall !== undefined) clock.setWall(wall);
    const waits: number[] = [];
    const after: Clock["after"] = (delayMs, run) => {
      // No other wait is as short, but for the connection.
      if (delayMs <= 1_000 && delayMs !== 700) waits.push(delayMs);
      return clock.after(delayMs, run);
    };
    const only = await origin(answeringInTurn(first, ok));
    const service = { timeouts: { connect: "700ms" }, retry };
    const { port } = await gateway([only.port], service, { clock: { ...clock, after }, random });
    let reply: string | undefined;
    void converse(port, requestText("GET")).then((text) => (reply = text));
    await soon(() => reply !== undefined || waits.length > 0);
    if (reply !== undefined) {
      expect(requestsTo(only)).toHaveLength(1);
      return undefined;
    }
    const [waitMs] = waits;
    if (waitMs! > 0) await clock.pass(waitMs! - 1);
    expect(requestsTo(only)).toHaveLength(1);
    await clock.pass(waitMs! > 0 ? 1 : 0);
    expect(statusOf(await soon(() => reply))).toBe(200);
    return waitMs;
  }
  const backoff = { base: "400ms", max: "1s" };

  test("after a time drawn from 0 to the base", async () => {
    expect(await waited(answer(503), { backoff }, () => 0)).toBe(0);
    expect(await waited(answer(503), { backoff }, () => 0.5)).toBe(200);
    expect(await waited(answer(503), { backoff }, () => 0.99)).toBe(396);
  });

  test("after what Retry-After asks for, when that is not more than the longest wait", async () => {
    expect(await waited(answer(503, "Retry-After: 1"), { backoff }, () => 0)).toBe(1_000);
    expect(await waited(answer(503, "Retry-After: 0"), { backoff }, () => 0.5)).toBe(0);
    expect(await waited(answer(503, "Retry-After: soon"), { backoff }, () => 0.5)).toBe(200);
    const wall = Date.UTC(2026, 10, 23, 12, 0, 0);
    const date = "Retry-After: Mon, 23 Nov 2026 12:00:01 GMT";
    expect(await waited(answer(503, date), { backoff }, () => 0, wall)).toBe(1_000);
    expect(await waited(answer(503, date), { backoff }, () => 0, wall + 60_000)).toBe(0);
  });

  test("not at all when it asks for more: the answer passes", async () => {
    expect(await waited(answer(503, "Retry-After: 2"), { backoff }, () => 0)).toBeUndefined();
    expect(await waited(answer(503, "Retry-After: 99999"), { backoff }, () => 0)).toBeUndefined();
  });
});

test("the bound of the wait doubles with each retry, up to the longest", async () => {
  const { backoffMs } = await import("./retry.ts");
  const { RetryPolicy } = await import("@tocsin/shared/contract");
  const policy = RetryPolicy.parse({ backoff: { base: "50ms", max: "1s" } });
  expect([0, 1, 2, 3, 4, 5, 9].map((count) => backoffMs(policy, count, () => 0.5) * 2)).toEqual([
    50, 100, 200, 400, 800, 1_000, 1_000,
  ]);
  expect(backoffMs(policy, 3, () => 0)).toBe(0);
});

describe("the time for everything", () => {
  test("covers all attempts: a second one that takes too long is a 504", async () => {
    const slow = await origin(answeringInTurn(answer(503)));
    const silence = await origin(behaving("silence"));
    const { port } = await gateway([slow.port, silence.port], {
      timeouts: { total: "300ms" },
      retry: {},
    });
    const reply = await converse(port, requestText("GET"));
    expect(codeOf(reply)).toBe("upstream-timeout");
    expect(requestsTo(silence)).toHaveLength(1);
  });

  test("a wait that would outlast it is not begun: the answer passes", async () => {
    const only = await origin(behaving("503"));
    const { port } = await gateway(
      [only.port],
      { timeouts: { total: "200ms" }, retry: { backoff: { base: "10s", max: "10s" } } },
      { random: () => 0.9 },
    );
    expect(statusOf(await converse(port, requestText("GET")))).toBe(503);
    expect(requestsTo(only)).toHaveLength(1);
  });
});

describe("a client that goes away", () => {
  const leaving = async (port: number, until: () => boolean, text = requestText("GET")) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(text));
    socket.on("error", () => {});
    await soon(until);
    socket.destroy();
  };

  test("ends a wait at once: nothing more is sent, and the answer that was held is let go", async () => {
    const clock = createVirtualClock();
    const only = await origin(answering("HTTP/1.1 503 X\r\nContent-Length: 9\r\n\r\nhalf"));
    const made = await gateway(
      [only.port],
      { retry: { backoff: { base: "1s", max: "1s" } } },
      { clock, random: () => 0.5 },
    );
    await leaving(made.port, () => requestsTo(only).length === 1 && clock.timers > 1);
    await soon(() => made.records.length === 1);
    expect(made.records[0]).toMatchObject({ status: 499, aborted: "client-gone" });
    await soon(() => only.connections[0]!.socket.destroyed);
    await clock.pass(5_000);
    expect(requestsTo(only)).toHaveLength(1);
  });

  test("ends an attempt at once", async () => {
    const only = await origin(behaving("silence"));
    const made = await gateway([only.port], { retry: everything });
    await leaving(made.port, () => requestsTo(only).length === 1);
    await soon(() => only.connections[0]!.socket.destroyed);
    await soon(() => made.records.length === 1);
    expect(requestsTo(only)).toHaveLength(1);
  });

  test("ends the reading of a body that is kept: nothing is sent", async () => {
    const only = await origin(answering(ok));
    const made = await gateway([only.port], { retry: {} });
    const head = requestText("PUT", undefined, "Content-Length: 9").trimEnd();
    const socket = connect(made.port, "127.0.0.1", () => socket.write(`${head}\r\n\r\nhalf`));
    socket.on("error", () => {});
    await soon(() => made.listener.active === 1);
    socket.destroy();
    await soon(() => made.records.length === 1);
    expect(made.records[0]!.status).toBe(499);
    expect(requestsTo(only)).toEqual([]);
  });
});

describe("the budget", () => {
  test("an upstream that fails every request sees at most 1.2 times as many", async () => {
    const origins = [await origin(behaving("503")), await origin(behaving("503"))];
    const made = await gateway(
      origins.map((each) => each.port),
      { retry: { attempts: 3 } },
    );
    for (let batch = 0; batch < 30; batch += 1)
      await Promise.all(Array.from({ length: 20 }, () => converse(made.port, requestText("GET"))));
    const sent = requestsTo(...origins).length;
    expect(sent).toBeGreaterThan(600 * 1.15);
    expect(sent).toBeLessThanOrEqual(600 * 1.2);
    const counts = new Map(
      made.upstreams.retries.read().map(({ outcome, count }) => [outcome, count]),
    );
    expect(counts.get("failed")).toBe(sent - 600);
    expect(counts.get("over-budget")).toBeGreaterThan(0);
    expect(counts.get("answered")).toBeUndefined();
  });

  test("0% is no retry at all, but for the one where a kept-alive connection turned out closed", async () => {
    const busy = await origin(behaving("503"));
    const made = await gateway([busy.port], { retry: { budget: "0%" } });
    expect(statusOf(await converse(made.port, requestText("GET")))).toBe(503);
    expect(requestsTo(busy)).toHaveLength(1);

    let requests = 0;
    const idle = await origin(({ socket }) => {
      let answers = 0;
      socket.on("data", () => {
        requests += 1;
        answers += 1;
        // The second request on a connection finds it closed.
        if (answers === 1) socket.write(ok);
        else socket.destroy();
      });
    });
    const other = await gateway([idle.port], { retry: { budget: "0%" } });
    for (let each = 0; each < 2; each += 1)
      expect(statusOf(await converse(other.port, requestText("GET")))).toBe(200);
    expect(requests).toBe(3);
    expect(other.upstreams.retries.read()).toEqual([]);
  });
});

test("what became of retries is counted", async () => {
  const only = await origin(answeringInTurn(answer(503), ok));
  const { port, upstreams } = await gateway([only.port], { retry: {} });
  await converse(port, requestText("GET"));
  expect(upstreams.retries.read()).toEqual([{ service: "a", outcome: "answered", count: 1 }]);
});
