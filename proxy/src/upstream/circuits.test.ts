import { connect } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createVirtualClock } from "../../../test/harness/virtual-clock.ts";
import {
  answering,
  codeOf,
  converse,
  instanceAt,
  ok,
  soon,
  startRawOrigin,
  startTestGateway,
  statusOf,
} from "../listener/gateway.fixture.ts";
import type { OriginConnection, TestGateway } from "../listener/gateway.fixture.ts";
import { answer, behaving, deadPort, requestsTo, requestText } from "./resilience.fixture.ts";

let stack: AsyncDisposableStack;
beforeEach(() => {
  stack = new AsyncDisposableStack();
});
afterEach(() => stack.disposeAsync());

const origin = async (behave: (connection: OriginConnection) => void) =>
  stack.use(await startRawOrigin(behave));

const circuit = { failures: 3, rest: "60s", successes: 2, trials: 1 };

async function gatewayTo(ports: readonly number[], more: Record<string, unknown> = {}) {
  const clock = createVirtualClock();
  const gateway = stack.use(
    await startTestGateway({
      to: ports,
      clock,
      config: { services: { a: { circuit, ...more } } },
    }),
  );
  return { clock, gateway, ask: (method = "GET") => converse(gateway.port, requestText(method)) };
}
const stateOf = ({ upstreams }: TestGateway, port: number) =>
  upstreams.circuits.stateOf(instanceAt(port).key);

/** An instance that behaves in a way that can be changed. */
async function changing(first: (connection: OriginConnection) => void) {
  let now = first;
  const made = await origin((connection) => {
    connection.socket.once("data", (bytes) => {
      now(connection);
      // It hears the request again, now that it knows how to behave.
      connection.socket.emit("data", bytes);
    });
  });
  return {
    port: made.port,
    requests: () => made.connections.length,
    become: (behave: (connection: OriginConnection) => void) => void (now = behave),
  };
}
const closing = (text: string) => behavingOnce(text.replace("\r\n", "\r\nConnection: close\r\n"));
function behavingOnce(text: string) {
  return ({ socket }: OriginConnection) => void socket.on("data", () => socket.end(text, "latin1"));
}

describe("what opens a circuit", () => {
  test.each([
    ["refusal", true],
    ["reset", true],
    ["garbage", true],
    ["500", true],
    ["502", true],
    ["503", true],
    ["504", true],
    ["200", false],
    ["301", false],
    ["400", false],
    ["401", false],
    ["404", false],
    ["429", false],
    ["501", false],
    ["505", false],
  ])("three times %s: %s", async (how, opens) => {
    const bad = how === "refusal" ? undefined : await origin(behaving(how));
    const port = bad?.port ?? (await deadPort());
    const { gateway, ask } = await gatewayTo([port]);
    for (let time = 1; time <= 3; time += 1) {
      await ask("POST");
      expect(stateOf(gateway, port)).toBe(time === 3 && opens ? "open" : "closed");
    }
    const reply = await ask();
    if (!opens) return expect(statusOf(reply)).toBe(Number(how));
    expect(codeOf(reply)).toBe("service-unavailable");
    if (bad !== undefined) expect(requestsTo(bad)).toHaveLength(3);
  });

  test("no answer in time does", async () => {
    const slow = await origin(behaving("silence"));
    const { clock, gateway, ask } = await gatewayTo([slow.port]);
    for (let time = 1; time <= 3; time += 1) {
      const reply = ask("POST");
      await soon(() => requestsTo(slow).length === time);
      await clock.pass(10_000);
      expect(codeOf(await reply)).toBe("upstream-timeout");
    }
    expect(stateOf(gateway, slow.port)).toBe("open");
  });

  test("answers that break off do", async () => {
    const bad = await origin(behavingOnce("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"));
    const { gateway, ask } = await gatewayTo([bad.port]);
    for (let time = 1; time <= 3; time += 1) await ask();
    await soon(() => stateOf(gateway, bad.port) === "open");
  });

  test("an answer that speaks against the instance and breaks off besides counts once", async () => {
    const bad = await origin(behavingOnce("HTTP/1.1 503 X\r\nContent-Length: 9\r\n\r\nhalf"));
    const { gateway, ask } = await gatewayTo([bad.port]);
    for (let time = 1; time <= 2; time += 1) await ask();
    await soon(() => gateway.records.length === 2);
    expect(stateOf(gateway, bad.port)).toBe("closed");
    await ask();
    await soon(() => stateOf(gateway, bad.port) === "open");
  });

  test("clients that go away do not, before an answer or within one", async () => {
    const slow = await changing(behaving("silence"));
    const { gateway } = await gatewayTo([slow.port]);
    for (let time = 1; time <= 6; time += 1) {
      if (time === 4)
        slow.become(({ socket }) => {
          socket.on("data", () => socket.write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"));
        });
      const socket = connect(gateway.port, "127.0.0.1", () => socket.write(requestText("GET")));
      socket.on("error", () => {});
      let received = "";
      socket.on("data", (bytes) => (received += String(bytes)));
      await soon(() => (time < 4 ? slow.requests() === time : received.endsWith("half")));
      socket.destroy();
      await soon(() => gateway.records.length === time);
    }
    expect(stateOf(gateway, slow.port)).toBe("closed");
  });

  test("uploads that do not come in time do not", async () => {
    const only = await origin(behaving("silence"));
    const { clock, gateway } = await gatewayTo([only.port]);
    const head = requestText("POST", undefined, "Content-Length: 9").trimEnd();
    for (let time = 1; time <= 3; time += 1) {
      const reply = converse(gateway.port, `${head}\r\n\r\nhalf`);
      await soon(() => only.connections[time - 1]?.received.endsWith("half"));
      await clock.pass(120_000);
      expect(statusOf(await reply)).toBe(408);
    }
    expect(stateOf(gateway, only.port)).toBe("closed");
  });

  test("a kept-alive connection that turns out closed does not", async () => {
    let answers = 0;
    const only = await origin(({ socket }) => {
      let own = 0;
      socket.on("data", () => {
        own += 1;
        answers += 1;
        if (own === 1) socket.write(ok);
        else socket.destroy();
      });
    });
    const { gateway, ask } = await gatewayTo([only.port], { circuit: { failures: 1 } });
    for (let time = 0; time < 8; time += 1) expect(statusOf(await ask())).toBe(200);
    expect(answers).toBeGreaterThan(8);
    expect(stateOf(gateway, only.port)).toBe("closed");
  });
});

test("what becomes of an answer that was put aside says nothing about the instance that is tried next", async () => {
  let aside: OriginConnection["socket"] | undefined;
  const first = await origin(({ socket }) => {
    aside = socket;
    socket.on("data", () => socket.write("HTTP/1.1 503 X\r\nContent-Length: 9\r\n\r\nhalf"));
  });
  let finish = () => {};
  const second = await origin(({ socket }) => {
    socket.on("data", () => {
      finish = () => void socket.end(ok);
    });
  });
  const { clock, gateway, ask } = await gatewayTo([first.port, second.port], {
    circuit: { failures: 1 },
    retry: {},
  });
  const reply = ask();
  // The retry is a timer of no length on a clock that stands.
  await soon(() => {
    void clock.pass(0);
    return requestsTo(second).length === 1;
  });
  aside!.resetAndDestroy();
  await soon(() => aside!.closed);
  finish();
  expect(statusOf(await reply)).toBe(200);
  expect(stateOf(gateway, second.port)).toBe("closed");
});

describe("while a circuit is open", () => {
  test("the others get everything, and nothing is asked of them", async () => {
    const bad = await origin(behaving("500"));
    const good = await origin(answering(ok));
    const { ask } = await gatewayTo([bad.port, good.port]);
    for (let time = 0; time < 40; time += 1) await ask();
    expect(requestsTo(bad)).toHaveLength(3);
    expect(requestsTo(good)).toHaveLength(37);
  });

  test("of all instances, the refusal says in how many seconds the first may be tried", async () => {
    const bad = await origin(behaving("500"));
    const { clock, ask } = await gatewayTo([bad.port]);
    for (let time = 0; time < 3; time += 1) await ask();
    expect(await ask()).toMatch(/\r\nretry-after: 60\r\n/i);
    await clock.pass(17_500);
    const reply = await ask();
    expect(statusOf(reply)).toBe(503);
    expect(reply).toMatch(/\r\nretry-after: 43\r\n/i);
    expect(requestsTo(bad)).toHaveLength(3);
  });

  test("an instance in another life starts closed", async () => {
    const bad = await origin(behaving("500"));
    const { gateway, ask } = await gatewayTo([bad.port]);
    for (let time = 0; time < 3; time += 1) await ask();
    gateway.setInstances(instanceAt(bad.port, { key: "a.again.2" }));
    expect(statusOf(await ask())).toBe(500);
  });

  test("an instance that was out by its verdict and comes back is tried at once", async () => {
    const bad = await changing(closing(answer(500)));
    const { gateway, ask } = await gatewayTo([bad.port]);
    for (let time = 0; time < 3; time += 1) await ask();
    gateway.setInstances(instanceAt(bad.port, { eligible: false }));
    expect(codeOf(await ask())).toBe("service-unavailable");
    bad.become(closing(ok));
    gateway.setInstances(instanceAt(bad.port));
    for (let time = 0; time < 3; time += 1) expect(statusOf(await ask())).toBe(200);
    expect(stateOf(gateway, bad.port)).toBe("closed");
  });
});

describe("half-open", () => {
  test("of 200 requests at the same time exactly the trials get through, the rest are refused at once", async () => {
    const bad = await changing(closing(answer(500)));
    const { clock, gateway } = await gatewayTo([bad.port], {
      circuit: { ...circuit, trials: 3, successes: 3 },
    });
    const ask = () => converse(gateway.port, requestText("GET"));
    for (let time = 0; time < 3; time += 1) await ask();
    const held: OriginConnection[] = [];
    bad.become((connection) => void held.push(connection));
    await clock.pass(60_000);
    const replies = Array.from({ length: 200 }, ask);
    // Before any trial has an answer all the others have theirs.
    await soon(() => gateway.records.length === 200);
    expect(gateway.records.slice(3).every(({ code }) => code === "service-unavailable")).toBe(true);
    expect(held).toHaveLength(3);
    expect(stateOf(gateway, bad.port)).toBe("half-open");
    bad.become(closing(ok));
    for (const { socket } of held) socket.end(closed(ok));
    const statuses = (await Promise.all(replies)).map(statusOf);
    expect(statuses.filter((status) => status === 200)).toHaveLength(3);
    expect(statuses.filter((status) => status === 503)).toHaveLength(197);
    expect(stateOf(gateway, bad.port)).toBe("closed");
    expect(statusOf(await ask())).toBe(200);
  });
  const closed = (text: string) => text.replace("\r\n", "\r\nConnection: close\r\n");

  test("a trial that fails opens the circuit again for the whole rest", async () => {
    const bad = await origin(behaving("500"));
    const { clock, gateway, ask } = await gatewayTo([bad.port]);
    for (let time = 0; time < 3; time += 1) await ask();
    await clock.pass(60_000);
    expect(statusOf(await ask())).toBe(500);
    expect(stateOf(gateway, bad.port)).toBe("open");
    await clock.pass(59_000);
    expect(codeOf(await ask())).toBe("service-unavailable");
    expect(requestsTo(bad)).toHaveLength(4);
  });

  test("a trial whose client goes away gives its place back", async () => {
    const bad = await changing(closing(answer(500)));
    const { clock, gateway, ask } = await gatewayTo([bad.port]);
    for (let time = 0; time < 3; time += 1) await ask();
    bad.become(behaving("silence"));
    await clock.pass(60_000);
    const socket = connect(gateway.port, "127.0.0.1", () => socket.write(requestText("GET")));
    socket.on("error", () => {});
    await soon(() => bad.requests() === 4);
    expect(codeOf(await ask())).toBe("service-unavailable");
    socket.destroy();
    await soon(() => gateway.records.length === 5);
    bad.become(closing(ok));
    expect(statusOf(await ask())).toBe(200);
    expect(stateOf(gateway, bad.port)).toBe("half-open");
  });

  test("an answer that goes on and on does not keep the place of a trial", async () => {
    const bad = await changing(closing(answer(500)));
    const { clock, gateway, ask } = await gatewayTo([bad.port]);
    for (let time = 0; time < 3; time += 1) await ask();
    bad.become(({ socket }) => {
      socket.on("data", () => socket.write("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nevent"));
    });
    await clock.pass(60_000);
    const socket = connect(gateway.port, "127.0.0.1", () => socket.write(requestText("GET")));
    stack.defer(() => void socket.destroy());
    await new Promise((resolve) => socket.once("data", resolve));
    bad.become(closing(ok));
    expect(statusOf(await ask())).toBe(200);
    expect(stateOf(gateway, bad.port)).toBe("closed");
  });
});

test("circuits and retries are told in metrics", async () => {
  const bad = await origin(behaving("503"));
  const { gateway, ask } = await gatewayTo([bad.port], { retry: { attempts: 1 } });
  for (let time = 0; time < 3; time += 1) await ask();
  const { text } = await gateway.metrics.scrape();
  expect(text).toContain(`tocsin_circuit_state{service="a",instance="i${bad.port}"} 2`);
});
