/**
 * No secret gets out: the whole gateway works for a while, talkative, with good and bad credentials of every kind, and with orders and
 * configs that are wrong where the secret stands. Then every byte that it has written or answered is looked through.
 */
import { writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { breakGlassConfig, connectBreakGlass } from "../faults/break-glass.ts";
import { ask, type RequestOptions } from "../harness/client.ts";
import { adminToken, modes, passwords, startGateway, type Gateway } from "../harness/gateway.ts";
import { freePort, startProcess, startRedis, type RedisServer } from "../harness/index.ts";
import { openAnswer, openWebSocket } from "../harness/open.ts";
import { startOrigin } from "../harness/origin.ts";
import { runTocsin, temporaryDirectory, tocsin } from "../harness/program.ts";
import { soon } from "../harness/soon.ts";
import { audience, issuer, secret as hmacInline, token } from "../harness/tokens.ts";
import { startWebSocketService } from "../harness/websocket-service.ts";
import { everyEntry, everyKey, filesIn, rowsIn } from "./kept-bytes.ts";
import { Secrets } from "./secrets.ts";

/** Long, and like nothing else. */
const madeUp = (name: string) => `${name}-${crypto.randomUUID()}-${crypto.randomUUID()}`;

/** Proxies verify with it, so it is in the config that they are sent and keep. Whoever may read that may sign (docs/guides/operate.md). */
const catalogueAlone = /^(state|store|journal) .*(catalogue|journal\.sqlite)/i;

test("a secret is found in whatever spelling, in parts too, and nowhere else", () => {
  const secrets = new Secrets();
  const text = secrets.add("it", 'q"Zx/9+k~4 mB7w-Rt2_Lp8');
  const bytes = Buffer.from(text);
  for (const spelling of [
    text,
    text.slice(0, 19),
    text.slice(-19),
    JSON.stringify({ a: text }),
    encodeURIComponent(text),
    bytes.toString("hex"),
    bytes.toString("base64"),
    Buffer.from(`user:${text}:x`).toString("base64url"),
    Buffer.from(`users:${text}`).toString("base64"),
  ])
    expect([spelling, secrets.seenIn("here", `before${spelling}behind`).length]).toEqual([
      spelling,
      1,
    ]);
  expect(secrets.seenIn("here", `before ${text.slice(0, 12)} behind`)).toEqual([]);
});

describe.each(modes)("no secret of a gateway is seen anywhere, %s", (mode) => {
  const stack = new AsyncDisposableStack();
  const secrets = new Secrets();
  /** What was said to whoever asked, by where. */
  const said: (readonly [place: string, text: string])[] = [];
  let gateway: Gateway;
  let redis: RedisServer;
  let directory: string;
  let config: (more?: object) => Record<string, unknown>;

  const redisPassword = secrets.add("the password of Redis", madeUp("redis"));
  const hmacEnvironment = secrets.add(
    "a secret by the environment",
    madeUp("hmac"),
    catalogueAlone,
  );
  secrets.add("a secret in the config", hmacInline, catalogueAlone);
  secrets.add("the admin token", adminToken);
  for (const [name, password] of Object.entries(passwords)) secrets.add(name, password);

  beforeAll(async () => {
    directory = stack.use(temporaryDirectory()).path;
    const chat = stack.use(await startWebSocketService());
    const origin = stack.use(
      await startOrigin((request, response) => {
        request.resume();
        const stream = request.url!.startsWith("/api/events");
        response.writeHead(200, { "content-type": stream ? "text/event-stream" : "text/plain" });
        if (stream) response.write("data: hello\n\n");
        else response.end("ok");
      }),
    );
    redis = stack.use(await startRedis({ args: [`--requirepass "${redisPassword}"`] }));
    const nobody = await freePort();
    config = (more = {}) => ({
      version: 1,
      environment: "development",
      listen: { trustedProxies: ["127.0.0.1"] },
      identity: {
        issuers: [
          { issuer, audience, algorithms: ["HS256"], secret: hmacInline },
          { issuer: "other", audience, algorithms: ["HS256"], secret: "${HMAC_SECRET}" },
          {
            issuer: "away",
            audience,
            algorithms: ["ES256"],
            jwks: { url: `http://127.0.0.1:${nobody}/keys` },
          },
        ],
        apiKeys: {},
        sessions: { cookie: "sid", ttl: "1h" },
      },
      services: {
        chat: { instances: [{ url: chat.url }] },
        files: { instances: [{ url: origin.url }] },
        dead: { instances: [{ url: `http://127.0.0.1:${nobody}` }] },
      },
      routes: [
        {
          id: "chat",
          match: { path: "/chat/*" },
          service: "chat",
          auth: "required",
          websocket: {},
        },
        { id: "dead", match: { path: "/dead/*" }, service: "dead", auth: "required" },
        {
          id: "body",
          match: { path: "/body", body: { "/plan": "gold" } },
          service: "files",
          auth: "required",
        },
        {
          id: "admins",
          match: { path: "/admins/*" },
          service: "files",
          auth: { mode: "required", roles: { any: ["admin"] } },
        },
        { id: "api", match: { path: "/*" }, service: "files", auth: "required" },
      ],
      ...more,
    });
    gateway = stack.use(
      await startGateway(mode, {
        config: JSON.stringify(config()),
        natsConfig: breakGlassConfig(directory),
        environment: {
          HMAC_SECRET: hmacEnvironment,
          TOCSIN_LOG_LEVEL: "debug",
          ...(mode === "standalone"
            ? {}
            : {
                TOCSIN_REDIS_URL: `redis://:${redisPassword}@127.0.0.1:${redis.port}/0`,
                TOCSIN_WORKERS: "2",
              }),
        },
      }),
    );
    const warm = await token();
    await soon(async () => {
      for (const { status } of await gateway.askAll("/api/x", { token: warm }))
        expect(status).toBe(200);
    });
  }, 60_000);
  afterAll(() => stack.disposeAsync());

  /** A request to each proxy, whose answers are kept. */
  async function send(path: string, options: RequestOptions = {}): Promise<number[]> {
    const answers = await gateway.askAll(path, options);
    for (const { status, headers, text } of answers)
      said.push([`the answer to ${path}`, `${status} ${JSON.stringify(headers)} ${text}`]);
    return answers.map(({ status }) => status);
  }

  /** A call of the admin API whose answer is kept. */
  async function call(method: string, path: string, body?: unknown, options: RequestOptions = {}) {
    const text = body === undefined || typeof body === "string" ? body : JSON.stringify(body);
    const answer = await ask(gateway.environment["TOCSIN_ADMIN_URL"]!, path, {
      method,
      token: adminToken,
      ...(text === undefined ? {} : { body: text }),
      ...options,
      headers: { "content-type": "application/json", ...options.headers },
    });
    said.push([
      `the answer to ${method} ${path.slice(0, 30)}`,
      `${answer.status} ${JSON.stringify(answer.headers)} ${answer.text}`,
    ]);
    return answer;
  }

  /** One that is the home of a secret: its answer is not looked through. */
  async function told(path: string, body: object): Promise<Record<string, unknown>> {
    const answer = await gateway.admin("POST", path, body);
    expect(answer.status).toBeLessThan(300);
    return answer.json();
  }

  async function run(environment: Record<string, string>, args: string[], input?: string) {
    const { code, stdout, stderr } = await runTocsin(args, environment, input);
    said.push([`tocsin ${args.slice(0, 3).join(" ")}`, stdout + stderr]);
    return code;
  }

  /** Bytes as they are, to each proxy. */
  async function raw(text: string): Promise<void> {
    for (const url of gateway.urls) {
      const { port } = new URL(url);
      const answer = await new Promise<string>((resolve) => {
        let received = "";
        const socket = connect(Number(port), "127.0.0.1", () => socket.end(text));
        socket.on("data", (bytes) => (received += bytes.toString("latin1")));
        socket.on("error", () => {});
        // Of some it waits for more.
        socket.setTimeout(500, () => socket.destroy());
        socket.on("close", () => resolve(received));
      });
      said.push(["the answer to bytes", answer]);
    }
  }

  const bearer = (text: string) => ({ headers: { authorization: `Bearer ${text}` } });
  const basic = (text: string) => ({
    headers: { authorization: `Basic ${Buffer.from(`user:${text}`).toString("base64")}` },
  });

  test("requests, good and bad, with each kind of credential in each place", async () => {
    const good = secrets.addToken("a good token", await token({ subject: "ada" }));
    const streamed = secrets.addToken("a token of a stream", await token({ subject: "eve" }));
    const expired = secrets.addToken("an expired token", await token({ issuedAt: 1_700_000_000 }));
    const forged = secrets.addToken(
      "a forged token",
      `${good.slice(0, -43)}${"x".repeat(21)}${madeUp("")}`.slice(0, good.length),
    );
    const { key } = await told("/v1/api-keys", { principal: "robot" });
    const { cookie } = await told("/v1/sessions", { subject: "bob" });
    const apiKey = secrets.addKey("an API key", String(key));
    const session = secrets.add("the secret of a session", String(cookie).split(".")[1]!);
    const password = secrets.add("somebody's password", madeUp("password"));

    expect(await send("/api/x", bearer(good))).toEqual(gateway.urls.map(() => 200));
    expect(await send("/api/x", { headers: { "x-api-key": apiKey } })).toContain(200);
    expect(await send("/api/x", { headers: { cookie: `sid=${String(cookie)}` } })).toContain(200);
    for (const text of [good, expired, forged, apiKey, session, adminToken, hmacInline, password]) {
      await send("/api/x", bearer(text));
      await send("/api/x", basic(text));
      await send("/admins/x", bearer(text));
      await send("/nobody-knows", { headers: { authorization: text.replaceAll(/[^\w.-]/g, "") } });
      await send(`/api/x?access_token=${encodeURIComponent(text)}`);
      await send(`/api/x?a=%zz&access_token=${encodeURIComponent(text)}`);
      await send("/api/x", { headers: { "x-api-key": text } });
      await send("/api/x", { headers: { "x-api-key": text, authorization: `Bearer ${text}` } });
      await send("/api/x", { headers: { cookie: `sid=${encodeURIComponent(text)}` } });
      await send("/api/x", { headers: { cookie: `sid=a.b; sid=${encodeURIComponent(text)}` } });
      await send("/api/x", {
        headers: {
          x_api_key: text,
          "x-access-token": text,
          "proxy-authorization": `Bearer ${text}`,
        },
      });
      await send("/api/x", {
        method: "POST",
        ...bearer(good),
        headers: { cookie: `sid=${encodeURIComponent(text)}`, origin: "https://evil.example" },
      });
      await send("/dead/x", { ...bearer(good), method: "POST", body: `password=${text}` });
      await send("/body", {
        method: "POST",
        body: `{"plan": ${text}`,
        headers: { authorization: `Bearer ${good}`, "content-type": "application/json" },
      });
      // The good one would become a WebSocket.
      if (text !== good)
        await send("/chat/", {
          headers: {
            connection: "Upgrade",
            upgrade: "websocket",
            "sec-websocket-version": "13",
            "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
            "sec-websocket-protocol": text.replaceAll(/[^\w.-]/g, ""),
            authorization: `Bearer ${text}`,
          },
        });
      const field = `Authorization: Bearer ${text}\r\n`;
      await raw(`GET /api/x HTTP/1.1\r\nHost: a\r\n${field}no field at all\r\n\r\n`);
      await raw(`GET /api/x?access_token=${text} HTTP/1.1\r\n${field}${field}\r\n`);
      await raw(`GET http://user:${text}@localhost/ HTTP/1.1\r\nHost: localhost\r\n${field}\r\n`);
      await raw(
        `GET / HTTP/1.1\r\nHost: user:${text}@localhost\r\nConnection: authorization\r\n${field}\r\n`,
      );
      await raw(`${text}\r\n\r\n`);
      await raw(
        `POST /api/x HTTP/1.1\r\nHost: localhost\r\n${field}Transfer-Encoding: chunked\r\n\r\n${text}\r\n`,
      );
    }
    const open = await Promise.all(
      gateway.urls.flatMap((url) => [
        openWebSocket(url, "/chat/", bearer(streamed).headers),
        openAnswer(url, "/api/events", bearer(streamed).headers),
      ]),
    );
    expect((await call("POST", "/v1/revocations", { token: streamed })).status).toBe(200);
    await Promise.all(open.map(({ ended }) => ended));
    await send("/api/x", bearer(streamed));
  }, 120_000);

  test("orders, good and bad, with a secret in each place", async () => {
    const revoked = secrets.addToken("a revoked token", await token({ subject: "mallory" }));
    const made = await told("/v1/api-keys", { principal: "robot-2" });
    const rotated = await told(`/v1/api-keys/${String(made["id"])}/rotate`, {});
    const ended = await told("/v1/sessions", { subject: "carol" });
    const apiKey = secrets.addKey("a rotated API key", String(rotated["key"]));
    secrets.addKey("the API key before", String(made["key"]));
    const cookie = String(ended["cookie"]);
    secrets.add("the secret of a session that was ended", cookie.split(".")[1]!);
    const forged = secrets.addToken(
      "a token that is none",
      `${revoked.slice(0, -43)}${"y".repeat(43)}`,
    );
    const password = secrets.add("a password in an order", madeUp("password"));

    expect((await call("POST", "/v1/revocations?dryRun=true", { token: revoked })).status).toBe(
      200,
    );
    expect(
      (await call("POST", "/v1/revocations", { token: revoked, reason: "leaked" })).status,
    ).toBe(200);
    for (const text of [revoked, forged, apiKey, cookie, adminToken, hmacInline, password]) {
      const word = encodeURIComponent(text);
      const isKnown = [revoked, forged, apiKey, cookie].includes(text);
      for (const body of [
        { token: text, reasons: text },
        { token: [text] },
        { tokens: text },
        { revocations: [{ token: text, kind: "token" }, { kind: text }] },
        // What looks like no credential may be the name of a session: that of somebody else's tokens.
        ...(isKnown ? [{ kind: "session", sid: text }] : []),
        { kind: "api-key", id: text },
        { kind: "address", cidr: text },
        { kind: "user", subject: { name: text } },
        { kind: text },
        [text],
        `{"token": "${text}"`,
        `{"token": ${text}}`,
        text,
      ])
        await call("POST", "/v1/revocations?dryRun=true", body);
      if (text !== revoked) await call("POST", "/v1/revocations", { token: text });
      await call("POST", "/v1/revocations", `{"token": "${text}"}\n{"token": ${text}\n`, {
        headers: { "content-type": "application/x-ndjson" },
      });
      await call("POST", "/v1/revocations", text, { headers: { "content-type": "text/plain" } });
      await call(
        "POST",
        "/v1/revocations",
        { token: text },
        { headers: { "idempotency-key": text } },
      );
      await call("POST", "/v1/invalidations", { user: [text] });
      await call("POST", "/v1/sessions", { subject: "x", sid: text, lifetime: text });
      await call("POST", "/v1/api-keys", { principal: "x", key: text, id: text, roles: text });
      await call("PUT", "/v1/services/files/instances/one", {
        url: `http://user:${text}@127.0.0.1:1/`,
      });
      await call("PUT", "/v1/services/files/instances/one", {
        url: `http://user:${text}@127.0.0.1:1/path`,
      });
      // Whoever asks for a name that there is not reads it in the answer; what is recognised as a credential he does not.
      for (const [method, path] of [
        ["DELETE", `/v1/sessions/${word}`],
        ["GET", `/v1/sessions?session=${word}`],
        ["GET", `/v1/api-keys/${word}`],
        ["DELETE", `/v1/api-keys/${word}`],
        ["POST", `/v1/api-keys/${word}/rotate`],
        ["DELETE", `/v1/revocations/${word}`],
        ["GET", `/v1/revocations?limit=${word}`],
        ["GET", `/v1/audit?limit=${word}`],
        ["GET", `/v1/nothing/${word}`],
        ["GET", `/v1/nothing?access_token=${word}`],
        ["GET", `/v1/services/${word}`],
      ] as const)
        if (isKnown || path.includes("?")) await call(method, path);
      // Whoever has no right.
      await call("GET", `/v1/config?token=${word}`, undefined, {
        token: `x${text.replaceAll(/[^\w.-]/g, "")}`,
      });
      await call("GET", "/v1/config", undefined, { token: "", ...basic(text) });
    }
    const file = join(directory, "revoke.txt");
    writeFileSync(file, [revoked, forged, `{"token": "${forged}"`, `${forged} a b`].join("\n"));
    const { environment } = gateway;
    await run(environment, ["revoke", "token", revoked]);
    await run(environment, ["revoke", "token", forged]);
    await run(environment, ["revoke", "token", "--file", file]);
    await run(environment, ["revoke", "token", "--file", file, "--json"]);
    await run(environment, ["revoke", "token", "-"], forged);
    // Whatever was pasted, it is the session and the key that end.
    expect(await run(environment, ["revoke", "session", cookie])).toBe(0);
    expect(await run(environment, ["revoke", "api-key", apiKey])).toBe(0);
    expect(await send("/api/x", { headers: { cookie: `sid=${cookie}` } })).not.toContain(200);
    expect(await send("/api/x", { headers: { "x-api-key": apiKey } })).not.toContain(200);
    await run(environment, ["sessions", "end", cookie]);
    await run({ ...environment, TOCSIN_ADMIN_TOKEN: password }, ["proxies", "list"]);
    await run(
      { TOCSIN_ADMIN_URL: `http://user:${password}@127.0.0.1:1`, TOCSIN_ADMIN_TOKEN: password },
      ["proxies", "list"],
    );
    for (const list of ["keys", "sessions", "revocations", "proxies", "services", "routes"])
      await run(environment, [list, "list", ...(list === "sessions" ? ["carol"] : []), "--json"]);
    expect(await run(environment, ["audit", "--json"])).toBe(0);
    expect(await run(environment, ["config", "show"])).toBe(0);
  }, 120_000);

  test("what services ask for over the bus, with a secret in each place", async () => {
    if (mode === "standalone") return;
    const made = secrets.add("a password over the bus", madeUp("password"));
    const forged = secrets.addToken("a token over the bus", `${await token()}x`);
    await using bus = await connectBreakGlass(gateway.nats!);
    for (const text of [made, forged])
      for (const subject of [
        "session.create.users",
        "session.end.users",
        "register.users.one",
        "renew.users.one",
        "deregister.users.one",
      ])
        for (const body of [
          text,
          `{"token": ${text}`,
          JSON.stringify({ v: 1, subject: [text], sid: text, boot: text }),
          JSON.stringify({ v: 1, url: `http://user:${text}@127.0.0.1:1/path`, sid: text }),
          JSON.stringify({ v: text, lifetime: text, [text]: 1 }),
        ]) {
          const answer = await bus.request(`tocsin.v1.${subject}`, body, { timeoutMs: 5_000 });
          said.push([`the answer over the bus to ${subject}`, answer.text()]);
        }
  }, 60_000);

  test("configs that are wrong where a secret stands, and settings", async () => {
    const password = secrets.add("a password in a config", madeUp("password"));
    const misplaced = secrets.add("a secret in the wrong place", madeUp("misplaced"));
    const common = { issuer: "third", audience, algorithms: ["HS256"] };
    const withIssuer = (more: object) => ({ identity: { issuers: [{ ...common, ...more }] } });
    const wrong: readonly (object | string)[] = [
      withIssuer({ secret: [misplaced] }),
      withIssuer({ secret: { value: misplaced } }),
      withIssuer({ secret: misplaced.slice(0, 20) }),
      withIssuer({ secret: misplaced, algorithms: ["ES256"] }),
      withIssuer({ secret: misplaced, algorithms: [misplaced] }),
      withIssuer({ secrets: misplaced }),
      withIssuer({ Secret: misplaced }),
      withIssuer({ secret: misplaced, audience: 5 }),
      { identity: { issuers: misplaced } },
      { identity: { secret: misplaced } },
      { identity: misplaced },
      withIssuer({
        algorithms: ["ES256"],
        jwks: { url: `https://user:${password}@127.0.0.1:1/keys` },
      }),
      withIssuer({ algorithms: ["ES256"], jwks: { url: `ftp://user:${password}@127.0.0.1/keys` } }),
      withIssuer({ algorithms: ["ES256"], jwks: { url: `user:${password}@127.0.0.1` } }),
      { services: { files: { instances: [{ url: `http://user:${password}@127.0.0.1:1` }] } } },
      { services: { files: { instances: [{ url: `http://user:${password}@127.0.0.1:1/path` }] } } },
      { services: { files: { instances: [{ url: `user:${password}@127.0.0.1:1` }] } } },
      { services: { files: { instances: [{ url: `ftp://user:${password}@127.0.0.1:1` }] } } },
    ];
    const texts = [
      ...wrong.map((more) => JSON.stringify(config(more as object))),
      `version: 1\nidentity:\n  issuers:\n    - issuer: third\n      secret: ${misplaced}\n     audience: x\n`,
      `version: 1\nidentity:\n  issuers: [{ secret: "${misplaced} }]\n`,
      `version: 1\nidentity: &${misplaced.slice(0, 30)} { secret: *${misplaced.slice(0, 30)}x }\n`,
      `version: 1\nsecret: "${misplaced}": x\n`,
      `version: 1\nx: "\${${misplaced}}"\n`,
      `{"version": 1, "identity": {"issuers": [{"secret": ${misplaced}}]}`,
    ];
    for (const [index, text] of texts.entries()) {
      const answer = await call("PUT", "/v1/config", text, {
        headers: { "content-type": "application/yaml" },
      });
      expect([text.slice(0, 400), answer.status]).toEqual([text.slice(0, 400), 422]);
      const file = join(directory, `wrong-${index}.yaml`);
      writeFileSync(file, text);
      expect(await run({}, ["config", "validate", file])).not.toBe(0);
      await run(gateway.environment, ["config", "diff", file, "--json"]);
    }
    // The same as it is, and where the secrets are other ones.
    const whole = join(directory, "whole.json");
    writeFileSync(whole, JSON.stringify(config(withIssuer({ secret: madeUp("another") }))));
    await run(gateway.environment, ["config", "diff", whole]);
    await run(gateway.environment, ["config", "diff", whole, "--json"]);
    const first = join(directory, `wrong-0.yaml`);
    await run({ TOCSIN_CONFIG: first, TOCSIN_STATE_DIR: join(directory, "s") }, ["standalone"]);
    const settings = {
      TOCSIN_NATS_URL: `bogus://user:${password}@127.0.0.1`,
      TOCSIN_REDIS_URL: `http://user:${password}@127.0.0.1`,
      TOCSIN_ADMIN_URL: `nothing:${password}`,
      TOCSIN_ADMIN_TOKEN: `${password}\n\u0001`,
      TOCSIN_NATS_CREDENTIALS: join(directory, "none"),
    };
    for (const command of ["proxy", "control-plane", "standalone"]) {
      expect(await run(settings, [command])).not.toBe(0);
      for (const [name, value] of Object.entries(settings))
        await run({ TOCSIN_NATS_URL: "nats://127.0.0.1:1", [name]: value }, [
          "config",
          "validate",
          whole,
          command,
        ]);
    }
  }, 120_000);

  test("servers that do not take the password", async () => {
    if (mode === "standalone") return;
    const password = secrets.add("a password that is wrong", madeUp("password"));
    const { TOCSIN_STATE_DIR: _, ...environment } = gateway.proxies()[0]!.environment;
    const start = async (more: Record<string, string>, line: string) => {
      await using program = await startProcess({
        command: process.execPath,
        args: [tocsin, "proxy"],
        environment: {
          ...environment,
          TOCSIN_WORKERS: "1",
          TOCSIN_PROXY_ID: "another",
          TOCSIN_STATE_DIR: join(directory, "another"),
          ...more,
        },
        ready: (output) => output.includes(line),
      });
      said.push([`a proxy with another password (${line})`, program.output()]);
    };
    const { port } = gateway.nats!;
    await start(
      { TOCSIN_REDIS_URL: `redis://:${password}@127.0.0.1:${redis.port}` },
      "no connection to Redis",
    );
    await start(
      { TOCSIN_NATS_URL: `nats://proxy:${password}@127.0.0.1:${port}` },
      "Authorization Violation",
    );
  }, 60_000);

  test("then nothing of them is to be seen", async () => {
    for (const path of [
      "/v1/config",
      "/v1/config?format=json",
      "/v1/config/revisions",
      "/v1/services",
      "/v1/proxies",
      "/v1/control-planes",
      "/v1/revocations",
      "/v1/api-keys",
      "/v1/sessions?subject=bob",
      "/v1/audit?limit=1000",
      "/openapi.json",
      "/metrics",
      "/livez",
      "/readyz?verbose",
    ])
      await call("GET", path);
    await call("GET", "/v1/config", undefined, { headers: { accept: "application/json" } });
    await call("GET", "/v1/config", undefined, { headers: { accept: "application/yaml" } });
    for (const probe of gateway.probes)
      for (const path of ["/metrics", "/status", "/readyz?verbose", "/livez"]) {
        const { status, text } = await ask(probe, path);
        expect([path, status]).toEqual([path, 200]);
        said.push([`probe ${path}`, text]);
      }
    const seen: string[] = [];
    const look = (place: string, content: string | Uint8Array) =>
      seen.push(...secrets.seenIn(place, content));
    if (mode === "cluster") {
      for await (const [place, bytes] of everyEntry(gateway)) look(place, bytes);
      for await (const [place, text] of everyKey(redis, redisPassword)) look(place, text);
    }
    const programs = [...new Set([gateway.controlPlane(), ...gateway.proxies()])];
    // What is buffered is written at the end.
    for (const program of programs) {
      expect(await program.end("SIGTERM")).toBe(0);
      const log = program.log();
      expect(log.length).toBeGreaterThan(10_000);
      expect(log.length).toBeLessThan(400_000);
      look(`the log of ${program.bound["role"]}`, log);
      look(`the output of ${program.bound["role"]}`, program.output());
      const state = program.environment["TOCSIN_STATE_DIR"]!;
      // A control plane of a cluster keeps nothing of its own.
      const files = filesIn(state);
      expect(files.length > 0).toBe(program.bound["role"] !== "control-plane");
      for (const [path, bytes] of files) look(`state ${path}`, bytes);
      if (mode === "standalone") for (const [place, text] of rowsIn(state)) look(place, text);
    }
    if (gateway.nats !== undefined) {
      look("the output of NATS", gateway.nats.output());
      for (const [path, bytes] of filesIn(gateway.nats.storeDirectory))
        look(`store ${path}`, bytes);
      look("the output of Redis", redis.output());
    }
    for (const [place, text] of said) look(place, text);
    expect([...new Set(seen)].join("\n")).toBe("");
    expect(said.length).toBeGreaterThan(500);
  }, 120_000);
});
