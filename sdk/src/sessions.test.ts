/** The same calls over HTTP and over NATS, against a real control plane. */
import { silentLog, systemClock } from "@tocsin/shared";
import { createEmbeddedBus, openEmbeddedStore } from "@tocsin/shared/embedded";
import { connectNats, openNatsJournals } from "@tocsin/shared/nats";
import { openSessions } from "@tocsin/shared/sessions";
import { afterEach, describe, expect, test } from "vitest";
import { adminToken, startTestNode } from "../../control-plane/src/testing/node.ts";
import { freePort, startNats } from "../../test/harness/index.ts";
import { timed } from "../../test/harness/soon.ts";
import { connectSessions, SessionsRefused, SessionsUnavailable } from "./index.ts";

let stack = new AsyncDisposableStack();
afterEach(async () => {
  await stack.disposeAsync();
  stack = new AsyncDisposableStack();
});

const source = "version: 1\nidentity: { sessions: {} }\n";

async function overHttp() {
  const bus = stack.use(createEmbeddedBus());
  const { journals } = stack.use(await openEmbeddedStore(":memory:", { bus, clock: systemClock }));
  const sessions = stack.use(openSessions(":memory:", systemClock));
  const node = stack.use(await startTestNode({ source, sessions, store: { bus, journals } }));
  return { TOCSIN_ADMIN_URL: node.adminUrl, TOCSIN_ADMIN_TOKEN: adminToken };
}

async function overNats() {
  const nats = stack.use(await startNats());
  const clock = systemClock;
  const bus = stack.use(
    await connectNats({
      servers: [nats.url],
      node: "control-plane-1",
      role: "control-plane",
      clock,
      log: silentLog,
    }),
  );
  const { journals } = stack.use(await openNatsJournals({ bus, clock, log: silentLog }));
  const sessions = stack.use(openSessions(":memory:", clock));
  stack.use(await startTestNode({ source, sessions, store: { bus, journals } }));
  return { TOCSIN_NATS_URL: nats.url };
}

describe.each([
  ["HTTP", overHttp, "admin"],
  ["NATS", overNats, "service:users"],
] as const)("over %s", (_, start, by) => {
  test("a session is made and listed", async () => {
    const environment = await start();
    await using sessions = await connectSessions({ service: "users", environment });
    const made = await sessions.create({
      subject: "ada",
      roles: ["user"],
      metadata: { device: "phone" },
    });
    expect(made).toEqual({
      sid: expect.stringMatching(/^[\w-]{22}$/),
      cookie: `${made.sid}.${made.cookie.slice(23)}`,
      setCookie: expect.stringContaining(made.cookie),
      expiresAt: expect.any(Number),
    });
    expect(await sessions.list("ada")).toMatchObject([
      { sid: made.sid, subject: "ada", roles: ["user"], by, metadata: { device: "phone" } },
    ]);
    expect(await sessions.list("bob")).toEqual([]);
  });

  test("a refusal has code, status, and the place that is wrong", async () => {
    const environment = await start();
    await using sessions = await connectSessions({ service: "users", environment });
    const refused = sessions.create({ subject: "a\nb" });
    await expect(refused).rejects.toBeInstanceOf(SessionsRefused);
    await expect(refused).rejects.toMatchObject({ code: "validation-failed", status: 422 });
    await expect(refused).rejects.toThrow(/\/subject has control characters/);
    await expect(sessions.end("a".repeat(22))).rejects.toMatchObject({ code: "not-found" });
  });
});

test.each([
  [
    "HTTP",
    (port: number) => ({
      TOCSIN_ADMIN_URL: `http://127.0.0.1:${port}`,
      TOCSIN_ADMIN_TOKEN: adminToken,
    }),
  ],
  ["NATS", (port: number) => ({ TOCSIN_NATS_URL: `nats://127.0.0.1:${port}` })],
])("nobody there over %s is an error within the bound", async (_, environmentOf) => {
  const environment = environmentOf(await freePort());
  const { result, ms } = await timed(async () => {
    try {
      await using sessions = await connectSessions({
        service: "users",
        environment,
        timeoutMs: 500,
      });
      return await sessions.create({ subject: "ada" });
    } catch (error) {
      return error;
    }
  });
  expect(result).toBeInstanceOf(SessionsUnavailable);
  expect(ms).toBeLessThan(2_500);
});

test("a service whose name is none is told so before anything is sent", async () => {
  await expect(connectSessions({ service: "*", environment: {} })).rejects.toThrow(
    /service: found "\*"/,
  );
});
