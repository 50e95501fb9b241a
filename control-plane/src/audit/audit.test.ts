/** The audit as an operator reads it: over the admin API of real nodes, on the embedded store and on NATS. */
import { mkdtemp, rm } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLog, systemClock } from "@tocsin/shared";
import { subjects, type Bus } from "@tocsin/shared/bus";
import { AuditPage, type AuditView } from "@tocsin/shared/contract";
import { createEmbeddedBus, openEmbeddedStore } from "@tocsin/shared/embedded";
import { JournalUnavailable, type Ledger } from "@tocsin/shared/journal";
import { connectNats, openNatsJournals } from "@tocsin/shared/nats";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { startNats } from "../../../test/harness/nats-server.ts";
import { soon } from "../../../test/harness/soon.ts";
import { createVirtualClock } from "../../../test/harness/virtual-clock.ts";
import { adminToken, startTestNode, type TestNode, type TestNodeOptions } from "../testing/node.ts";

const source = "version: 1\nservices: { users: {} }\n";
let stack: AsyncDisposableStack;
beforeEach(() => {
  stack = new AsyncDisposableStack();
});
afterEach(() => stack.disposeAsync());

const start = async (options: TestNodeOptions = {}) =>
  stack.use(await startTestNode({ source, ...options }));

async function page(node: TestNode, query = ""): Promise<AuditPage> {
  const answer = await node.call("GET", `/v1/audit${query}`);
  expect(answer.status, answer.text).toBe(200);
  return AuditPage.parse(answer.json());
}
const read = async (node: TestNode, query = "") => (await page(node, query)).records;
/** The oldest first, without the config of the start. */
const written = async (node: TestNode) =>
  (await read(node)).toReversed().filter(({ via }) => via !== "start");

describe("an order is written down before it is answered", () => {
  test("who, from where, what, about whom, why, with which outcome, and where it stands", async () => {
    const node = await start();
    const before = Date.now();
    const answer = await node.call(
      "POST",
      "/v1/revocations?wait=0",
      { kind: "user", subject: "ada", issuer: "https://issuer.example", reason: "left" },
      { "user-agent": "curl/8" },
    );
    const [record] = await written(node);
    expect(record).toEqual({
      position: 2,
      id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      at: expect.any(Number),
      node: "control-plane-1",
      who: expect.stringMatching(/^admin:[0-9a-f]{8}$/),
      via: "http",
      from: "127.0.0.1",
      agent: "curl/8",
      request: answer.headers["x-request-id"],
      method: "POST",
      path: "/v1/revocations",
      action: "revoke",
      target: { kind: "user", subject: "ada", issuer: "https://issuer.example" },
      reason: "left",
      outcome: "done",
      status: 202,
      operation: answer.json()["operation"],
      sequence: answer.json()["sequence"],
      epoch: answer.json()["epoch"],
      applied: { expected: 0, count: 0, ms: 0 },
    });
    expect(record!.at).toBeGreaterThanOrEqual(before);
    expect(record!.at).toBeLessThanOrEqual(Date.now());
  });

  test.each([
    ["PUT", "/v1/config", `${source}# more\n`, "applyConfig", { revision: 2 }],
    ["PUT", "/v1/config", source, "applyConfig", { revision: 1, change: "none" }],
    [
      "PUT",
      "/v1/services/users/instances/u-1",
      { url: "http://127.0.0.1:1" },
      "register",
      { service: "users", instance: "u-1", url: "http://127.0.0.1:1" },
    ],
    ["POST", "/v1/invalidations", { user: "ada" }, "invalidate", { user: "ada" }],
    ["POST", "/v1/invalidations", { all: true }, "invalidate", { all: "yes" }],
    [
      "POST",
      "/v1/revocations",
      {
        revocations: [
          { kind: "user", subject: "a" },
          { kind: "address", cidr: "192.0.2.7" },
        ],
      },
      "revoke",
      { kind: "many", count: 2, of: "1 user, 1 address" },
    ],
  ])("%s %s", async (method, path, body, action, target) => {
    const node = await start();
    const answer = await node.call(method, `${path}${method === "POST" ? "?wait=0" : ""}`, body);
    expect(answer.status, answer.text).toBeLessThan(300);
    const [record] = await written(node);
    expect(record).toMatchObject({ action, outcome: "done", status: answer.status });
    expect(record!.target).toEqual(target);
  });

  test("what was lifted is named, though only its id was given", async () => {
    const node = await start();
    await node.call("POST", "/v1/revocations?wait=0", { kind: "client", clientId: "app" });
    const list = (await node.call("GET", "/v1/revocations")).json() as unknown as {
      revocations: { id: string }[];
    };
    const id = list.revocations[0]!.id;
    await node.call("DELETE", `/v1/revocations/${id}?wait=0&reason=mistake`);
    expect((await written(node)).at(-1)).toMatchObject({
      action: "liftRevocation",
      target: { id, kind: "client", clientId: "app" },
      reason: "mistake",
    });
  });

  test("the config of a start is, once; reads, trials and probes are not", async () => {
    const node = await start();
    for (const path of [
      "/v1/config",
      "/v1/audit",
      "/metrics",
      "/openapi.json",
      "/livez",
      "/readyz",
    ])
      await node.call("GET", path);
    await node.call("HEAD", "/v1/config");
    await node.call("PUT", "/v1/config?dryRun=true", `${source}# more\n`);
    await node.call("POST", "/v1/revocations?dryRun=true", { kind: "user", subject: "ada" });
    expect(await read(node)).toMatchObject([
      { who: "start", via: "start", action: "applyConfig", target: { revision: 1, file: "test" } },
    ]);
  });

  test("also when whoever gave it does not wait for the answer", async () => {
    const node = await start();
    // A proxy is expected that never acknowledges: the order waits.
    const sent = request(new URL("/v1/invalidations?wait=300ms", node.adminUrl), {
      method: "POST",
      headers: { authorization: `Bearer ${adminToken}` },
    });
    sent.on("error", () => {});
    sent.end(JSON.stringify({ user: "ada" }), () => setTimeout(() => sent.destroy(), 1));
    await soon(async () =>
      expect(await written(node)).toMatchObject([{ action: "invalidate", outcome: "done" }]),
    );
  });
});

describe("what is refused is written down", () => {
  const big = "x".repeat(3 * 1024 * 1024);
  test.each<[string, string, string, unknown, Record<string, string>, object]>([
    [
      "a wrong token",
      "POST",
      "/v1/revocations",
      { kind: "user", subject: "ada" },
      { authorization: "Bearer wrong-wrong-wrong" },
      { who: "unknown", action: "revoke", status: 401, code: "credential-invalid" },
    ],
    [
      "no token, for a read too",
      "GET",
      "/v1/config",
      undefined,
      { authorization: "" },
      { who: "unknown", action: "showConfig", status: 401, code: "credential-missing" },
    ],
    [
      "another host",
      "GET",
      "/v1/config",
      undefined,
      { host: "attacker.example" },
      { who: "unknown", status: 421, code: "host-not-allowed" },
    ],
    [
      "a path that does not exist",
      "GET",
      "/v1/revoke/another-secret",
      undefined,
      {},
      {
        who: expect.stringMatching(/^admin:/),
        action: "unknown",
        path: "/v1/revoke/…",
        status: 404,
      },
    ],
    [
      "another method",
      "PATCH",
      "/v1/config",
      "",
      {},
      { action: "unknown", method: "PATCH", path: "/v1/config", status: 405 },
    ],
    ["no JSON", "POST", "/v1/revocations", "{", {}, { action: "revoke", status: 400 }],
    [
      "a body that is too large",
      "PUT",
      "/v1/config",
      big,
      {},
      { action: "applyConfig", status: 413, code: "body-too-large" },
    ],
    [
      "a path that cannot be decoded",
      "GET",
      "/v1/services/%zz",
      undefined,
      {},
      { who: "unknown", status: 400, code: "bad-request" },
    ],
    [
      "an instance of a service that is not there",
      "DELETE",
      "/v1/services/users/instances/u-9",
      {},
      {},
      { action: "deregister", target: { service: "users", instance: "u-9" }, status: 404 },
    ],
    [
      "a trial",
      "PUT",
      "/v1/config?dryRun=true",
      "version: 2",
      {},
      { action: "applyConfig", status: 422, code: "config-invalid" },
    ],
    [
      "a key in the place of its id",
      "DELETE",
      "/v1/api-keys/tocsin_abcdefghijkl_secretsecretsecretsecret",
      undefined,
      {},
      { action: "revokeApiKey", outcome: "refused" },
    ],
  ])("%s", async (_what, method, path, body, headers, record) => {
    const node = await start();
    const answer = await node.call(method, path, body, headers).catch(() => undefined);
    const found = (await written(node)).at(-1);
    expect(found).toMatchObject(record);
    expect(found!.outcome).toBe("refused");
    if (answer !== undefined) expect(answer.status).toBe(found!.status);
    const all = JSON.stringify([found, node.lines]);
    for (const secret of [adminToken, "wrong-wrong", "another-secret", "secretsecret"])
      expect(all).not.toContain(secret);
  });

  test("and what the journal did not take has failed", async () => {
    let away = false;
    const node = await start({
      journals: (real) => ({
        ...real,
        revocations: new Proxy(real.revocations, {
          get(target, name) {
            if (away && name === "append")
              return () => Promise.reject(new JournalUnavailable("away"));
            const value: unknown = Reflect.get(target, name, target);
            return typeof value === "function" ? (value.bind(target) as unknown) : value;
          },
        }),
      }),
    });
    away = true;
    await node.call("POST", "/v1/revocations", { kind: "user", subject: "ada" });
    expect(await written(node)).toMatchObject([
      {
        action: "revoke",
        target: { subject: "ada" },
        outcome: "failed",
        status: 503,
        code: "journal-unavailable",
        operation: expect.any(String),
      },
    ]);
  });

  test("guessing tokens fills nothing: a few by themselves, the rest as a number", async () => {
    const clock = createVirtualClock();
    const node = await start({ clock });
    const wrong = { authorization: "Bearer wrong" };
    for (let tries = 0; tries < 300; tries++)
      expect((await node.call("GET", "/v1/config", undefined, wrong)).status).toBe(401);
    await node.call("POST", "/v1/invalidations?wait=0", { all: true });
    expect(await written(node)).toHaveLength(6);
    await clock.pass(60_000);
    await soon(async () => expect(await written(node)).toHaveLength(7));
    const [last] = await read(node);
    expect(last).toMatchObject({
      who: "unknown",
      from: "127.0.0.1",
      code: "credential-invalid",
      count: 295,
      since: expect.any(Number),
    });
    const lines = node.lines.filter(({ event }) => event === "audit");
    expect(lines.length).toBeLessThan(10);
    const metrics = (await node.call("GET", "/metrics")).text;
    expect(metrics).toContain('tocsin_audit_calls_total{outcome="refused"} 300');
    // The next minute begins anew.
    await node.call("GET", "/v1/config", undefined, wrong);
    expect(await written(node)).toHaveLength(8);
  });

  test("texts of strangers stay harmless", async () => {
    const node = await start();
    const token = `eyJhbGciOiJIUzI1NiJ9.${"e".repeat(40)}.${"s".repeat(43)}`;
    await node.call(
      "POST",
      "/v1/revocations?wait=0",
      { kind: "user", subject: "a\u001b[31m\r\nb\u202e", reason: `saw ${token}` },
      { "user-agent": "A".repeat(8_000) },
    );
    const [record] = await written(node);
    expect(record).toMatchObject({
      target: { subject: "a·[31m··b·" },
      reason: "saw [redacted]",
      agent: `${"A".repeat(512)}…`,
    });
    expect(JSON.stringify(node.lines)).not.toContain("s".repeat(43));
  });
});

describe("what services ask for over the bus", () => {
  const onBus = async () => {
    const bus = stack.use(createEmbeddedBus());
    const store = stack.use(await openEmbeddedStore(":memory:", { bus, clock: systemClock }));
    const node = await start({ store: { bus, journals: store.journals, audit: store.audit } });
    return { bus, node };
  };
  const ask = (
    bus: Bus,
    verb: "register" | "renew" | "deregister",
    instance: string,
    body: object,
  ) =>
    bus.request(subjects.lease(verb, "users", instance), JSON.stringify(body), {
      timeoutMs: 5_000,
    });

  test("is written down with the service that the subject names; renewals are not", async () => {
    const { bus, node } = await onBus();
    await ask(bus, "register", "u-1", { url: "http://127.0.0.1:1", boot: "b" });
    await ask(bus, "renew", "u-1", { boot: "b" });
    await ask(bus, "renew", "u-1", { boot: "another" });
    await ask(bus, "deregister", "u-1", { boot: "b" });
    await ask(bus, "register", "u-2", { url: "nonsense" });
    const common = { who: "service:users", via: "bus" };
    await soon(async () =>
      expect(await written(node)).toMatchObject([
        { ...common, action: "register", target: { instance: "u-1" }, outcome: "done" },
        { ...common, action: "deregister", target: { service: "users" }, outcome: "done" },
        { ...common, action: "register", target: { instance: "u-2" }, status: 422 },
      ]),
    );
    expect(await read(node, "?who=service")).toHaveLength(3);
    expect(await read(node, "?who=service:content")).toHaveLength(0);
  });

  test("a service that starts over and over is a number", async () => {
    const { bus, node } = await onBus();
    for (let life = 0; life < 50; life++)
      await ask(bus, "register", "u-1", { url: "http://127.0.0.1:1", boot: `b${life}` });
    await soon(async () => expect(await written(node)).toHaveLength(20));
  });
});

describe("reading", () => {
  test("page by page, newest or oldest first, narrowed down", async () => {
    const node = await start();
    for (let each = 0; each < 7; each++)
      await node.call("POST", "/v1/invalidations?wait=0", { user: `u${each}` });
    await node.call("PUT", "/v1/config", "version: 2");
    const users = (records: readonly AuditView[]) => records.map(({ target }) => target?.["user"]);

    const first = await page(node, "?limit=3&action=invalidate");
    expect(users(first.records)).toEqual(["u6", "u5", "u4"]);
    const second = await page(node, `?limit=3&action=invalidate&before=${first.next}`);
    expect(users(second.records)).toEqual(["u3", "u2", "u1"]);
    const third = await page(node, `?limit=3&action=invalidate&before=${second.next}`);
    expect([users(third.records), third.next]).toEqual([["u0"], undefined]);

    const oldest = await page(node, "?limit=2&after=0");
    expect(oldest.records.map(({ action }) => action)).toEqual(["applyConfig", "invalidate"]);
    expect(await page(node, `?after=${oldest.next}&limit=1000`)).toMatchObject({
      records: { length: 7 },
    });
    const head = (await read(node))[0]!.position;
    expect(await page(node, `?after=${head}`)).toEqual({ records: [], next: head });
    expect(await page(node, "?after=0&who=nobody")).toEqual({ records: [], next: head });

    expect(await read(node, "?outcome=refused")).toMatchObject([{ code: "config-invalid" }]);
    expect(await read(node, `?since=${Date.now() + 1_000}`)).toEqual([]);
    expect(await read(node, "?until=2001-01-01T00:00:00Z")).toEqual([]);
    expect(await read(node, `?since=${new Date(Date.now() - 60_000).toISOString()}`)).toHaveLength(
      9,
    );
  });

  test.each([
    "limit=0",
    "limit=1001",
    "before=x",
    "after=-1",
    "before=1&after=1",
    "since=yesterday",
    "until=5m",
    "outcome=ok",
    "action=",
    "who=a&who=b",
    "actions=revoke",
  ])("?%s is refused, and told what is allowed", async (query) => {
    const node = await start();
    const answer = await node.call("GET", `/v1/audit?${query}`);
    expect(answer.json()).toMatchObject({ status: 400, code: "bad-request" });
    expect(String(answer.json()["detail"])).toMatch(/allowed|goes from/);
  });

  test("what is no record of ours does not hide the others", async () => {
    const bus = stack.use(createEmbeddedBus());
    const store = stack.use(await openEmbeddedStore(":memory:", { bus, clock: systemClock }));
    const node = await start({ store: { bus, journals: store.journals, audit: store.audit } });
    await store.audit.append({ key: "record", body: "{" });
    await store.audit.append({ key: "record", body: '{"v":1}' });
    await node.call("POST", "/v1/invalidations?wait=0", { all: true });
    expect(await page(node)).toMatchObject({ records: { length: 2 }, unreadable: 2 });
  });

  test("a node that keeps none says where it is", async () => {
    const node = await start({ audit: () => undefined });
    expect((await node.call("GET", "/v1/audit")).json()).toMatchObject({
      status: 503,
      code: "audit-unavailable",
      detail: expect.stringContaining("log"),
    });
    expect(node.lines.filter(({ event }) => event === "audit")).toMatchObject([
      { action: "applyConfig", outcome: "done" },
      { action: "showAudit", outcome: "failed" },
    ]);
  });
});

test("a store that takes nothing holds up no order; what was written meanwhile is kept when it is back", async () => {
  let away = false;
  const node = await start({
    audit: (real): Ledger =>
      new Proxy(real!, {
        get(target, name) {
          if (away && name === "append")
            return () => Promise.reject(new JournalUnavailable("the disk is full"));
          const value: unknown = Reflect.get(target, name, target);
          return typeof value === "function" ? (value.bind(target) as unknown) : value;
        },
      }),
  });
  away = true;
  const begin = performance.now();
  for (let each = 0; each < 40; each++) {
    const answer = await node.call("POST", "/v1/invalidations?wait=0", { user: `u${each}` });
    expect(answer.status).toBe(202);
  }
  // The first one waited for it, and nobody after that.
  expect(performance.now() - begin).toBeLessThan(3_000);
  const metrics = (await node.call("GET", "/metrics")).text;
  expect(metrics).toContain("tocsin_audit_waiting 40");
  expect(metrics).toMatch(/tocsin_audit_failures_total [1-9]/);
  expect(node.lines.filter(({ event }) => event === "audit")).toHaveLength(41);
  const errors = node.lines.filter(
    ({ level, message }) => level === "error" && /audit/.test(String(message)),
  );
  expect(errors).toMatchObject([{ cause: "the disk is full" }]);
  away = false;
  await soon(async () => expect(await written(node)).toHaveLength(40));
  const seen = (await written(node)).map(({ target }) => target!["user"]);
  expect(new Set(seen).size).toBe(40);
});

test("standalone it survives a restart, and what was counted is written before the end", async () => {
  const directory = await mkdtemp(join(tmpdir(), "tocsin-audit-"));
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  const life = async (run: (node: TestNode) => Promise<void>) => {
    await using bus = createEmbeddedBus();
    await using store = await openEmbeddedStore(directory, { bus, clock: systemClock });
    await using node = await startTestNode({ source, store: { bus, ...store } });
    await run(node);
  };
  await life(async (node) => {
    for (let tries = 0; tries < 8; tries++)
      await node.call("GET", "/v1/config", undefined, { authorization: "Bearer wrong" });
    await node.call("POST", "/v1/invalidations?wait=0", { user: "ada" });
  });
  await life(async (node) => {
    const records = await written(node);
    expect(records.map(({ action, count = 1 }) => [action, count])).toEqual([
      ...Array.from({ length: 5 }, () => ["showConfig", 1]),
      ["invalidate", 1],
      ["showConfig", 3],
    ]);
  });
});

test("in a cluster every node tells of all of them, and what happened while NATS was away comes after", async () => {
  const nats = stack.use(await startNats());
  const node = async (name: string) => {
    const common = { clock: systemClock, log: silentLog };
    const bus = stack.use(
      await connectNats({ ...common, servers: [nats.url], node: name, role: "control-plane" }),
    );
    const store = stack.use(await openNatsJournals({ ...common, bus, deadlineMs: 1_000 }));
    return stack.use(await startTestNode({ node: name, store: { bus, ...store } }));
  };
  const [one, two] = [await node("control-plane-1"), await node("control-plane-2")];
  await one.call("POST", "/v1/invalidations?wait=0", { user: "ada" });
  await two.call("POST", "/v1/invalidations?wait=0", { user: "bob" });
  for (const each of [one, two])
    expect(await written(each)).toMatchObject([
      { node: "control-plane-1", target: { user: "ada" } },
      { node: "control-plane-2", target: { user: "bob" } },
    ]);

  await nats.kill("SIGKILL");
  const answer = await one.call("POST", "/v1/invalidations?wait=0", { user: "eve" });
  expect(answer.status).toBe(503);
  expect((await one.call("GET", "/v1/audit")).json()).toMatchObject({ status: 503 });
  await nats.restart();
  for (const each of [one, two])
    await soon(
      async () =>
        expect((await written(each)).at(-1)).toMatchObject({
          node: "control-plane-1",
          target: { user: "eve" },
          outcome: "failed",
          code: "journal-unavailable",
        }),
      15_000,
    );
}, 60_000);
