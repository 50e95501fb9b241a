import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Secret, silentLog, systemClock, systemRandom } from "@tocsin/shared";
import { subjects, type Bus } from "@tocsin/shared/bus";
import {
  protocolVersion,
  type Ack,
  type InstanceEntry,
  type ProxyHeartbeat,
} from "@tocsin/shared/contract";
import { createEmbeddedBus, openEmbeddedStore } from "@tocsin/shared/embedded";
import { journalNames, type Recorded } from "@tocsin/shared/journal";
import { createBusSource, startReplica } from "@tocsin/shared/replica";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { startControlPlane, type ControlPlane } from "./control-plane.ts";

const token = "0123456789abcdef0123456789abcdef";
const issuers = `identity: { issuers: [{ issuer: me, audience: us, algorithms: [HS256], secret: "a secret that is long enough for HS256" }] }`;

let stack: AsyncDisposableStack;
let bus: Bus;
let controlPlane: ControlPlane;
let journals: Awaited<ReturnType<typeof openEmbeddedStore>>["journals"];

const common = { clock: systemClock, random: systemRandom, log: silentLog };

async function start(): Promise<ControlPlane> {
  return startControlPlane({
    ...common,
    node: "control-plane-1",
    version: "1.2.3",
    bus,
    journals,
    admin: { host: "127.0.0.1", port: 0, token: new Secret(token) },
    environment: {},
    config: {
      source: `version: 1\n${issuers}\nservices: { users: { health: { path: /health, interval: 100ms } } }\n`,
      name: "test",
    },
  });
}

beforeEach(async () => {
  stack = new AsyncDisposableStack();
  bus = stack.use(createEmbeddedBus());
  journals = stack.use(await openEmbeddedStore(":memory:", { bus, clock: systemClock })).journals;
  controlPlane = await start();
});
afterEach(async () => {
  await controlPlane[Symbol.asyncDispose]();
  await stack.disposeAsync();
});

async function call(
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
) {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const response = await fetch(`${controlPlane.adminUrl}${path}`, {
    method,
    headers: {
      authorization: `Bearer ${token}`,
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: text }),
  });
  const answer = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    text: answer,
    json: () => JSON.parse(answer) as Record<string, unknown> & { errors?: { pointer: string }[] },
  };
}

/** A proxy as far as the bus sees one: real replicas that apply entries and acknowledge orders. */
async function startFollower(name: string, options: { acknowledges?: boolean } = {}) {
  const entries: Recorded[] = [];
  const replicas = journalNames.map((journal) =>
    startReplica<Recorded>({
      ...common,
      journal,
      source: createBusSource({ bus, journal, node: name }),
      table: {
        decode: (entry) => entry,
        apply: (entry) => void entries.push(entry),
        load: (all) => void entries.push(...all.map(({ change }) => change)),
        loadDump() {},
      },
      onApplied({ operation, sequence, epoch }) {
        if (options.acknowledges === false) return;
        bus.publish(
          subjects.ack(operation, name),
          JSON.stringify({ v: protocolVersion, journal, epoch, applied: sequence } satisfies Ack),
        );
      },
    }),
  );
  for (const replica of replicas) stack.use(replica);
  await Promise.all(replicas.map(({ synced }) => synced));
  const boot = randomUUID();
  const beat = (more: Partial<ProxyHeartbeat> = {}) => {
    const [catalogue, health, revocations, invalidations] = replicas.map((replica) => {
      const { epoch, applied, head, state } = replica.status();
      return { ...(epoch === undefined ? {} : { epoch }), applied, head, state };
    });
    const heartbeat: ProxyHeartbeat = {
      v: protocolVersion,
      proxy: name,
      boot,
      version: "1.2.3",
      journals: {
        catalogue: catalogue!,
        health: health!,
        revocations: revocations!,
        invalidations: invalidations!,
      },
      ...more,
    };
    bus.publish(subjects.heartbeat("proxy", name), JSON.stringify(heartbeat));
  };
  beat();
  await vi.waitFor(async () => expect((await call("GET", "/v1/proxies")).text).toContain(name));
  return { entries, beat };
}

async function startUpstream(status = 200) {
  const state = { status };
  const server = createServer((_request, response) => response.writeHead(state.status).end());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  stack.defer(() => new Promise<void>((resolve) => void server.close(() => resolve())));
  stack.defer(() => server.closeAllConnections());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, state, server };
}

describe("registration", () => {
  test("an instance is probed at once, and its verdict changes with the thresholds", async () => {
    const upstream = await startUpstream();
    const answer = await call("PUT", "/v1/services/users/instances/users-1", { url: upstream.url });
    expect(answer.status).toBe(200);
    expect(answer.json()).toMatchObject({ lease: "10s", renew: "3s" });
    const verdict = async () =>
      (
        (await call("GET", "/v1/services/users")).json()["instances"] as {
          verdict: string;
          reason?: string;
        }[]
      )[0];
    await vi.waitFor(async () => expect(await verdict()).toMatchObject({ verdict: "healthy" }));
    upstream.state.status = 500;
    await vi.waitFor(
      async () =>
        expect(await verdict()).toMatchObject({ verdict: "unhealthy", reason: "status 500" }),
      { timeout: 3_000 },
    );
    upstream.state.status = 204;
    await vi.waitFor(async () => expect(await verdict()).toMatchObject({ verdict: "healthy" }), {
      timeout: 3_000,
    });
  });

  test("the same process that registers again changes nothing, another one supersedes it", async () => {
    const upstream = await startUpstream();
    const body = { url: upstream.url, boot: "first" };
    const first = (await call("PUT", "/v1/services/users/instances/users-1", body)).json();
    const again = (await call("PUT", "/v1/services/users/instances/users-1", body)).json();
    expect(again["sequence"]).toBe(first["sequence"]);
    const second = (
      await call("PUT", "/v1/services/users/instances/users-1", { ...body, boot: "second" })
    ).json();
    expect(second["sequence"]).toBeGreaterThan(first["sequence"] as number);
    const renewed = await call("POST", "/v1/services/users/instances/users-1/renew", {
      boot: "first",
    });
    expect(renewed.status).toBe(409);
    expect(renewed.json()).toMatchObject({ code: "superseded" });
    // Nor may the old one take the new one out.
    expect(
      (await call("DELETE", "/v1/services/users/instances/users-1", { boot: "first" })).status,
    ).toBe(409);
    expect(
      (await call("POST", "/v1/services/users/instances/users-1/renew", { boot: "second" })).status,
    ).toBe(200);
  });

  test("renewing what is not registered is a lost lease", async () => {
    const answer = await call("POST", "/v1/services/users/instances/nobody/renew", {});
    expect(answer.status).toBe(404);
    expect(answer.json()).toMatchObject({ code: "lease-lost" });
  });

  test("deregistering answers when the proxy has applied the drain, and then the instance is gone", async () => {
    const upstream = await startUpstream();
    const follower = await startFollower("proxy-1");
    await call("PUT", "/v1/services/users/instances/users-1", { url: upstream.url });
    const answer = await call("DELETE", "/v1/services/users/instances/users-1");
    expect(answer.status).toBe(200);
    expect(answer.json()).toMatchObject({
      applied: { expected: 1, count: 1, slowest: "proxy-1", missing: [] },
    });
    const states = follower.entries
      .filter(({ key }) => key === "instance.users.users-1")
      .map(({ body }) => (JSON.parse(body) as InstanceEntry).state);
    expect(states.slice(0, 2)).toEqual(["active", "draining"]);
    expect((await call("GET", "/v1/services/users")).json()["instances"]).toEqual([]);
  });

  test("over the bus the answers are the same", async () => {
    const upstream = await startUpstream();
    const ask = async (verb: "register" | "renew" | "deregister", service: string, body: object) =>
      JSON.parse(
        (
          await bus.request(subjects.lease(verb, service, "users-1"), JSON.stringify(body), {
            timeoutMs: 5_000,
          })
        ).text(),
      ) as object;
    expect(await ask("register", "users", { url: upstream.url, boot: "b" })).toMatchObject({
      ok: true,
      body: { lease: "10s", boot: "b" },
    });
    expect(await ask("renew", "users", { boot: "b" })).toMatchObject({ ok: true });
    expect(await ask("register", "users", { url: "http://169.254.169.254" })).toMatchObject({
      ok: false,
      problem: { status: 403, code: "url-not-allowed" },
    });
    expect(await ask("deregister", "users", { boot: "b" })).toMatchObject({
      ok: true,
      body: { applied: { missing: [] } },
    });
    expect(await ask("renew", "users", { boot: "b" })).toMatchObject({
      ok: false,
      problem: { code: "lease-lost" },
    });
  });
});

describe("orders", () => {
  test("an order tells which proxies applied it, and names one that did not", async () => {
    await startFollower("proxy-1");
    await startFollower("proxy-2", { acknowledges: false });
    const answer = await call("POST", "/v1/revocations?wait=300ms", {
      kind: "user",
      subject: "bob",
    });
    expect(answer.status).toBe(202);
    expect(answer.json()).toMatchObject({
      applied: { expected: 2, count: 1, slowest: "proxy-1", missing: [{ proxy: "proxy-2" }] },
    });
  });

  test("a heartbeat heals a lost acknowledgement", async () => {
    const silent = await startFollower("proxy-1", { acknowledges: false });
    const timer = setInterval(() => silent.beat(), 50);
    const answer = await call("POST", "/v1/revocations?wait=5s", { kind: "user", subject: "bob" });
    clearInterval(timer);
    expect(answer.status).toBe(200);
    expect(answer.json()).toMatchObject({ applied: { expected: 1, count: 1, missing: [] } });
  });

  test("a proxy that is leaving is not waited for", async () => {
    const silent = await startFollower("proxy-1", { acknowledges: false });
    silent.beat({ leaving: true });
    const answer = await call("POST", "/v1/revocations?wait=5s", { kind: "user", subject: "bob" });
    expect(answer.json()).toMatchObject({ applied: { expected: 0, count: 0, missing: [] } });
  });

  test("the same operation has one effect", async () => {
    const order = { kind: "token", issuer: "me", jti: "one", operation: "an-operation" };
    const first = (await call("POST", "/v1/revocations?wait=1ms", order)).json();
    const second = (await call("POST", "/v1/revocations?wait=1ms", order)).json();
    expect(second["sequence"]).toBe(first["sequence"]);
    expect((await call("GET", "/v1/revocations")).json()["revocations"]).toHaveLength(1);
  });

  test.each([
    ["no JWT", "rubbish", "token-not-usable"],
    [
      "an unknown issuer",
      `e30.${Buffer.from('{"iss":"other","jti":"x","exp":99999999999}').toString("base64url")}.x`,
      "token-not-usable",
    ],
    [
      "a wrong signature",
      `eyJhbGciOiJIUzI1NiJ9.${Buffer.from('{"iss":"me","jti":"x","exp":99999999999}').toString("base64url")}.AAAA`,
      "token-not-usable",
    ],
  ])("a token with %s is refused, and not repeated in the answer", async (_what, text, code) => {
    const answer = await call("POST", "/v1/revocations", { token: text });
    expect(answer.status).toBe(422);
    expect(answer.json()).toMatchObject({ code });
    expect(answer.text).not.toContain(text);
  });
});

test.each([
  [{ kind: "client", client: "x" }, "/clientId", "expected string"],
  [{ kind: "signing-key", issuer: "me" }, "/kid", "expected string"],
  [{ kind: "issuer", issuer: "me", issuedBefore: 99_999_999_999 }, "/issuedBefore", "future"],
  [{ kind: "api-key" }, "/id", "expected string"],
  [{ kind: "address", cidr: "10.0.0.256" }, "/cidr", "not an address"],
  [{ kind: "address", cidr: "::/0" }, "/cidr", "force"],
  [{ kind: "session", sid: "" }, "/sid", "expected string"],
  [{ kind: "token", issuer: "me" }, "/jti", "expected string"],
  [{ kind: "user" }, "/subject", "expected string"],
  [{ kind: "user", subject: "x", isuer: "me" }, "", "isuer"],
  [{ kind: "user", subject: "x", issuedBefore: 99_999_999_999 }, "/issuedBefore", "future"],
])("a revocation that makes no sense is told where and why: %j", async (order, pointer, words) => {
  const answer = await call("POST", "/v1/revocations", order);
  expect(answer.status).toBe(422);
  const [error] = answer.json().errors as { pointer: string; message: string }[];
  expect(error!.pointer).toBe(pointer);
  expect(error!.message).toContain(words);
});

test("a call that comes later is told apart from one that does not exist", async () => {
  expect((await call("GET", "/v1/events")).json()).toMatchObject({
    status: 501,
    code: "not-supported-yet",
  });
  expect((await call("GET", "/v1/config/revisions")).status).toBe(501);
  expect((await call("GET", "/v1/configs")).status).toBe(404);
});

describe("config", () => {
  const source = `version: 1\n${issuers}\nservices: { users: {} }\nroutes: [{ id: one, match: { path: /one }, service: users }]\n`;

  test("a config is applied as a revision, shown as it was written, and not applied twice", async () => {
    const first = await call("PUT", "/v1/config?wait=1ms", source, {
      "content-type": "application/yaml",
    });
    expect(first.json()).toMatchObject({ revision: 2, sequence: expect.any(Number) });
    expect(first.headers.get("etag")).toBe('"2"');
    const again = await call("PUT", "/v1/config?wait=1ms", source, {
      "content-type": "application/yaml",
    });
    expect(again.json()).toMatchObject({ revision: 2 });
    const shown = await call("GET", "/v1/config", undefined, { accept: "application/yaml" });
    expect(shown.text).toContain("id: one");
    // A secret that was written down in the config does not come back.
    expect(shown.text).not.toContain("long enough");
    expect((await call("GET", "/v1/config")).text).not.toContain("long enough");
  });

  test("If-Match with another revision is 412, and nothing is changed", async () => {
    const answer = await call("PUT", "/v1/config", source, { "if-match": '"7"' });
    expect(answer.status).toBe(412);
    expect((await call("GET", "/v1/config")).json()).toMatchObject({ revision: 1 });
  });

  test("dryRun validates and changes nothing", async () => {
    expect((await call("PUT", "/v1/config?dryRun=true", source)).json()).toEqual({
      valid: true,
      changes: true,
      revision: 1,
    });
    const wrong = await call("PUT", "/v1/config?dryRun=true", "version: 2\nroutez: []\n");
    expect(wrong.status).toBe(422);
    expect(wrong.json().errors?.map(({ pointer }) => pointer)).toEqual(["/version", "/routez"]);
    expect((await call("GET", "/v1/config")).json()).toMatchObject({ revision: 1 });
  });
});

describe("the admin API", () => {
  test("errors are problem documents: no token, wrong path, wrong method, no JSON, foreign host", async () => {
    const bare = await fetch(`${controlPlane.adminUrl}/v1/services`);
    expect(bare.status).toBe(401);
    expect(bare.headers.get("content-type")).toBe("application/problem+json");
    expect((await call("GET", "/v1/nothing")).status).toBe(404);
    const method = await call("DELETE", "/v1/revocations");
    expect(method.status).toBe(405);
    expect(method.headers.get("allow")).toContain("POST");
    expect((await call("POST", "/v1/revocations", "{nope")).status).toBe(400);
    expect((await call("PUT", "/v1/config", "x".repeat(3_000_000))).status).toBe(413);
    expect((await call("POST", "/v1/revocations?wait=soon", {})).status).toBe(400);
  });

  test("its OpenAPI document names every path, and readiness needs no token", async () => {
    const document = (await call("GET", "/openapi.json")).json() as {
      openapi: string;
      paths: object;
    };
    expect(document.openapi).toBe("3.1.0");
    expect(Object.keys(document.paths)).toContain(
      "/v1/services/{service}/instances/{instance}/renew",
    );
    expect((await fetch(`${controlPlane.adminUrl}/livez`)).status).toBe(200);
    await vi.waitFor(async () =>
      expect((await fetch(`${controlPlane.adminUrl}/readyz`)).status).toBe(200),
    );
    expect((await call("GET", "/metrics")).text).toContain('tocsin_build_info{version="1.2.3"');
  });
});

test("a control plane that is restarted knows what it knew", async () => {
  const upstream = await startUpstream();
  await call("PUT", "/v1/services/users/instances/users-1", { url: upstream.url, boot: "b" });
  await call("POST", "/v1/revocations?wait=0", { kind: "user", subject: "bob" });
  await controlPlane[Symbol.asyncDispose]();
  controlPlane = await start();
  expect(
    (await call("POST", "/v1/services/users/instances/users-1/renew", { boot: "b" })).status,
  ).toBe(200);
  expect((await call("GET", "/v1/revocations")).text).toContain("bob");
  expect((await call("GET", "/v1/config")).json()).toMatchObject({ revision: 1 });
});
