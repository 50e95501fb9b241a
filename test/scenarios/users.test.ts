/** The look-up of users seen from outside: a real service, real proxies, and everything between them that can fail. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { modes, startGateway, type Gateway } from "../harness/gateway.ts";
import { startOrigin, type Origin } from "../harness/origin.ts";
import { temporaryDirectory } from "../harness/program.ts";
import { soon, timed } from "../harness/soon.ts";
import { issuerConfig, token } from "../harness/tokens.ts";
import { startUserService, type UserService } from "../harness/user-service.ts";

const config = (origin: Origin, service: UserService, ttl = "5m") => `version: 1
environment: development
${issuerConfig}  apiKeys: {}
  users: { service: people, path: "/internal/users/{subject}", ttl: ${ttl}, timeout: 1s }
services:
  people: { instances: [{ url: "${service.url}" }], circuit: { failures: 1000 } }
  content: { instances: [{ url: "${origin.url}" }] }
routes:
  - { id: plain, match: { path: "/plain/*" }, service: content, auth: required }
  - { id: admin, match: { path: "/admin/*" }, service: content, auth: { mode: required, roles: { any: [admin] } } }
  - { id: stale, match: { path: "/stale/*" }, service: content, auth: { mode: required, users: { onUnavailable: stale } } }
  - { id: allow, match: { path: "/allow/*" }, service: content, auth: { mode: required, users: { onUnavailable: allow } } }
  - { id: open, match: { path: "/open/*" }, service: content, auth: none }
  - { id: maybe, match: { path: "/maybe/*" }, service: content, auth: optional }
`;

let names = 0;
const someone = () => `user-${(names += 1)}`;

/** The status of an answer, or the code of its refusal. */
const said = (answer: { status: number; json(): Record<string, unknown> }) =>
  answer.status === 200 ? 200 : answer.json()["code"];

describe.each(modes)("users, %s", (mode) => {
  const stack = new AsyncDisposableStack();
  let gateway: Gateway;
  let origin: Origin;
  let service: UserService;
  beforeAll(async () => {
    origin = stack.use(await startOrigin());
    service = stack.use(await startUserService());
    gateway = stack.use(await startGateway(mode, { config: config(origin, service) }));
    service.users.set("warm", { active: true });
    const warm = await token({ subject: "warm" });
    await soon(async () => expect(await ask(warm)).toEqual(each(200)));
  }, 60_000);
  afterAll(() => stack.disposeAsync());
  beforeEach(() => {
    service.behave = undefined;
  });

  const each = <T>(value: T) => gateway.urls.map(() => value);
  const ask = async (bearer: string | undefined, path = "/plain/1") =>
    (await gateway.askAll(path, bearer === undefined ? {} : { token: bearer })).map(said);
  const questionsAbout = (subject: string) =>
    service.asked.filter((target) => target === `/internal/users/${subject}`).length;
  /** Somebody whom every proxy knows. */
  async function known(answer: object = { active: true }) {
    const subject = someone();
    service.users.set(subject, answer);
    const bearer = await token({ subject });
    expect(await ask(bearer)).toEqual(each(200));
    return { subject, bearer };
  }

  test("who is deactivated is refused everywhere by the next request after the purge", async () => {
    const { subject, bearer } = await known();
    const other = await known();
    const questions = questionsAbout(other.subject);
    service.users.set(subject, { active: false });
    // Until somebody says so, what is known counts.
    expect(await ask(bearer)).toEqual(each(200));
    const { result, ms } = await timed(() =>
      gateway.admin("POST", "/v1/invalidations", { user: subject }),
    );
    expect(await ask(bearer)).toEqual(each("credential-revoked"));
    expect(result.status).toBe(200);
    const { durableMs, applied } = result.json() as {
      durableMs: number;
      applied: { count: number; expected: number; ms: number; missing: unknown[] };
    };
    console.log(
      `${mode}: purge a user: durable ${durableMs.toFixed(1)} ms, applied on ${applied.count} ${applied.ms.toFixed(1)} ms, answered ${ms.toFixed(1)} ms`,
    );
    expect(applied).toMatchObject({ count: gateway.urls.length, missing: [] });
    expect(await ask(other.bearer)).toEqual(each(200));
    expect(questionsAbout(other.subject)).toBe(questions);

    service.users.set(subject, { active: true });
    const command = await gateway.tocsin("purge", "--user", subject);
    expect(command.stdout).toMatch(/^durable +invalidations \d+/m);
    expect(command.stdout).toMatch(/^applied +(\d)\/\1 proxies/m);
    expect(command.code).toBe(0);
    expect(await ask(bearer)).toEqual(each(200));
  });

  test("who is not known is refused, and upstreams see the roles that the service says", async () => {
    expect(await ask(await token({ subject: someone() }))).toEqual(each("credential-revoked"));
    const { subject, bearer } = await known();
    expect(await ask(bearer, "/admin/1")).toEqual(each("forbidden"));
    service.users.set(subject, { active: true, roles: ["admin", "user"], scopes: ["all"] });
    const purged = await gateway.tocsin("--json", "purge", "--all");
    expect(JSON.parse(purged.stdout)).toMatchObject({ applied: { count: gateway.urls.length } });
    origin.seen.length = 0;
    expect(await ask(bearer, "/admin/1")).toEqual(each(200));
    for (const { headers } of origin.seen)
      expect(headers).toMatchObject({
        "x-user-id": subject,
        "x-user-roles": "admin,user",
        "x-user-scopes": "all",
        "x-auth-method": "jwt",
      });
    // A token that claims more than the service says has no more.
    service.users.set(subject, { active: true, roles: [] });
    await gateway.tocsin("purge", "--user", subject);
    const boastful = await token({ subject, roles: ["admin"] });
    expect(await ask(boastful, "/admin/1")).toEqual(each("forbidden"));
  });

  test("who is revoked is looked up anew when a new token comes", async () => {
    const { subject, bearer } = await known({ active: true, roles: ["admin"] });
    await gateway.tocsin("revoke", "user", subject);
    expect(await ask(bearer)).toEqual(each("credential-revoked"));
    service.users.set(subject, { active: true, roles: [] });
    const later = await soon(async () => {
      const made = await token({ subject });
      expect(await ask(made)).toEqual(each(200));
      return made;
    });
    expect(await ask(later, "/admin/1")).toEqual(each("forbidden"));
  });

  test("many requests at once are one question at each proxy", async () => {
    const { subject, bearer } = await known();
    await gateway.tocsin("purge", "--user", subject);
    const before = questionsAbout(subject);
    const hold = service.hold();
    const all = Promise.all(
      gateway.urls.flatMap((_, proxy) =>
        Array.from({ length: 300 }, () => gateway.ask("/plain/1", { token: bearer, proxy })),
      ),
    );
    await soon(() => expect(questionsAbout(subject) - before).toBe(gateway.urls.length));
    hold.release();
    expect(new Set((await all).map(said))).toEqual(new Set([200]));
    expect(questionsAbout(subject) - before).toBe(gateway.urls.length);
  });

  test("nobody asks about API keys, anonymous requests and open routes", async () => {
    const made = await gateway.admin("POST", "/v1/api-keys", { principal: someone() });
    const key = String(made.json()["key"]);
    const before = service.asked.length;
    const answers = await gateway.askAll("/plain/1", { headers: { "x-api-key": key } });
    expect(answers.map(said)).toEqual(each(200));
    expect(await ask(undefined, "/maybe/1")).toEqual(each(200));
    expect(await ask(await token({ subject: someone() }), "/open/1")).toEqual(each(200));
    expect(service.asked).toHaveLength(before);
  });

  test("while the service is gone the route decides, and who is known goes on", async () => {
    const { subject, bearer } = await known();
    const other = await known();
    await service.stop();
    await gateway.tocsin("purge", "--user", subject);
    expect(await ask(bearer)).toEqual(each("service-unavailable"));
    expect(await ask(bearer, "/stale/1")).toEqual(each("service-unavailable"));
    expect(await ask(bearer, "/allow/1")).toEqual(each(200));
    expect(await ask(other.bearer)).toEqual(each(200));
    const [answer] = await gateway.askAll("/plain/1", { token: bearer });
    expect(answer!.headers["retry-after"]).toBe("1");
    expect(answer!.text).not.toContain("127.0.0.1");
    await service.start();
    await soon(async () => expect(await ask(bearer)).toEqual(each(200)));
    const metrics = await fetch(`${gateway.probes[0]}/metrics`).then((response) => response.text());
    expect(metrics).toMatch(/^tocsin_user_lookups_total\{outcome="cached"\} [1-9]/m);
    expect(metrics).toMatch(/^tocsin_user_lookups_total\{outcome="unavailable"\} [1-9]/m);
    expect(metrics).toMatch(/^tocsin_user_lookups_total\{outcome="allowed"\} [1-9]/m);
    expect(metrics).toMatch(/^tocsin_user_question_seconds_count [1-9]/m);
    expect(metrics).toMatch(/^tocsin_replica_state\{.*journal="invalidations".*\} 1$/m);
  });

  test("a frozen service is waited for no longer than the config says", async () => {
    const { subject, bearer } = await known();
    await gateway.tocsin("purge", "--user", subject);
    const hold = service.hold();
    const { result, ms } = await timed(() => ask(bearer));
    hold.release();
    expect(result).toEqual(each("service-unavailable"));
    expect(ms).toBeLessThan(4_000);
  });

  test("what caches hold cannot be purged yet, and is told so", async () => {
    const answer = await gateway.admin("POST", "/v1/invalidations", { tag: "x" });
    expect([answer.status, answer.json()["code"]]).toEqual([422, "not-supported-yet"]);
  });

  test("after a restart of everything purges go on, and nobody who was deactivated is in", async () => {
    const { subject, bearer } = await known();
    service.users.set(subject, { active: false });
    const before = await gateway.admin("POST", "/v1/invalidations", { user: subject });
    await gateway.restartAll("SIGKILL");
    await soon(async () => expect(await ask(bearer)).toEqual(each("credential-revoked")), 20_000);
    service.users.set(subject, { active: true });
    await soon(async () => {
      const purged = await gateway.admin("POST", "/v1/invalidations", { user: subject });
      expect(purged.json()).toMatchObject({ applied: { count: gateway.urls.length } });
      expect(Number(purged.json()["sequence"])).toBeGreaterThan(Number(before.json()["sequence"]));
    }, 10_000);
    expect(await ask(bearer)).toEqual(each(200));
  }, 60_000);

  test("a last answer counts for so long again where the route takes that, and no longer", async () => {
    const file = join(stack.use(temporaryDirectory()).path, "short.yaml");
    writeFileSync(file, config(origin, service, "1s"));
    expect((await gateway.tocsin("config", "apply", file)).code).toBe(0);
    const { bearer } = await known();
    await service.stop();
    const start = performance.now();
    await soon(async () => expect(await ask(bearer)).toEqual(each("service-unavailable")));
    expect(await ask(bearer, "/stale/1")).toEqual(each(200));
    await soon(async () =>
      expect(await ask(bearer, "/stale/1")).toEqual(each("service-unavailable")),
    );
    expect(performance.now() - start).toBeGreaterThan(1_500);
    expect(await ask(bearer, "/allow/1")).toEqual(each(200));
    await service.start();
  });
});

test("a proxy of several processes has applied a purge when each of them has", async () => {
  await using stack = new AsyncDisposableStack();
  const origin = stack.use(await startOrigin());
  const service = stack.use(await startUserService());
  const gateway = stack.use(
    await startGateway("cluster", {
      config: config(origin, service),
      proxies: 1,
      environment: { TOCSIN_WORKERS: "3" },
    }),
  );
  service.users.set("ada", { active: true });
  const bearer = await token({ subject: "ada" });
  // Connections of their own, so that every process gets some of them.
  const headers = { connection: "close" };
  const askOften = async () =>
    new Set(
      await Promise.all(
        Array.from({ length: 60 }, async () =>
          said(await gateway.ask("/plain/1", { token: bearer, headers })),
        ),
      ),
    );
  await soon(async () => expect(await askOften()).toEqual(new Set([200])), 10_000);
  await soon(async () => {
    await askOften();
    expect(service.asked).toHaveLength(3);
  });
  for (let turn = 0; turn < 5; turn += 1) {
    service.users.set("ada", { active: turn % 2 === 1 });
    const purged = await gateway.admin("POST", "/v1/invalidations", { user: "ada" });
    expect(purged.json()).toMatchObject({ applied: { count: 1, missing: [] } });
    expect(await askOften()).toEqual(new Set([turn % 2 === 1 ? 200 : "credential-revoked"]));
  }
}, 60_000);

test("a purge that the store has lost is in force all the same, on a proxy that never heard of it too", async () => {
  await using stack = new AsyncDisposableStack();
  const origin = stack.use(await startOrigin());
  const service = stack.use(await startUserService());
  const gateway = stack.use(
    await startGateway("cluster", { config: config(origin, service), relays: true }),
  );
  const relay = gateway.relay("proxy-2");
  const nats = gateway.nats!;
  service.users.set("ada", { active: true });
  const bearer = await token({ subject: "ada" });
  const ask = async (proxy: number) =>
    said(await gateway.ask("/plain/1", { token: bearer, proxy }));
  for (const proxy of [0, 1]) await soon(async () => expect(await ask(proxy)).toBe(200));
  const copy = join(stack.use(temporaryDirectory()).path, "copy");
  await nats.copyStore(copy);
  relay.refuse();
  relay.cut();
  service.users.set("ada", { active: false });
  const purged = await gateway.tocsin("purge", "--user", "ada", "--wait", "300ms");
  expect(purged.code).toBe(3);
  await nats.kill();
  await nats.restart({ restore: copy });
  expect(await ask(0)).toBe("credential-revoked");
  expect(await ask(1)).toBe(200);
  const start = performance.now();
  relay.pass();
  await soon(async () => expect(await ask(1)).toBe("credential-revoked"), 20_000);
  const took = performance.now() - start;
  console.log(`a lost purge: in force ${took.toFixed(0)} ms after the proxy came back`);
  // And it goes on: orders are proven on both.
  service.users.set("ada", { active: true });
  await soon(async () => {
    const again = await gateway.tocsin("purge", "--user", "ada");
    expect(again.stdout).toMatch(/^applied +2\/2 proxies/m);
  }, 20_000);
  expect([await ask(0), await ask(1)]).toEqual([200, 200]);
}, 90_000);

describe("a proxy that is cut off", () => {
  test("goes by what it knew for half a minute at most, and by the purge as soon as it is back", async () => {
    await using stack = new AsyncDisposableStack();
    const origin = stack.use(await startOrigin());
    const service = stack.use(await startUserService());
    const gateway = stack.use(
      await startGateway("cluster", { config: config(origin, service), relays: true }),
    );
    const people = ["ada", "bob"];
    for (const subject of people) service.users.set(subject, { active: true });
    const [ada, bob] = await Promise.all(people.map((subject) => token({ subject })));
    const ask = async (bearer: string, proxy: number) =>
      said(await gateway.ask("/plain/1", { token: bearer, proxy }));
    for (const proxy of [0, 1])
      for (const bearer of [ada!, bob!])
        await soon(async () => expect(await ask(bearer, proxy)).toBe(200));

    const relay = gateway.relay("proxy-2");
    const cut = () => {
      relay.refuse();
      relay.cut();
    };
    cut();
    service.users.set("ada", { active: false });
    const purged = await gateway.tocsin("purge", "--user", "ada", "--wait", "300ms");
    expect(purged.code).toBe(3);
    expect(purged.stderr).toContain("proxy-2");
    expect(await ask(ada!, 0)).toBe("credential-revoked");
    expect(await ask(ada!, 1)).toBe(200);
    relay.pass();
    await soon(async () => expect(await ask(ada!, 1)).toBe("credential-revoked"), 15_000);

    // Nobody can tell it, so it asks by itself.
    await soon(async () => {
      const answer = await gateway.tocsin("purge", "--user", "bob");
      expect(answer.code).toBe(0);
    }, 15_000);
    expect(await ask(bob!, 1)).toBe(200);
    cut();
    const start = performance.now();
    service.users.set("bob", { active: false });
    await gateway.tocsin("purge", "--user", "bob", "--wait", "0");
    await soon(async () => expect(await ask(bob!, 1)).toBe("credential-revoked"), 45_000, 100);
    const took = performance.now() - start;
    console.log(`cut off: the last answer counted for ${(took / 1_000).toFixed(1)} s more`);
    expect(took).toBeGreaterThan(20_000);
    expect(took).toBeLessThan(36_000);
  }, 120_000);
});
