import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  answering,
  codeOf,
  converse,
  get,
  instanceAt,
  ok,
  soon,
  startRawOrigin,
  startTestGateway,
  statusOf,
} from "../listener/gateway.fixture.ts";
import type { OriginConnection, TestGateway } from "../listener/gateway.fixture.ts";

let stack: AsyncDisposableStack;
beforeEach(() => {
  stack = new AsyncDisposableStack();
});
afterEach(() => stack.disposeAsync());

const origin = async (behave: (connection: OriginConnection) => void) =>
  stack.use(await startRawOrigin(behave));
const gatewayTo = async (
  to: Parameters<typeof startTestGateway>[0]["to"],
  timeouts: Record<string, string> = {},
): Promise<TestGateway> =>
  stack.use(await startTestGateway({ to, config: { services: { a: { timeouts } } } }));

/** A port that nobody listens on. */
async function deadPort(): Promise<number> {
  const server = await startRawOrigin(() => {});
  await server[Symbol.asyncDispose]();
  return server.port;
}

describe("answers that are wrong", () => {
  test.each([
    ["garbage", "garbage\r\n\r\n"],
    [
      "both lengths",
      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ],
    [
      "both lengths, the other way around",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ],
    ["two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok"],
    [
      "another coding",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ],
    [
      "an upgrade that nobody asked for",
      "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
    ],
    ["fields beyond the bound", `HTTP/1.1 200 OK\r\nX-A: ${"a".repeat(80_000)}\r\n\r\n`],
    ["a NUL in a field", "HTTP/1.1 200 OK\r\nX-A: a\0b\r\nContent-Length: 0\r\n\r\n"],
  ])("%s is a 502 without a word about the upstream", async (_name, text) => {
    const bad = await origin(answering(text));
    const gateway = await gatewayTo([bad.port]);
    const answer = await get(gateway.port);
    expect(statusOf(answer)).toBe(502);
    expect(codeOf(answer)).toBe("upstream-failed");
    expect(answer).not.toMatch(new RegExp(`127\\.0\\.0\\.1|${bad.port}|UND_ERR|HPE_`));
  });

  test("early hints are passed on, what is for us alone is not, then the final answer follows", async () => {
    const early = await origin(
      answering(
        `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n${ok}`,
      ),
    );
    const gateway = await gatewayTo([early.port]);
    const answer = await get(gateway.port);
    expect(answer).toMatch(
      /^HTTP\/1\.1 103 Early Hints\r\nLink: <\/a>\r\n\r\nHTTP\/1\.1 200 OK\r\n/,
    );
    expect(answer).not.toMatch(/102|Continue/);
  });

  test("a client of HTTP/1.0 is not told of interim answers", async () => {
    const early = await origin(answering(`HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${ok}`));
    const gateway = await gatewayTo([early.port]);
    const answer = await converse(gateway.port, "GET / HTTP/1.0\r\nHost: gw.test\r\n\r\n");
    expect(answer).toMatch(/^HTTP\/1\.1 200 OK/);
  });

  test.each([
    ["204", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"],
    ["304", 'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\nContent-Length: 9\r\n\r\n'],
  ])("%s has no body", async (status, text) => {
    const empty = await origin(answering(text));
    const gateway = await gatewayTo([empty.port]);
    const answer = await get(gateway.port);
    expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect(answer).toMatch(/\r\n\r\n$/);
    if (status === "204") expect(answer).not.toMatch(/content-length/i);
  });

  test("HEAD has the length and no body", async () => {
    const head = await origin(answering("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"));
    const gateway = await gatewayTo([head.port]);
    const answer = await converse(
      gateway.port,
      "HEAD / HTTP/1.1\r\nHost: gw.test\r\nConnection: close\r\n\r\n",
    );
    expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\n[^]*content-length: 5\r\n[^]*\r\n\r\n$/i);
  });

  test("a body that is cut short never ends well for the client", async () => {
    for (const text of [
      "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ]) {
      const short = await origin(({ socket }) =>
        socket.once(
          "data",
          () => void socket.write(text, () => setTimeout(() => socket.destroy(), 30)),
        ),
      );
      const gateway = await gatewayTo([short.port]);
      const answer = await get(gateway.port);
      expect(answer).toMatch(/^HTTP\/1\.1 200/);
      expect(answer).not.toMatch(/\r\n0\r\n\r\n$/);
      const record = await soon(() => gateway.records[0]);
      expect(record.code).toBe("upstream-failed");
      expect(short.connections).toHaveLength(1);
    }
  });
});

describe("waits", () => {
  test("no answer in time is a 504, and the upstream connection is closed", async () => {
    const silent = await origin(() => {});
    const gateway = await gatewayTo([silent.port], { firstByte: "100ms" });
    const answer = await get(gateway.port);
    expect(codeOf(answer)).toBe("upstream-timeout");
    expect(statusOf(answer)).toBe(504);
    await soon(() => silent.connections[0]!.socket.closed);
  });

  test("half a head is no answer", async () => {
    const slow = await origin(({ socket }) =>
      socket.once("data", () => socket.write("HTTP/1.1 200 OK\r\nX-A")),
    );
    const gateway = await gatewayTo([slow.port], { firstByte: "100ms" });
    expect(statusOf(await get(gateway.port))).toBe(504);
  });

  test("a silence within a body breaks the answer off", async () => {
    const slow = await origin(({ socket }) =>
      socket.once("data", () => socket.write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")),
    );
    const gateway = await gatewayTo([slow.port], { idle: "100ms" });
    expect(await get(gateway.port)).toMatch(/\r\n\r\nhalf$/);
    await soon(() => slow.connections[0]!.socket.closed);
  });

  test("a slow body that keeps coming is no silence", async () => {
    const slow = await origin(({ socket }) =>
      socket.once("data", () => {
        socket.write("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n");
        let sent = 0;
        const timer = setInterval(() => {
          socket.write("x");
          if (++sent === 8) clearInterval(timer);
        }, 60);
      }),
    );
    const gateway = await gatewayTo([slow.port], { idle: "400ms", firstByte: "200ms" });
    expect(await get(gateway.port)).toMatch(/\r\n\r\nxxxxxxxx$/);
  });

  test("the time for all of it bounds a body that keeps coming", async () => {
    const endless = await origin(({ socket }) =>
      socket.once("data", () => {
        socket.write("HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n");
        const timer = setInterval(() => socket.write("x"), 20);
        socket.on("close", () => clearInterval(timer));
      }),
    );
    const gateway = await gatewayTo([endless.port], { total: "200ms" });
    expect(await get(gateway.port)).toMatch(/\r\n\r\nx+$/);
    await soon(() => endless.connections[0]!.socket.closed);
  });

  test("the time for all of it is a 504 before the answer", async () => {
    const silent = await origin(() => {});
    const gateway = await gatewayTo([silent.port], { total: "100ms" });
    expect(statusOf(await get(gateway.port))).toBe(504);
  });

  test("an upload that takes longer than the first byte may is no late answer", async () => {
    const patient = await origin((connection) => {
      connection.socket.on("data", () => {
        if (connection.received.endsWith("0\r\n\r\n")) connection.socket.write(ok);
      });
    });
    const gateway = await gatewayTo([patient.port], { firstByte: "150ms" });
    const { connect } = await import("node:net");
    const socket = connect(gateway.port, "127.0.0.1");
    let received = "";
    socket.on("data", (bytes) => (received += bytes.toString("latin1")));
    socket.write("POST / HTTP/1.1\r\nHost: gw.test\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (let count = 0; count < 8; count += 1) {
      socket.write("1\r\nx\r\n");
      await new Promise((resolve) => setTimeout(resolve, 60));
    }
    socket.write("0\r\n\r\n");
    await soon(() => received.startsWith("HTTP/1.1 200"));
    socket.destroy();
  });
});

describe("instances", () => {
  test("one that refuses connections is passed over, and the request has one effect", async () => {
    const alive = await origin(answering(ok));
    const gateway = await gatewayTo([await deadPort(), alive.port]);
    for (let count = 0; count < 4; count += 1) {
      const answer = await converse(
        gateway.port,
        "POST / HTTP/1.1\r\nHost: gw.test\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi",
      );
      expect(statusOf(answer)).toBe(200);
    }
    expect(alive.received().match(/^POST |(?<=hi)POST /g)?.length ?? 0).toBeGreaterThan(0);
    expect(alive.received().split("POST / ").length - 1).toBe(4);
  });

  test("when all refuse, it is a 502", async () => {
    const gateway = await gatewayTo([await deadPort(), await deadPort()]);
    expect(statusOf(await get(gateway.port))).toBe(502);
  });

  test("without an eligible one it is a 503 with Retry-After", async () => {
    const idle = await origin(answering(ok));
    const gateway = await gatewayTo([instanceAt(idle.port, { eligible: false })]);
    const answer = await get(gateway.port);
    expect(codeOf(answer)).toBe("service-unavailable");
    expect(answer).toMatch(/\r\nretry-after: 1\r\n/i);
    expect(idle.connections).toHaveLength(0);
  });

  test("a pinned address is connected to, and the Host stays", async () => {
    const pinned = await origin(answering(ok));
    const gateway = await gatewayTo([
      instanceAt(pinned.port, { url: `http://users.test:${pinned.port}`, address: "127.0.0.1" }),
    ]);
    expect(statusOf(await get(gateway.port))).toBe(200);
    expect(pinned.received()).toMatch(
      new RegExp(`\\r\\nhost: users\\.test:${pinned.port}\\r\\n`, "i"),
    );
  });

  test("requests go to instances by weight", async () => {
    const heavy = await origin(answering(ok));
    const light = await origin(answering(ok));
    const gateway = await gatewayTo([instanceAt(heavy.port, { weight: 3 }), light.port]);
    for (let count = 0; count < 20; count += 1) await get(gateway.port);
    const requests = (text: string) => text.split("GET / ").length - 1;
    expect([requests(heavy.received()), requests(light.received())]).toEqual([15, 5]);
  });

  test("what is in flight at an instance that goes away finishes, then its connections are closed", async () => {
    const leaving = await origin(() => {});
    const staying = await origin(answering(ok));
    const gateway = await gatewayTo([leaving.port]);
    const pending = get(gateway.port);
    await soon(() => leaving.received().includes("\r\n\r\n"));
    gateway.setInstances(instanceAt(staying.port));
    expect(statusOf(await get(gateway.port))).toBe(200);
    leaving.connections[0]!.socket.write(ok);
    expect(await pending).toMatch(/^HTTP\/1\.1 200 [^]*ok$/);
    await soon(() => leaving.connections[0]!.socket.closed);
  });
});

describe("a kept-alive connection that turns out closed", () => {
  /** Answers the first request of its first connection; resets that connection at the next one. */
  const closesLate = () => {
    let connections = 0;
    return (connection: OriginConnection) => {
      const first = connections++ === 0;
      let requests = 0;
      connection.socket.on("data", () => {
        if (first && ++requests > 1) connection.socket.resetAndDestroy();
        else connection.socket.write(ok);
      });
    };
  };

  test("costs a GET nothing", async () => {
    const moody = await origin(closesLate());
    const gateway = await gatewayTo([moody.port]);
    expect(statusOf(await get(gateway.port, "/one"))).toBe(200);
    expect(statusOf(await get(gateway.port, "/two"))).toBe(200);
    expect(moody.connections).toHaveLength(2);
  });

  test("is a 502 for a POST: nobody knows whether it had its effect", async () => {
    const moody = await origin(closesLate());
    const gateway = await gatewayTo([moody.port]);
    expect(statusOf(await get(gateway.port))).toBe(200);
    const answer = await converse(
      gateway.port,
      "POST / HTTP/1.1\r\nHost: gw.test\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi",
    );
    expect(statusOf(answer)).toBe(502);
    expect(moody.connections).toHaveLength(1);
  });

  test("a fresh connection that is reset is no reason to repeat", async () => {
    const rude = await origin(({ socket }) => socket.once("data", () => socket.resetAndDestroy()));
    const gateway = await gatewayTo([rude.port]);
    expect(statusOf(await get(gateway.port))).toBe(502);
    expect(rude.connections).toHaveLength(1);
  });
});
