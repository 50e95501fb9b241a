import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { modes, passwords, startGateway, type Gateway } from "../harness/gateway.ts";
import { startOrigin, type Origin } from "../harness/origin.ts";
import { runTocsin, temporaryDirectory } from "../harness/program.ts";
import { soon } from "../harness/soon.ts";

const configFor = (url: string) => `version: 1
environment: development
services:
  users: { instances: [{ url: "${url}" }] }
routes:
  - { id: everything, match: { path: "/*" }, service: users, auth: none }
`;

const wrong = `version: 1
enviroment: production
listen: { limits: { body: 10 Megabytes } }
services:
  users: { instances: [{ url: "ftp://users" }], helth: {} }
limits: { user: { key: user } }
routes:
  - id: one
    match: { path: /one }
    service: usrs
  - id: one
    match: { path: one }
    service: users
    auth: maybe
  - id: three
    match: { path: /three }
    service: users
    cache: long
`;

describe.each(modes)("bad input, %s", (mode) => {
  let gateway: Gateway;
  let origin: Origin;
  beforeAll(async () => {
    origin = await startOrigin();
    gateway = await startGateway(mode, { config: configFor(origin.url) });
    await soon(async () => expect((await gateway.ask("/")).status).toBe(200));
  }, 60_000);
  afterAll(async () => {
    await gateway?.[Symbol.asyncDispose]();
    await origin?.[Symbol.asyncDispose]();
  });

  test("a wrong config is refused with every problem, line and column, and nothing is applied", async () => {
    using directory = temporaryDirectory();
    const file = join(directory.path, "wrong.yaml");
    writeFileSync(file, wrong);
    const validated = await runTocsin(["config", "validate", file], {});
    const applied = await gateway.tocsin("config", "apply", file);
    for (const result of [validated, applied]) {
      expect(result.code).toBe(1);
      const text = result.stdout + result.stderr;
      for (const place of [
        "2:1",
        "3:27",
        "5:31",
        "5:49",
        "6:1",
        "10:14",
        "11:9",
        "12:20",
        "14:11",
        "18:5",
      ]) {
        expect(text).toContain(`${file}:${place}`);
      }
      expect(text).toMatch(/enviroment.*environment/);
      expect(text).toMatch(/usrs.*users/);
      expect(text).toMatch(/limits.*not supported yet/);
      expect(text).toMatch(/cache.*not supported yet/);
    }
    expect((await gateway.ask("/")).status).toBe(200);
    const shown = await gateway.tocsin("config", "show");
    expect(shown.stdout).toContain("everything");
  });

  test("a PUT of a wrong config answers 422 with pointers and lines", async () => {
    const answer = await gateway.admin("PUT", "/v1/config", {
      version: 1,
      routes: [{ id: "x", match: { path: "/x" }, service: "nobody" }],
    });
    expect(answer.status).toBe(422);
    expect(answer.headers["content-type"]).toBe("application/problem+json");
    expect(answer.json()["errors"]).toEqual([
      expect.objectContaining({
        pointer: "/routes/0/service",
        line: 1,
        message: expect.stringContaining("nobody"),
      }),
    ]);
  });

  test.each([
    [
      "a name that is none",
      "/v1/services/Us_ers/instances/a",
      { url: "http://127.0.0.1:1" },
      [400, 422],
    ],
    [
      "an instance name that is none",
      "/v1/services/users/instances/a%3E",
      { url: "http://127.0.0.1:1" },
      [400, 422],
    ],
    ["a file", "/v1/services/users/instances/a", { url: "file:///etc/passwd" }, [422]],
    [
      "a metadata address",
      "/v1/services/users/instances/a",
      { url: "http://169.254.169.254" },
      [403, 422],
    ],
    ["a public address", "/v1/services/users/instances/a", { url: "http://8.8.8.8" }, [403, 422]],
    [
      "an unknown key",
      "/v1/services/users/instances/a",
      { url: "http://127.0.0.1:1", wieght: 3 },
      [422],
    ],
    ["no URL", "/v1/services/users/instances/a", {}, [422]],
  ])("a registration with %s is refused and says why", async (_what, path, body, statuses) => {
    const answer = await gateway.admin("PUT", path, body);
    expect(statuses).toContain(answer.status);
    expect(answer.headers["content-type"]).toBe("application/problem+json");
    const problem = answer.json();
    expect(problem["detail"] ?? problem["errors"]).toBeTruthy();
  });

  test("the admin API wants its token", async () => {
    const response = await fetch(new URL("/v1/services", gateway.environment["TOCSIN_ADMIN_URL"]));
    expect(response.status).toBe(401);
    const wrongToken = await fetch(
      new URL("/v1/services", gateway.environment["TOCSIN_ADMIN_URL"]),
      { headers: { authorization: "Bearer nope" } },
    );
    expect(wrongToken.status).toBe(401);
  });

  test("garbage and huge requests are answered 4xx, never 5xx, and the upstream sees nothing", async () => {
    origin.seen.length = 0;
    const requests: (string | Buffer)[] = [
      "GET / HTTP/1.1\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
      "GET http://other/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
      "GET * HTTP/1.1\r\nHost: localhost\r\n\r\n",
      "TRACE / HTTP/1.1\r\nHost: localhost\r\n\r\n",
      "CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
      "GET /a/%2e%2e/b HTTP/1.1\r\nHost: localhost\r\n\r\n",
      "GET /a/../b HTTP/1.1\r\nHost: localhost\r\n\r\n",
      "GET /a%2fb HTTP/1.1\r\nHost: localhost\r\n\r\n",
      "GET /a%00 HTTP/1.1\r\nHost: localhost\r\n\r\n",
      "GET /a\\b HTTP/1.1\r\nHost: localhost\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
      "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip, chunked, gzip\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: localhost\r\nX : y\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: localhost\r\nX: a\r\n folded\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: localhost\r\nExpect: tea\r\n\r\n",
      `GET /${"a".repeat(20_000)} HTTP/1.1\r\nHost: localhost\r\n\r\n`,
      `GET / HTTP/1.1\r\nHost: localhost\r\nX-Large: ${"a".repeat(200_000)}\r\n\r\n`,
      `GET / HTTP/1.1\r\nHost: localhost\r\n${"X: y\r\n".repeat(5_000)}\r\n`,
      "\u0000\u0001\u0002\u0003\r\n\r\n",
      "HELO mail\r\n\r\n",
      Buffer.concat([
        Buffer.from("GET / HTTP/1.1\r\nHost: "),
        randomBytes(64),
        Buffer.from("\r\n\r\n"),
      ]),
    ];
    const { hostname, port } = new URL(gateway.urls[0]!);
    for (const request of requests) {
      const answer = await raw(hostname, Number(port), request);
      expect(
        `${JSON.stringify(request.toString("latin1").slice(0, 60))}: ${answer.slice(9, 12)}`,
      ).toMatch(/: 4\d\d$/);
    }
    expect(origin.seen).toEqual([]);
    expect((await gateway.ask("/")).status).toBe(200);
  });

  if (mode === "cluster") {
    test("a service cannot announce another one: the bus refuses it", async () => {
      const { connectNats } = await import("@tocsin/shared/nats");
      const { subjects } = await import("@tocsin/shared/bus");
      const { silentLog, systemClock } = await import("@tocsin/shared");
      await using bus = await connectNats({
        servers: [gateway.nats!.urlFor("users", passwords.TOCSIN_NATS_USERS_PASSWORD)],
        node: "users",
        role: "service",
        clock: systemClock,
        log: silentLog,
      });
      const body = JSON.stringify({ url: origin.url });
      const own = await bus.request(subjects.lease("register", "users", "users-9"), body, {
        timeoutMs: 3_000,
      });
      expect(JSON.parse(own.text())).toMatchObject({ ok: true });
      await expect(
        bus.request(subjects.lease("register", "content", "content-1"), body, { timeoutMs: 3_000 }),
      ).rejects.toThrow();
      const services = await gateway.admin("GET", "/v1/services");
      expect(services.text).not.toContain("content-1");
      await bus.request(subjects.lease("deregister", "users", "users-9"), "{}", {
        timeoutMs: 8_000,
      });
    });
  }
});

/** Sends bytes and returns the first answer's text. */
function raw(host: string, port: number, bytes: string | Buffer): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, host);
    let text = "";
    socket.setTimeout(5_000, () =>
      socket.destroy(
        new Error(`no answer to ${JSON.stringify(bytes.toString("latin1").slice(0, 60))}`),
      ),
    );
    socket.on("data", (data) => {
      text += data.toString("latin1");
      if (text.includes("\r\n\r\n")) {
        resolve(text);
        socket.destroy();
      }
    });
    socket.on("error", (error) => (text === "" ? reject(error) : resolve(text)));
    socket.on("close", () =>
      text === ""
        ? reject(
            new Error(
              `closed without an answer: ${JSON.stringify(bytes.toString("latin1").slice(0, 60))}`,
            ),
          )
        : resolve(text),
    );
    socket.write(bytes);
  });
}
