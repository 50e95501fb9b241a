import { createServer, type RequestListener } from "node:http";
import { createServer as createTcp, type AddressInfo, type Server } from "node:net";
import { systemClock } from "@tocsin/shared";
import { afterEach, describe, expect, test, vi } from "vitest";
import { Judgement, probe } from "@tocsin/shared/probe";

let stack = new AsyncDisposableStack();
afterEach(async () => {
  await stack.disposeAsync();
  stack = new AsyncDisposableStack();
});

async function listening(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  stack.defer(() => new Promise<void>((resolve) => void server.close(() => resolve())));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
async function http(handler: RequestListener): Promise<string> {
  const server = createServer(handler);
  const url = await listening(server);
  // Before the server is closed: what a test left open is not waited for.
  stack.defer(() => server.closeAllConnections());
  return url;
}
const look = (url: string, more: { path?: string; address?: string; timeoutMs?: number } = {}) =>
  probe(
    { url, path: more.path, address: more.address, timeoutMs: more.timeoutMs ?? 1_000 },
    systemClock,
    new AbortController().signal,
  );

describe("a probe", () => {
  test.each([
    [200, { well: true }],
    [204, { well: true }],
    [299, { well: true }],
    [301, { well: false, reason: "status 301" }],
    [404, { well: false, reason: "status 404" }],
    [500, { well: false, reason: "status 500" }],
  ])("status %d", async (status, result) => {
    let elsewhere = 0;
    const url = await http((request, response) => {
      if (request.url !== "/health") elsewhere++;
      response.writeHead(status, { location: "/elsewhere" }).end();
    });
    expect(await look(url, { path: "/health" })).toEqual(result);
    // A redirect leads where nobody checked.
    expect(elsewhere).toBe(0);
  });

  test("that takes too long is bad, and says so", async () => {
    const url = await http(() => {});
    expect(await look(url, { path: "/health", timeoutMs: 50 })).toEqual({
      well: false,
      reason: "timeout after 50 ms",
    });
  });

  test("whose connection is refused is bad", async () => {
    expect(await look("http://127.0.0.1:1", { path: "/" })).toEqual({
      well: false,
      reason: "ECONNREFUSED",
    });
    expect(await look("http://127.0.0.1:1")).toEqual({ well: false, reason: "ECONNREFUSED" });
  });

  test("of something that speaks no HTTP is bad with a path, and well without", async () => {
    const server = createTcp((socket) =>
      socket.on("error", () => {}).end("no HTTP\r\n\r\n", () => socket.destroy()),
    );
    const url = await listening(server);
    expect(await look(url, { path: "/" })).toMatchObject({ well: false });
    expect(await look(url)).toEqual({ well: true });
  });

  test("does not wait for a body without end", async () => {
    const url = await http((_request, response) => {
      response.writeHead(200);
      const more = () => {
        if (!response.destroyed && response.write("x".repeat(65_536))) setImmediate(more);
      };
      more();
    });
    expect(await look(url, { path: "/" })).toEqual({ well: true });
  });

  test("whose answer begins and never ends is bad, and leaves no connection behind", async () => {
    let open = 0;
    const url = await http((_request, response) => {
      open++;
      response.on("close", () => open--);
      response.writeHead(200).write("so");
    });
    expect(await look(url, { path: "/", timeoutMs: 80 })).toEqual({
      well: false,
      reason: "timeout after 80 ms",
    });
    await vi.waitFor(() => expect(open).toBe(0));
  });

  test.each(["//", "/\\\\", "///"])(
    "whose path begins with %s and names another host never goes there",
    async (slashes) => {
      let asked = 0;
      const elsewhere = await http((_request, response) => {
        asked++;
        response.end();
      });
      const url = await http((_request, response) => response.writeHead(500).end());
      const result = await look(url, { path: `${slashes}${new URL(elsewhere).host}/` });
      expect(result).toEqual({ well: false, reason: "the health path leads elsewhere" });
      expect(asked).toBe(0);
    },
  );

  test("connects to the pinned address, and names the host", async () => {
    let host: string | undefined;
    const url = await http((request, response) => {
      host = request.headers.host;
      response.end();
    });
    const named = url.replace("127.0.0.1", "service.invalid");
    expect(await look(named, { path: "/", address: "127.0.0.1" })).toEqual({ well: true });
    expect(host).toBe(new URL(named).host);
  });
});

describe("a judgement", () => {
  const thresholds = { healthyAfter: 2, unhealthyAfter: 3 };
  const verdicts = (judgement: Judgement, probes: string) =>
    Array.from(probes).map((one) => {
      judgement.note(one === "+" ? { well: true } : { well: false, reason: "bad" }, thresholds);
      return judgement.verdict;
    });
  test("is made by the first probe, and changed by so many in a row", () => {
    expect(verdicts(new Judgement(), "+--+---++")).toEqual([
      "healthy",
      "healthy",
      "healthy",
      "healthy",
      "healthy",
      "healthy",
      "unhealthy",
      "unhealthy",
      "healthy",
    ]);
    expect(verdicts(new Judgement(), "-+-++")).toEqual([
      "unhealthy",
      "unhealthy",
      "unhealthy",
      "unhealthy",
      "healthy",
    ]);
  });
  test("that was made before is not overturned by one probe", () => {
    expect(verdicts(new Judgement("healthy"), "--")).toEqual(["healthy", "healthy"]);
    expect(verdicts(new Judgement("unhealthy"), "+")).toEqual(["unhealthy"]);
  });
});
