/** API keys through the whole gateway: what clients, upstreams and operators see of them, and what nobody ever sees. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { digestOfKey } from "@tocsin/shared/api-keys";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { modes, startGateway, type Gateway } from "../harness/gateway.ts";
import { startOrigin, type Origin } from "../harness/origin.ts";
import { soon } from "../harness/soon.ts";
import { issuerConfig, token } from "../harness/tokens.ts";
import { startWebSocketService, type WebSocketService } from "../harness/websocket-service.ts";

describe.each(modes)("API keys, %s", (mode) => {
  let gateway: Gateway;
  let origin: Origin;
  let chat: WebSocketService;
  const stack = new AsyncDisposableStack();
  /** Every key that was ever told. */
  const told: string[] = [];

  beforeAll(async () => {
    origin = stack.use(await startOrigin());
    chat = stack.use(await startWebSocketService());
    gateway = stack.use(
      await startGateway(mode, {
        config: `version: 1
environment: development
${issuerConfig}  apiKeys: {}
services:
  users: { instances: [{ url: "${origin.url}" }] }
  chat: { instances: [{ url: "${chat.url}" }] }
routes:
  - { id: keys, match: { path: "/keys/*" }, service: users, auth: { mode: required, via: [api-key] } }
  - { id: any, match: { path: "/any/*" }, service: users, auth: required }
  - { id: admin, match: { path: "/admin/*" }, service: users, auth: { mode: required, roles: { any: [admin] } } }
  - { id: tokens, match: { path: "/tokens/*" }, service: users, auth: { mode: optional, via: [jwt] } }
  - { id: open, match: { path: "/open/*" }, service: users, auth: none }
  - { id: chat, match: { path: "/chat" }, service: chat, auth: required, websocket: {} }
`,
      }),
    );
    const anyone = await token();
    await soon(async () => {
      for (const answer of await gateway.askAll("/any/1", { token: anyone }))
        expect(answer.status).toBe(200);
    });
  }, 60_000);
  afterAll(() => stack.disposeAsync());

  const all = <T>(value: T) => gateway.urls.map(() => value);
  const answers = async (key: string, path = "/keys/1") =>
    (await gateway.askAll(path, { headers: { "X-API-Key": key } })).map((answer) =>
      answer.status === 200 ? 200 : answer.json()["code"],
    );
  const keyOf = (result: { stdout: string; stderr: string; code: number | null }) => {
    expect(result.stdout).toMatch(/^tocsin_[a-z2-7]{12}_[\w-]{43}[0-9A-Za-z]{6}\n$/);
    expect(result.code).toBe(0);
    const key = result.stdout.trim();
    told.push(key);
    return { key, id: key.slice(7, 19) };
  };
  const create = async (...args: string[]) =>
    keyOf(await gateway.tocsin("keys", "create", ...args));

  test("a key lets its principal in everywhere when the command returns, and no upstream gets it", async () => {
    const made = await gateway.tocsin(
      "keys",
      "create",
      "billing",
      "--role",
      "reader",
      "--scope",
      "orders:read",
    );
    const { key, id } = keyOf(made);
    expect(made.stderr).toMatch(/^durable +catalogue \d+/m);
    expect(made.stderr).toMatch(/^applied +(\d)\/\1 prox/m);
    expect(made.stderr).not.toContain(key.slice(20, 63));
    const before = origin.seen.length;
    expect(await answers(key)).toEqual(all(200));
    expect(await answers(key, "/any/1")).toEqual(all(200));
    const seen = origin.seen.slice(before);
    expect(seen).toHaveLength(2 * gateway.urls.length);
    for (const { headers } of seen) {
      expect(headers).toMatchObject({
        "x-user-id": "billing",
        "x-user-roles": "reader",
        "x-user-scopes": "orders:read",
        "x-auth-method": "api-key",
      });
      expect(headers).not.toHaveProperty("x-api-key");
    }
    expect(await answers(key, "/admin/1")).toEqual(all("forbidden"));
    expect(await answers(key, "/tokens/1")).toEqual(all("credential-invalid"));
    const list = await gateway.tocsin("keys", "list");
    expect(list.stdout).toMatch(new RegExp(`^${id} +billing +active .*reader +orders:read$`, "m"));
  });

  test("the key is taken out where nobody looks at it, too", async () => {
    const before = origin.seen.length;
    for (const spelling of ["x-api-key", "X-API-KEY"])
      for (const answer of await gateway.askAll("/open/1", { headers: { [spelling]: "anything" } }))
        expect(answer.status).toBe(200);
    for (const { headers } of origin.seen.slice(before))
      expect(Object.keys(headers).filter((name) => /api.key/.test(name))).toEqual([]);
    for (const answer of await gateway.askAll("/open/1", { headers: { x_api_key: "anything" } }))
      expect(answer.status).toBe(400);
  });

  test("a key and a token together are a bad request; no key is a missing credential", async () => {
    const { key } = await create("both");
    const both = { token: await token(), headers: { "x-api-key": key } };
    for (const answer of await gateway.askAll("/any/1", both))
      expect([answer.status, answer.json()["code"]]).toEqual([400, "bad-request"]);
    for (const answer of await gateway.askAll(`/any/1?x-api-key=${key}&api_key=${key}`)) {
      expect([answer.status, answer.json()["code"]]).toEqual([401, "credential-missing"]);
      expect(answer.headers["www-authenticate"]).toBe('Bearer realm="tocsin"');
    }
    const wrong = await gateway.askAll("/any/1", {
      headers: { "x-api-key": `${key.slice(0, -1)}!` },
    });
    for (const answer of wrong)
      expect(answer.headers["www-authenticate"]).toBe(
        'Bearer realm="tocsin", error="invalid_token", error_description="The credential is not valid"',
      );
  });

  test("a WebSocket is opened with a key, which the service does not get", async () => {
    const { key } = await create("talker");
    const open = (shown: string) => {
      const url = `${gateway.urls[0]!.replace("http", "ws")}/chat`;
      const options = { headers: { "x-api-key": shown } };
      // Node's own client takes fields of the handshake, which browsers do not.
      const socket = new WebSocket(url, options);
      const { promise, resolve } = Promise.withResolvers<string>();
      socket.addEventListener("open", () => resolve("open"));
      socket.addEventListener("error", () => resolve("refused"));
      return { socket, opened: promise };
    };
    const talking = open(key);
    expect(await talking.opened).toBe("open");
    const { headers } = chat.handshakes.at(-1)!;
    expect(headers).toMatchObject({ "x-user-id": "talker", "x-auth-method": "api-key" });
    expect(headers).not.toHaveProperty("x-api-key");
    talking.socket.close();
    expect(await open(`${key}x`).opened).toBe("refused");
    expect(chat.handshakes).toHaveLength(1);
  });

  test("a rotated key has two secrets for a while, and never three", async () => {
    const { key: first, id } = await create("--principal", "rotating");
    const rotate = async (overlap: string) =>
      keyOf(await gateway.tocsin("keys", "rotate", id, "--overlap", overlap)).key;
    const second = await rotate("1h");
    expect(await answers(first)).toEqual(all(200));
    expect(await answers(second)).toEqual(all(200));
    const third = await rotate("1h");
    expect(await answers(first)).toEqual(all("credential-invalid"));
    expect(await answers(second)).toEqual(all(200));
    expect(await answers(third)).toEqual(all(200));
    const fourth = await rotate("0");
    expect(await answers(third)).toEqual(all("credential-expired"));
    expect(await answers(fourth)).toEqual(all(200));
  });

  test("an overlap and a key end by themselves", async () => {
    const { key: first, id } = await create("short", "--expires-in", "1h");
    await gateway.tocsin("keys", "rotate", id, "--overlap", "1s").then(keyOf);
    await soon(async () => expect(await answers(first)).toEqual(all("credential-expired")));
    const { key } = await create("shorter", "--expires-in", "2s");
    expect(await answers(key)).toEqual(all(200));
    await soon(async () => expect(await answers(key)).toEqual(all("credential-expired")));
  });

  test("a key that is used is told within seconds, to the minute", async () => {
    const { key, id } = await create("used");
    const shown = async () =>
      (await gateway.admin("GET", `/v1/api-keys/${id}`)).json() as { lastUsedAt?: number };
    expect(await shown()).not.toHaveProperty("lastUsedAt");
    expect(await answers(key)).toEqual(all(200));
    await soon(async () => {
      const { lastUsedAt } = await shown();
      expect(lastUsedAt! % 60).toBe(0);
      expect(Math.abs(Date.now() / 1_000 - lastUsedAt!)).toBeLessThan(61);
    });
  });

  test("a repeated order shows no other secret", async () => {
    const order = ["keys", "create", "repeated", "--operation", `make-${mode}`] as const;
    const { key } = keyOf(await gateway.tocsin(...order));
    const again = await gateway.tocsin(...order);
    expect(again).toMatchObject({ code: 1, stdout: "" });
    expect(again.stderr).toContain("its secret was shown then");
    expect(await answers(key)).toEqual(all(200));
    const json = await gateway.tocsin(...order, "--json");
    expect(JSON.parse(json.stdout)).toMatchObject({ id: key.slice(7, 19), repeated: true });
    expect(json.stdout).not.toContain('"key"');
  });

  test("a revoked key is refused everywhere when the command returns, after a restart of everything too", async () => {
    const { key: revoked, id } = await create("mallory");
    const { key: kept } = await create("ada");
    expect(await answers(revoked)).toEqual(all(200));
    const result = await gateway.tocsin("keys", "revoke", id, "--reason", "leaked", "--json");
    const refused = await answers(revoked);
    expect(refused).toEqual(all("credential-revoked"));
    const { durableMs, applied } = JSON.parse(result.stdout) as {
      durableMs: number;
      applied: { ms: number; count: number };
    };
    expect(applied.count).toBe(gateway.urls.length);
    console.log(
      `${mode}: revoked, durable ${durableMs} ms, on ${applied.count} in ${applied.ms} ms`,
    );
    const rotation = await gateway.tocsin("keys", "rotate", id);
    expect(rotation).toMatchObject({ code: 1, stdout: "" });
    expect(rotation.stderr).toMatch(/revoked/);

    await gateway.restartAll("SIGKILL");
    await soon(async () => expect(await answers(kept)).toEqual(all(200)), 10_000);
    expect(await answers(revoked)).toEqual(all("credential-revoked"));
    const shown = (await gateway.admin("GET", `/v1/api-keys/${id}`)).json();
    expect(shown).toMatchObject({ state: "revoked" });
    const listed = await gateway.tocsin("keys", "list");
    expect(listed.stdout).not.toContain(id);
    expect((await gateway.tocsin("keys", "list", "--all")).stdout).toContain(id);
  }, 60_000);

  test("a key can be taken back by its id alone, among the other orders, and not be given back", async () => {
    const { key, id } = await create("trudy");
    const result = await gateway.tocsin("revoke", "api-key", id, "--reason", "leaked");
    expect(await answers(key)).toEqual(all("credential-revoked"));
    expect(result.code).toBe(0);
    await soon(async () => {
      const shown = (await gateway.admin("GET", `/v1/api-keys/${id}`)).json();
      expect(shown).toMatchObject({ state: "revoked" });
    }, 15_000);
    const { revocations } = (await gateway.admin("GET", "/v1/revocations")).json() as {
      revocations: { id: string; key?: string }[];
    };
    const lifted = await gateway.tocsin(
      "revocations",
      "lift",
      revocations.find((one) => one.key === id)!.id,
    );
    expect(lifted.code).toBe(1);
    expect(await answers(key)).toEqual(all("credential-revoked"));
  }, 30_000);

  test("keys of a user who was revoked are gone for good, those made later are not", async () => {
    const { key, id } = await create("eve");
    await gateway.tocsin("revoke", "user", "eve");
    expect(await answers(key)).toEqual(all("credential-revoked"));
    await soon(async () => {
      const shown = (await gateway.admin("GET", `/v1/api-keys/${id}`)).json();
      expect(shown).toMatchObject({ state: "revoked" });
    }, 15_000);
    // A mark covers the second in which it was set.
    await soon(async () => {
      const { key: later } = await create("eve");
      expect(await answers(later)).toEqual(all(200));
    });
  }, 30_000);

  test("no secret stands in anything that was written down", () => {
    const programs =
      mode === "standalone"
        ? [gateway.controlPlane()]
        : [gateway.controlPlane(), ...gateway.proxies()];
    const folders = programs.map(({ environment }) => environment["TOCSIN_STATE_DIR"]!);
    if (gateway.nats !== undefined) folders.push(gateway.nats.storeDirectory);
    const texts = folders.flatMap(filesIn).map((file) => readFileSync(file, "latin1"));
    texts.push(...programs.map((program) => program.log()), gateway.nats?.output() ?? "");
    expect(told.length).toBeGreaterThan(10);
    // What is looked for is there in another form, so what is looked through is the right thing.
    expect(texts.some((text) => text.includes(digestOfKey(told[0]!)))).toBe(true);
    for (const key of told)
      for (const text of texts) expect(text.includes(key.slice(20, 63))).toBe(false);
  });
});

/** A control plane of a cluster keeps nothing on its disk. */
function filesIn(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}
