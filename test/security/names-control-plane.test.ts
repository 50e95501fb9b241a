/** The list of {@link attempts} against a control plane that runs: over HTTP, over NATS, and in a config. */
import { writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { silentLog, systemClock } from "@tocsin/shared";
import { isOperationId, subjects } from "@tocsin/shared/bus";
import { connectNats, type NatsBus } from "@tocsin/shared/nats";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ask } from "../harness/client.ts";
import { startNats } from "../harness/index.ts";
import { startOrigin, type Origin } from "../harness/origin.ts";
import { startProgram, temporaryDirectory, type Program } from "../harness/program.ts";
import { attempts } from "./attacks.ts";

describe("a control plane", () => {
  const token = "a-token-for-the-test-of-names";
  const open = new AsyncDisposableStack();
  let plane: Program;
  let bus: NatsBus;
  let origin: Origin;
  let natsPort: number;
  let before: readonly string[];
  const config = (service = "users", zone = "zone-1", route = "users") =>
    JSON.stringify({
      version: 1,
      services: { [service]: { instances: [{ zone, url: origin.url }] } },
      routes: [{ id: route, match: { path: "/*" }, service, auth: "none" }],
    });

  beforeAll(async () => {
    // A server that refuses nothing: what is refused here, the control plane refuses.
    const server = open.use(await startNats());
    natsPort = server.port;
    origin = open.use(await startOrigin());
    const { path } = open.use(temporaryDirectory());
    const file = join(path, "tocsin.yaml");
    writeFileSync(file, config());
    plane = open.use(
      await startProgram({
        args: ["control-plane", "--config", file],
        environment: {
          TOCSIN_NATS_URL: server.url,
          TOCSIN_ADMIN_LISTEN: "127.0.0.1:0",
          TOCSIN_ADMIN_TOKEN: token,
          TOCSIN_CONTROL_PLANE_ID: "control-plane-1",
          TOCSIN_STATE_DIR: join(path, "state"),
        },
      }),
    );
    bus = open.use(
      await connectNats({
        servers: [server.url],
        role: "service",
        node: "users",
        clock: systemClock,
        log: silentLog,
      }),
    );
    expect((await admin("PUT", "/v1/services/users/instances/users-1", body())).status).toBe(200);
    before = await instances();
    expect(before).toContain("users/users-1");
  }, 30_000);
  afterAll(() => open.disposeAsync());

  const body = () => ({ url: origin.url, boot: "boot-1" });
  const admin = (method: string, path: string, document?: unknown, headers = {}) =>
    ask(plane.bound["admin"]!, path, {
      method,
      token,
      headers: { "content-type": "application/json", ...headers },
      ...(document === undefined
        ? {}
        : { body: typeof document === "string" ? document : JSON.stringify(document) }),
    });
  const instances = async () => {
    const { services } = (await admin("GET", "/v1/services")).json() as {
      services: { service: string; instances: { instance: string }[] }[];
    };
    return services.flatMap(({ service, instances }) =>
      instances.map(({ instance }) => `${service}/${instance}`),
    );
  };
  const encoded = (text: string) =>
    // A surrogate alone has no encoding.
    encodeURIComponent(text.toWellFormed()).replaceAll(".", "%2E");

  test.each(attempts)("%s is registered by nobody over HTTP", async (_, text) => {
    const name = encoded(text.slice(0, 2_000));
    for (const path of [
      `/v1/services/${name}/instances/one`,
      `/v1/services/users/instances/${name}`,
    ]) {
      for (const [method, at] of [
        ["PUT", path],
        ["POST", `${path}/renew`],
        ["DELETE", path],
      ] as const) {
        const answer = await admin(method, at, body());
        expect(`${method} ${at.slice(0, 80)}: ${answer.status}`).toMatch(
          /: (400|404|405|414|422|431)$/,
        );
        expect(answer.headers["content-type"]).toContain("application/problem+json");
      }
    }
    expect((await admin("GET", `/v1/services/${name}`)).status).toBeGreaterThanOrEqual(
      text === "" ? 200 : 400,
    );
  });

  test("a path that cannot be decoded is a problem like any other, and says nothing of what is there", async () => {
    const answer = await admin("GET", "/v1/services/%zz");
    expect(answer.status).toBe(400);
    expect(answer.headers["content-type"]).toBe("application/problem+json");
    expect(answer.headers["x-request-id"]).toBe(answer.json()["instance"]);
  });

  test.each(attempts)("%s comes with no config", async (_, text) => {
    for (const document of [
      config(text.slice(0, 2_000)),
      config("users", text.slice(0, 2_000)),
      config("users", "zone-1", text.slice(0, 2_000)),
    ]) {
      const answer = await admin("PUT", "/v1/config", document);
      expect(answer.status).toBeGreaterThanOrEqual(400);
      expect(answer.status).toBeLessThan(500);
    }
  });

  test.each(attempts)("%s repeats no order but by an id that does no harm", async (_, text) => {
    // What a client of HTTP cannot even send needs no answer.
    if (/[^\u0020-\u007e]/.test(text) || text.length > 8_000) return;
    const document = { kind: "user", subject: "bob" };
    const answer = await admin("POST", "/v1/revocations?wait=0", document, {
      "idempotency-key": text,
    });
    if (isOperationId(text.trim())) expect(answer.status).toBeLessThan(300);
    else expect(answer.status).toBe(400);
  });

  test.each(attempts)("%s is registered by nobody over NATS", async (_, text) => {
    for (const verb of ["register", "renew", "deregister"] as const)
      for (const [service, instance] of [
        [text, "one"],
        ["users", text],
      ] as const) {
        const subject = `tocsin.v1.${verb}.${service}.${instance}`;
        // The bytes as they are: what the client library might do to them is not what is tried.
        await say(`PUB ${subject} 0\r\n\r\n`);
        if (/\s/.test(subject) || subject.length > 2_000) continue;
        const answer = await bus
          .request(subject, JSON.stringify(body()), { timeoutMs: 200 })
          .then((message) => JSON.parse(message.text()) as { ok: boolean })
          .catch(() => ({ ok: false }));
        expect(answer.ok).toBe(false);
      }
  });

  test("after all of it nobody is there who was not there before, and the control plane serves", async () => {
    expect((await instances()).toSorted()).toEqual(before.toSorted());
    const proxies = (await admin("GET", "/v1/proxies")).json();
    expect(proxies).toEqual({ proxies: [] });
    const own = await bus.request(
      subjects.lease("register", "users", "users-2"),
      JSON.stringify(body()),
      { timeoutMs: 3_000 },
    );
    expect(JSON.parse(own.text())).toMatchObject({ ok: true });
    const metrics = (await admin("GET", "/metrics")).text;
    for (const line of metrics.split("\n"))
      expect(line).toMatch(/^(#.*|[a-z_:0-9]+(\{.*\})? [-+.0-9eaNIinf]+)?$/i);
  });

  /** Writes bytes to the server of NATS and waits until it has read them: it has answered a ping, or hung up. */
  function say(bytes: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const socket = connect(natsPort, "127.0.0.1", () =>
        socket.write(`CONNECT {"verbose":false}\r\n${bytes}PING\r\n`),
      );
      socket.on("data", (data) => {
        if (/PONG|-ERR/.test(data.toString())) socket.destroy();
      });
      socket.setTimeout(2_000, () => socket.destroy());
      socket.once("close", () => resolve()).once("error", reject);
    });
  }
});
