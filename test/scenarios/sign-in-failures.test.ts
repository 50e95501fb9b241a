/**
 * Whoever is not let in is counted once, by its code, and told of in a line with what was wrong: plain requests, handshakes of
 * WebSockets, event streams, at the door; standalone, in a cluster, and where each proxy is two processes.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ask, type Answer } from "../harness/client.ts";
import { startGateway, type Gateway, type Mode } from "../harness/gateway.ts";
import { endless, openAnswer, openWebSocket } from "../harness/open.ts";
import { startOrigin } from "../harness/origin.ts";
import { soon } from "../harness/soon.ts";
import { audience, issuer, secret, token } from "../harness/tokens.ts";
import { startUserService, type UserService } from "../harness/user-service.ts";
import { startWebSocketService } from "../harness/websocket-service.ts";

const setups: readonly { readonly name: string; readonly mode: Mode; readonly workers: number }[] =
  [
    { name: "standalone", mode: "standalone", workers: 1 },
    { name: "cluster", mode: "cluster", workers: 1 },
    { name: "cluster, two workers each", mode: "cluster", workers: 2 },
  ];

type Headers = Readonly<Record<string, string>>;

/** A request that is refused, and what is said of it. */
interface Bad {
  readonly what: string;
  readonly path?: string;
  readonly method?: string;
  readonly headers: Headers;
  readonly code: string;
  /** Undefined: it is counted, and has no line. */
  readonly cause: string | undefined;
  /** Whether the line names the issuer. */
  readonly issuer?: string;
}

interface Line {
  readonly event?: string;
  readonly level: string;
  readonly msg: string;
  readonly request_id?: string;
  readonly time: string;
  readonly node?: string;
  readonly count?: number;
  readonly codes?: Readonly<Record<string, number>>;
}

const bearer = (text: string): Headers => ({ authorization: `Bearer ${text}` });
const handshake: Headers = {
  connection: "Upgrade",
  upgrade: "websocket",
  "sec-websocket-version": "13",
  "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
};

describe.each(setups)("$name", ({ mode, workers }) => {
  const stack = new AsyncDisposableStack();
  let gateway: Gateway;
  let users: UserService;
  let bad: readonly Bad[];
  const aClient = { "x-forwarded-for": "192.0.2.7" };

  beforeAll(async () => {
    const chat = stack.use(await startWebSocketService());
    const origin = stack.use(
      await startOrigin((request, response) => {
        request.url = request.url!.replace(/^\/\w+/, "");
        endless(request, response);
      }),
    );
    users = stack.use(await startUserService());
    const common = { audience, algorithms: ["HS256"] };
    const route = (id: string, more: object = {}) => ({
      id,
      match: { path: `/${id}/*` },
      service: "files",
      auth: "required",
      ...more,
    });
    gateway = stack.use(
      await startGateway(mode, {
        environment: { TOCSIN_WORKERS: String(workers) },
        config: JSON.stringify({
          version: 1,
          environment: "development",
          listen: { trustedProxies: ["127.0.0.1"] },
          identity: {
            issuers: [
              { ...common, issuer, secret, clockTolerance: "1s" },
              {
                issuer: "silent",
                audience,
                algorithms: ["ES256"],
                jwks: { url: "http://127.0.0.1:9/keys" },
              },
            ],
            apiKeys: {},
            sessions: { cookie: "sid", ttl: "1h" },
            users: { service: "users", path: "/internal/users/{subject}", for: ["api-key"] },
          },
          services: {
            chat: { instances: [{ url: chat.url }] },
            files: { instances: [{ url: origin.url }], timeouts: { idle: "60s" } },
            users: { instances: [{ url: users.url }] },
          },
          routes: [
            route("any"),
            route("admin", { auth: { mode: "required", roles: { any: ["admin"] } } }),
            route("scoped", { auth: { mode: "required", scopes: { all: ["orders:read"] } } }),
            route("tokens", { auth: { mode: "required", via: ["jwt"] } }),
            route("chat", {
              service: "chat",
              websocket: { idle: "60s", origins: ["https://app.example"] },
            }),
          ],
        }),
      }),
    );
    const good = await token();
    await soon(async () => {
      for (const { status } of await gateway.askAll("/any/", { token: good }))
        expect(status).toBe(200);
    });
    const keyOf = async (principal: string) => {
      const made = await gateway.admin("POST", "/v1/api-keys", { principal });
      expect(made.status).toBe(201);
      return String(made.json()["key"]);
    };
    const [inactive, unanswered] = [await keyOf("gone"), await keyOf("unanswered")];
    users.users.set("gone", { active: false });
    users.behave = (request, response) => {
      const isGone = request.url!.endsWith("/gone");
      response.writeHead(isGone ? 200 : 500, { "content-type": "application/json" });
      response.end(isGone ? '{"active":false}' : undefined);
    };
    const revoked = await token({ subject: "mallory" });
    await gateway.admin("POST", "/v1/revocations", { token: revoked });
    await gateway.admin("POST", "/v1/revocations", { kind: "address", cidr: "203.0.113.0/24" });
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const madeUp = (header: object, iss: string) =>
      `${part(header)}.${part({ iss, sub: "x" })}.c2lnbmF0dXJl`;
    const session = `${"s".repeat(22)}.${"k".repeat(42)}A`;
    bad = [
      { what: "nothing", headers: {}, code: "credential-missing", cause: undefined },
      {
        what: "nothing, for an event stream",
        headers: { accept: "text/event-stream" },
        code: "credential-missing",
        cause: undefined,
      },
      {
        what: "nothing, in a handshake",
        path: "/chat/",
        headers: handshake,
        code: "credential-missing",
        cause: undefined,
      },
      {
        what: "no token",
        headers: bearer('\u009b31m","level":"fatal'),
        code: "credential-invalid",
        cause: "authorization-malformed",
      },
      {
        what: "a token in one part",
        headers: bearer("abc"),
        code: "credential-invalid",
        cause: "token-parts",
      },
      {
        what: "a token of nobody's",
        headers: bearer(madeUp({ alg: "HS256" }, "somebody\n else")),
        code: "credential-invalid",
        cause: "issuer-unknown",
      },
      {
        what: "another algorithm",
        headers: bearer(madeUp({ alg: 'none","level":"fatal' }, issuer)),
        code: "credential-invalid",
        cause: "algorithm-not-allowed",
        issuer,
      },
      {
        what: "a wrong signature",
        headers: bearer(`${good.slice(0, -43)}${"x".repeat(42)}A`),
        code: "credential-invalid",
        cause: "signature-wrong",
        issuer,
      },
      {
        what: "a token that has expired",
        headers: bearer(await token({ issuedAt: 1_700_000_000 })),
        code: "credential-expired",
        cause: "expired",
        issuer,
      },
      {
        what: "a revoked token, in a handshake",
        path: "/chat/",
        headers: { ...handshake, ...bearer(revoked) },
        code: "credential-revoked",
        cause: "revoked",
        issuer,
      },
      {
        what: "an issuer whose keys nobody knows",
        headers: bearer(madeUp({ alg: "ES256" }, "silent")),
        code: "stale-state",
        cause: "keys-unavailable",
        issuer: "silent",
      },
      {
        what: "another role",
        path: "/admin/",
        headers: bearer(good),
        code: "forbidden",
        cause: "role-missing",
        issuer,
      },
      {
        what: "another scope, for an event stream",
        path: "/scoped/events",
        headers: { ...bearer(good), accept: "text/event-stream" },
        code: "forbidden",
        cause: "scope-missing",
        issuer,
      },
      {
        what: "a page of another origin, in a handshake",
        path: "/chat/",
        headers: { ...handshake, ...bearer(good), origin: "https://evil.example" },
        code: "forbidden",
        cause: "origin-not-allowed",
      },
      {
        what: "a page of another site",
        method: "POST",
        headers: { cookie: `sid=${session}`, origin: "https://evil.example" },
        code: "forbidden",
        cause: "cross-site",
      },
      {
        what: "two session cookies",
        headers: { cookie: `sid=${session}; sid=${session}` },
        code: "bad-request",
        cause: "session-ambiguous",
      },
      // In the cluster of this test there is no Redis.
      mode === "standalone"
        ? {
            what: "a session that there is not",
            headers: { cookie: `sid=${session}` },
            code: "credential-invalid",
            cause: "session-unknown",
          }
        : {
            what: "a session, without a store",
            headers: { cookie: `sid=${session}` },
            code: "session-store-unavailable",
            cause: "session-store-unavailable",
          },
      {
        what: "a session, on a route that takes none",
        path: "/tokens/",
        headers: { cookie: `sid=${session}` },
        code: "credential-invalid",
        cause: "session-not-taken",
      },
      {
        what: "no API key",
        headers: { "x-api-key": "tocsin_" },
        code: "credential-invalid",
        cause: "api-key-malformed",
      },
      {
        what: "a token and an API key",
        headers: { ...bearer(good), "x-api-key": "tocsin_" },
        code: "bad-request",
        cause: "token-and-api-key",
      },
      {
        what: "a user who is not active any more",
        headers: { "x-api-key": inactive },
        code: "credential-revoked",
        cause: "user-inactive",
      },
      {
        what: "a user of whom nobody tells",
        headers: { "x-api-key": unanswered },
        code: "service-unavailable",
        cause: "users-unavailable",
      },
      {
        what: "a blocked address",
        headers: { ...bearer(good), "x-forwarded-for": "203.0.113.9" },
        code: "address-blocked",
        cause: undefined,
      },
      {
        what: "a blocked address, in a handshake",
        path: "/chat/",
        headers: { ...handshake, "x-forwarded-for": "203.0.113.9" },
        code: "address-blocked",
        cause: undefined,
      },
    ];
  }, 60_000);
  afterAll(() => stack.disposeAsync());

  const send = (proxy: number, { path = "/any/", method = "GET", headers }: Bad): Promise<Answer> =>
    ask(gateway.urls[proxy]!, path, { method, headers: { ...aClient, ...headers } });

  /** The values of a counter on a proxy, by the text of their labels. */
  async function counter(proxy: number, name: string): Promise<Map<string, number>> {
    const { text } = await ask(gateway.probes[proxy]!, "/metrics");
    const found = text.matchAll(new RegExp(`^${name}\\{(.*)\\} (\\S+)$`, "gm"));
    return new Map([...found].map(([, labels, value]) => [labels!, Number(value)]));
  }
  async function failures(): Promise<Record<string, number>> {
    const sums: Record<string, number> = {};
    for (const proxy of gateway.probes.keys())
      for (const [label, value] of await counter(proxy, "tocsin_auth_failures_total")) {
        const code = /^code="(.*)"$/.exec(label)![1]!;
        sums[code] = (sums[code] ?? 0) + value;
      }
    return sums;
  }
  /** The lines of all proxies. Every line is JSON by itself: nobody breaks out of his. */
  const lines = (): Line[] =>
    gateway.proxies().flatMap((program) =>
      program
        .log()
        .split("\n")
        .slice(0, -1)
        .map((line) => JSON.parse(line) as Line),
    );
  const linesOf = (id: unknown, event: string) =>
    lines().filter((line) => line.request_id === id && line.event === event);
  /** Until every process may write as many lines as ever. */
  const aSecond = () => new Promise((resolve) => setTimeout(resolve, 1_050));

  test("each is counted once, and told of once with what was wrong", async () => {
    const before = await failures();
    const expected = { ...before };
    for (const [index, each] of bad.entries()) {
      // So that none of them goes without its line.
      if (index % 8 === 0) await aSecond();
      const answer = await send(index % gateway.urls.length, each);
      expect([each.what, answer.json()["code"]]).toEqual([each.what, each.code]);
      expected[each.code] = (expected[each.code] ?? 0) + 1;
      const id = answer.headers["x-request-id"];
      if (each.cause === undefined) continue;
      await soon(() =>
        expect(linesOf(id, "sign-in-failed")).toEqual([
          expect.objectContaining({
            level: "warn",
            msg: "sign-in failed",
            method: each.method ?? "GET",
            route: (each.path ?? "/any/").split("/")[1],
            client_ip: "192.0.2.7",
            code: each.code,
            cause: each.cause,
            ...(each.issuer === undefined ? {} : { issuer: each.issuer }),
          }),
        ]),
      );
      expect(linesOf(id, "sign-in-failed")[0]).not.toHaveProperty("subject");
      // The one line, and the access line: it is not told of in a second way.
      await soon(() =>
        expect(
          lines()
            .filter(({ request_id: of }) => of === id)
            .map(({ msg }) => msg)
            .toSorted(),
        ).toEqual(["exchange", "sign-in failed"]),
      );
    }
    await soon(async () => expect(await failures()).toEqual(expected));
    const quiet = bad.filter(({ cause }) => cause === undefined).length;
    expect(lines().filter(({ event }) => event === "sign-in-failed")).toHaveLength(
      bad.length - quiet,
    );
    expect(lines().filter(({ event }) => event === "sign-in-failures-left-out")).toEqual([]);
  }, 60_000);

  test("of a flood ten lines a second are written by each process, and how many were not; all are counted", async () => {
    await aSecond();
    const leftOut = () => lines().filter(({ event }) => event === "sign-in-failures-left-out");
    const told = leftOut().length;
    const before = await failures();
    const malformed = bad.find(({ cause }) => cause === "token-parts")!;
    const many = 300;
    const answers = await Promise.all(
      Array.from({ length: many }, (_, index) => send(index % gateway.urls.length, malformed)),
    );
    const ids = new Set(answers.map(({ headers }) => headers["x-request-id"]));
    const own = () =>
      lines().filter(({ event, request_id: id }) => event === "sign-in-failed" && ids.has(id));
    await soon(() => {
      const sum = leftOut().reduce((count, line) => count + line.count!, 0);
      expect(own().length + sum).toBe(many);
    }, 10_000);
    expect(told).toBe(0);
    for (const line of leftOut()) {
      expect(line).toMatchObject({ level: "warn" });
      expect(line.codes).toEqual({ "credential-invalid": line.count });
    }
    const processes = gateway.urls.length * workers;
    const seconds = new Set(own().map(({ time }) => time.slice(0, 19))).size;
    expect(own().length).toBeLessThanOrEqual(10 * processes * seconds);
    expect(own().length).toBeGreaterThanOrEqual(10);
    const code = "credential-invalid";
    await soon(async () => expect((await failures())[code]).toBe((before[code] ?? 0) + many));
  }, 60_000);

  test("what ends later with its credential is counted by how it ended, and is no refusal", async () => {
    const before = await failures();
    const streamed = await token({ subject: "streamer" });
    const headers = { ...aClient, ...bearer(streamed) };
    const open = await Promise.all(
      gateway.urls.flatMap((url) => [
        openWebSocket(url, "/chat/", { ...headers, origin: "https://app.example" }),
        openAnswer(url, "/any/events", headers),
        openAnswer(url, "/any/download", headers),
      ]),
    );
    const closed = { kind: (kind: string) => `kind="${kind}",reason="revoked"` };
    await gateway.admin("POST", "/v1/revocations", { kind: "user", subject: "streamer" });
    await Promise.all(open.map(({ ended }) => ended));
    for (const proxy of gateway.probes.keys())
      await soon(async () => {
        const streams = await counter(proxy, "tocsin_streams_closed_total");
        expect(streams.get(closed.kind("websocket"))).toBe(1);
        expect(streams.get(closed.kind("event-stream"))).toBe(1);
        const cut = await counter(proxy, "tocsin_answers_cut_total");
        expect([...cut]).toEqual([['reason="revoked"', 1]]);
      });
    expect(await failures()).toEqual(before);
  }, 60_000);
});
