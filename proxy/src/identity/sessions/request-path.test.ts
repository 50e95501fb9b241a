/** Cookies on raw sockets, through the whole request path. */
import { silentLog, systemClock, systemRandom } from "@tocsin/shared";
import { SessionPolicy } from "@tocsin/shared/contract";
import { RevocationSet } from "@tocsin/shared/revocations";
import { freshCookieValue, hashOf, openSessions, writeCookieValue } from "@tocsin/shared/sessions";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { codeOf, converse, get, statusOf } from "../../listener/gateway.fixture.ts";
import { handshakeText, startStage, type Stage } from "../../listener/websocket.fixture.ts";
import { createIdentity } from "../create.ts";

let stack: AsyncDisposableStack;
let stage: Stage;
let cookie: string;

beforeEach(async () => {
  stack = new AsyncDisposableStack();
  const sessions = stack.use(openSessions(":memory:", systemClock));
  const identity = stack.use(
    createIdentity({
      clock: systemClock,
      random: systemRandom,
      log: silentLog,
      revocations: new RevocationSet(),
      sessions,
    }),
  );
  identity.configure(
    { issuers: [], sessions: SessionPolicy.parse({ origins: ["https://app.example"] }) },
    { production: true },
  );
  const value = freshCookieValue();
  const now = Date.now();
  await sessions.create(
    {
      v: 1,
      sid: value.sid,
      secretHash: hashOf(value.secret),
      subject: "ada",
      roles: [],
      scopes: [],
      createdAt: now,
      expiresAt: now + 60_000,
      by: "admin",
    },
    60_000,
  );
  cookie = `Cookie: a=1; sid=${writeCookieValue(value)}`;
  const route = (auth: string) => ({
    id: auth,
    match: { path: `/${auth}` },
    service: "a",
    auth,
    websocket: true,
  });
  stage = stack.use(
    await startStage({
      gateway: { identity },
      config: { routes: ["required", "optional", "none"].map(route) },
      behave: ({ socket }) =>
        socket.on("data", () => socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")),
    }),
  );
});
afterEach(() => stack.disposeAsync());

const seen = () => stage.origin.received();

describe("on the wire", () => {
  test.each(["required", "optional", "none"])(
    "%s: the cookie stays here, others go on",
    async (auth) => {
      expect(statusOf(await get(stage.gateway.port, `/${auth}`, [cookie]))).toBe(200);
      expect(seen()).toMatch(/^cookie: a=1\r$/im);
      expect(seen()).not.toContain("sid=");
      expect(seen()).toContain(`X-Auth-Method: ${auth === "none" ? "none" : "session"}`);
    },
  );

  test.each([
    ["two fields", () => [cookie, "Cookie: b=2"]],
    ["named by Connection", () => [cookie, "Connection: cookie"]],
    ["twice", () => [`${cookie}; ${cookie.slice("Cookie: a=1; ".length)}`]],
  ])(
    "%s is a bad request, on optional routes too, and the service sees nothing",
    async (_, fields) => {
      for (const path of ["/required", "/optional"])
        expect(codeOf(await get(stage.gateway.port, path, fields()))).toBe("bad-request");
      expect(seen()).toBe("");
    },
  );

  test("an unsafe method without Origin is forbidden before its body is read", async () => {
    const head = `POST /required HTTP/1.1\r\nHost: gw.test\r\n${cookie}\r\nContent-Length: 5\r\n\r\nhello`;
    expect(codeOf(await converse(stage.gateway.port, head))).toBe("forbidden");
    expect(seen()).toBe("");
  });
});

describe("a WebSocket with a session", () => {
  const shake = async (path: string, ...fields: string[]) => {
    const end = stage.client(handshakeText([cookie, ...fields], path));
    while (end.head === "") await new Promise((resolve) => setImmediate(resolve));
    return end.head;
  };

  test.each([
    ["a page of another site", "Origin: https://evil.example"],
    ["a page that hides where it is from", "Origin: null"],
    ["nobody who says where it is from", "X-A: b"],
  ])("is not opened by %s", async (_, field) => {
    for (const path of ["/required", "/optional"])
      expect(await shake(path, field)).toMatch(/^HTTP\/1\.1 403 /);
    expect(stage.services).toHaveLength(0);
  });

  test("is asked for by a page of the host itself", async () => {
    await shake("/required", "Origin: https://gw.test");
    expect(seen()).toMatch(/^upgrade: websocket\r$/im);
    expect(seen()).toContain("X-User-ID: ada");
    expect(seen()).not.toContain("sid=");
  });
});
