/** The look-up of users against a real service, over the real connections of the gateway. */
import { Refusal, silentLog, systemClock } from "@tocsin/shared";
import { Config, type AuthPolicy } from "@tocsin/shared/contract";
import { Invalidations } from "@tocsin/shared/invalidations";
import { RevocationSet } from "@tocsin/shared/revocations";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { startUserService, type UserService } from "../../test/harness/user-service.ts";
import type { Presented } from "./identity/identity.ts";
import { anonymous, type IdentifiedPrincipal, type Principal } from "./identity/principal.ts";
import { ManualClock } from "./identity/testing/manual-clock.ts";
import { Users } from "./identity/users/users.ts";
import { createUpstreams, type Upstreams } from "./upstream/upstreams.ts";
import { userQuestions } from "./user-questions.ts";

const minute = 60_000;
const deny: AuthPolicy = { mode: "required" };
const stale: AuthPolicy = { mode: "required", users: { onUnavailable: "stale" } };
const allow: AuthPolicy = { mode: "required", users: { onUnavailable: "allow" } };

let stack: AsyncDisposableStack;
let service: UserService;
/** Of the look-up alone: the connections have a real one. */
let clock: ManualClock;
let invalidations: Invalidations;
let revocations: RevocationSet;
let upstreams: Upstreams;
let users: Users;
/** How old the knowledge of invalidations is. */
let ageMs: number | undefined;
let looks: string[];
/** Questions that are over. */
let answers: number;

beforeEach(async () => {
  stack = new AsyncDisposableStack();
  service = stack.use(await startUserService());
  service.users.set("ada", { active: true });
  clock = new ManualClock();
  invalidations = new Invalidations();
  revocations = new RevocationSet();
  ageMs = 0;
  looks = [];
  answers = 0;
  const instance = {
    key: "users.users-1.b",
    service: "users",
    instance: "users-1",
    url: service.url,
    weight: 1,
    active: true,
    eligible: true,
  };
  const instances = {
    of: (name: string) => (name === "users" ? [instance] : undefined),
    services: () => ["users"],
  };
  upstreams = stack.use(
    createUpstreams({
      instances: () => instances,
      clock: systemClock,
      random: () => 0,
      log: silentLog,
    }),
  );
  users = new Users({
    clock,
    random: () => 0.5,
    log: silentLog,
    invalidations,
    revocations,
    invalidationsMs: () => ageMs,
    onLookup: (outcome) => void looks.push(outcome),
    onQuestion: () => void (answers += 1),
  });
  configure();
});
afterEach(() => stack.disposeAsync());

function configure(more: object = {}, services: object = {}): void {
  const config = Config.parse({
    version: 1,
    identity: { users: { service: "users", path: "/internal/users/{subject}", ...more } },
    services: { users: { circuit: { failures: 1_000 } }, ...services },
  });
  users.configure(config.identity.users, userQuestions(config, upstreams));
}

function principalOf(subject = "ada", more: Partial<IdentifiedPrincipal> = {}) {
  const principal: IdentifiedPrincipal = {
    method: "jwt",
    subject,
    issuer: "https://auth.example",
    roles: ["user"],
    scopes: ["read"],
    expiresAt: 2_000_000_000,
    credential: {
      issuer: "https://auth.example",
      subject,
      issuedAt: 1_700_000_000,
      jti: undefined,
      fingerprint: undefined,
    },
    headers: ["X-Auth-Method", "jwt", "X-User-ID", subject],
    ...more,
  };
  return principal;
}

/** `in`, or the code of the refusal. */
async function look(principal: Principal = principalOf(), auth = deny): Promise<string> {
  try {
    await users.check(principal, auth);
    return "in";
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return error.code;
  }
}
function isAnsweredAtOnce(principal = principalOf(), auth = deny): boolean {
  const found = users.check(principal, auth);
  if (!(found instanceof Promise)) return true;
  found.catch(() => {});
  return false;
}

describe("what the service says", () => {
  test("an active user is let in as it came, and nobody asks again for a while", async () => {
    const principal = principalOf();
    expect(await users.check(principal, deny)).toBe(principal);
    expect(users.check(principal, deny)).toBe(principal);
    expect(users.check(principalOf(), deny)).not.toBeInstanceOf(Promise);
    expect(service.asked).toEqual(["/internal/users/ada"]);
    expect(looks).toEqual(["active", "cached", "cached"]);
  });

  test("its roles and scopes take the place of those of the credential, for upstreams too", async () => {
    service.users.set("ada", { active: true, roles: ["admin", "a,b"], scopes: [], since: 2020 });
    const principal = principalOf();
    const found = (await users.check(principal, deny)) as IdentifiedPrincipal;
    expect(found).toMatchObject({ subject: "ada", roles: ["admin", "a,b"], scopes: [] });
    expect(found.headers).toEqual([
      "X-Auth-Method",
      "jwt",
      "X-User-ID",
      "ada",
      "X-User-Roles",
      "admin,a%2Cb",
    ]);
    expect(found.credential).toBe(principal.credential);
    // Made once for all requests with this credential.
    expect(users.check(principal, deny)).toBe(found);
    const other = users.check(principalOf("ada", { scopes: ["write"] }), deny);
    expect(other).toMatchObject({ roles: ["admin", "a,b"], scopes: [] });
  });

  test("what else upstreams are told of a credential stays, the session for one", async () => {
    service.users.set("ada", { active: true, roles: [] });
    const headers = ["X-Auth-Method", "session", "X-User-ID", "ada", "X-User-Roles", "user"];
    const session = principalOf("ada", {
      method: "session",
      headers: [...headers, "X-Auth-Session", "s1"],
    });
    expect((await users.check(session, deny)).headers).toEqual([
      "X-Auth-Method",
      "session",
      "X-User-ID",
      "ada",
      "X-User-Scopes",
      "read",
      "X-Auth-Session",
      "s1",
    ]);
  });

  test("who is not active, or not there, is refused, and that is asked again soon", async () => {
    service.users.set("ada", { active: false, roles: ["admin"] });
    expect(await look()).toBe("credential-revoked");
    expect(await look(principalOf("nobody"))).toBe("credential-revoked");
    expect(await look()).toBe("credential-revoked");
    expect(looks).toEqual(["inactive", "inactive", "cached"]);
    service.users.set("ada", { active: true });
    clock.advance(9_999);
    expect(await look()).toBe("credential-revoked");
    clock.advance(1);
    expect(await look()).toBe("in");
  });

  test("anonymous requests, and kinds of credential that are not named, are nobody's question", async () => {
    await service.stop();
    expect(users.check(anonymous, deny)).toBe(anonymous);
    const key = principalOf("ada", { method: "api-key" });
    expect(users.check(key, deny)).toBe(key);
    expect(await look(principalOf("ada", { method: "session" }))).toBe("service-unavailable");
    configure({ for: ["api-key"] });
    expect(await look(principalOf())).toBe("in");
    expect(await look(key)).toBe("service-unavailable");
  });

  test("where no service is named, the identity is the one that was given", () => {
    users.configure(undefined, undefined);
    const identity = { identify: () => anonymous };
    expect(users.behind(identity)).toBe(identity);
  });

  test("behind an identity, whoever it finds is looked up, now or later", async () => {
    service.users.set("bob", { active: false });
    const named = (principal: Principal | Promise<Principal>) =>
      users.behind({ identify: () => principal }).identify({} as Presented, deny);
    expect(await named(principalOf())).toMatchObject({ subject: "ada" });
    expect(named(principalOf())).toMatchObject({ subject: "ada" });
    await expect(named(Promise.resolve(principalOf("bob")))).rejects.toThrow("credential-revoked");
    expect(named(anonymous)).toBe(anonymous);
  });

  test("of users with the same name at two issuers each has an answer of its own, where the path says so", async () => {
    const path = "/internal/users/{issuer}/{subject}";
    configure({ path });
    service.behave = ({ url }, response) =>
      response.end(JSON.stringify({ active: url!.includes("one") }));
    expect(await look(principalOf("ada", { issuer: "one" }))).toBe("in");
    expect(await look(principalOf("ada", { issuer: "two" }))).toBe("credential-revoked");
    expect(service.asked).toEqual(["/internal/users/one/ada", "/internal/users/two/ada"]);
    invalidations.forgetUser("ada");
    await look(principalOf("ada", { issuer: "one" }));
    expect(service.asked).toHaveLength(3);
  });

  test("no subject leads to another path, and one that might is never asked about", async () => {
    for (const subject of ["../admin", "..", "a/../../admin"])
      expect(await look(principalOf(subject), allow)).toBe("credential-revoked");
    await look(principalOf("a/b?c#d"));
    await look(principalOf("%2e%2e%2fadmin"));
    expect(service.asked).toEqual([
      "/internal/users/a%2Fb%3Fc%23d",
      "/internal/users/%252e%252e%252fadmin",
    ]);
  });
});

describe("answers that are none", () => {
  test.each([
    ["an error", 500, "{}"],
    ["a refusal", 403, "{}"],
    ["a redirect", 302, '{"active":true}'],
    ["another success", 204, ""],
    ["nothing", 200, ""],
    ["garbage", 200, "<html>"],
    ["not UTF-8", 200, Buffer.from([0x22, 0xff, 0x22])],
    ["a list", 200, "[]"],
    ["null", 200, "null"],
    ["no word about it", 200, '{"roles":["admin"]}'],
    ["nearly yes", 200, '{"active":"true"}'],
    ["no list of roles", 200, '{"active":true,"roles":"admin"}'],
    ["roles that are none", 200, '{"active":true,"roles":[1]}'],
    ["a role that is no text", 200, '{"active":true,"roles":["\\ud800"]}'],
    ["too much", 200, JSON.stringify({ active: true, note: "x".repeat(70_000) })],
  ])("%s lets nobody in", async (_name, status, body) => {
    service.behave = (_request, response) => {
      response.statusCode = status;
      if (status === 302) response.setHeader("location", "/internal/users/ada");
      response.end(body);
    };
    expect(await look()).toBe("service-unavailable");
    expect(await look(principalOf(), stale)).toBe("service-unavailable");
    expect(await look(principalOf(), allow)).toBe("in");
    expect(looks).toEqual(["unavailable", "unavailable", "allowed"]);
  });

  test("an answer that breaks off is none", async () => {
    service.behave = (_request, response) => {
      response.setHeader("content-length", "100");
      response.write('{"active":true}');
      setImmediate(() => response.destroy());
    };
    expect(await look()).toBe("service-unavailable");
  });

  test("a service that does not answer costs a request its time limit, and not more", async () => {
    configure({ timeout: "150ms" });
    service.hold();
    const start = performance.now();
    expect(await look()).toBe("service-unavailable");
    const took = performance.now() - start;
    expect(took).toBeGreaterThan(100);
    expect(took).toBeLessThan(1_500);
  });

  test("who had no answer does not ask again for a second", async () => {
    service.behave = (_request, response) => response.writeHead(500).end();
    for (let count = 0; count < 50; count += 1) await look();
    expect(service.asked).toHaveLength(1);
    service.behave = undefined;
    clock.advance(999);
    expect(await look()).toBe("service-unavailable");
    clock.advance(1);
    expect(await look()).toBe("in");
  });

  test("the client is told no more than that it is not known", async () => {
    await service.stop();
    const refusal = await Promise.resolve(users.check(principalOf(), deny)).catch(
      (error: unknown) => error as Refusal,
    );
    expect(refusal).toMatchObject({
      code: "service-unavailable",
      detail: "the user cannot be looked up at the moment",
    });
    expect(((refusal as Refusal).cause as Error).message).toContain("service users");
  });
});

describe("how often it is asked", () => {
  test("a thousand requests at once are one question", async () => {
    const hold = service.hold();
    const all = Promise.all(Array.from({ length: 1_000 }, () => look()));
    await vi.waitFor(() => expect(service.asked).toHaveLength(1));
    hold.release();
    expect(new Set(await all)).toEqual(new Set(["in"]));
    expect(service.asked).toHaveLength(1);
  });

  test("a busy user waits for no question: the answer is asked for again before it ends", async () => {
    await look();
    clock.advance(4 * minute);
    expect(isAnsweredAtOnce()).toBe(true);
    expect(service.asked).toHaveLength(1);
    clock.advance(10_000);
    service.users.set("ada", { active: true, roles: ["admin"] });
    expect(isAnsweredAtOnce()).toBe(true);
    await vi.waitFor(() =>
      expect(users.check(principalOf(), deny)).toMatchObject({ roles: ["admin"] }),
    );
    expect(service.asked).toHaveLength(2);
    for (let count = 0; count < 20; count += 1) {
      clock.advance(4 * minute + 10_000);
      expect(isAnsweredAtOnce(), `turn ${count}`).toBe(true);
      await vi.waitFor(() => expect(answers).toBe(3 + count));
      expect(service.asked).toHaveLength(3 + count);
    }
  });

  test("nobody asks about a user who does nothing, and whoever comes back late waits for a new answer", async () => {
    await look();
    clock.advance(5 * minute);
    expect(service.asked).toHaveLength(1);
    service.users.set("ada", { active: false });
    expect(await look()).toBe("credential-revoked");
  });

  test("another policy forgets what was said under the one before, the same one does not", async () => {
    await look();
    configure();
    expect(isAnsweredAtOnce()).toBe(true);
    configure({ ttl: "1m" });
    expect(isAnsweredAtOnce()).toBe(false);
    await vi.waitFor(() => expect(service.asked).toHaveLength(2));
  });

  test("a question that was on its way when the policy changed does not count", async () => {
    const hold = service.hold();
    const waiting = look();
    await vi.waitFor(() => expect(service.asked).toHaveLength(1));
    configure({ ttl: "1m" });
    service.users.set("ada", { active: false });
    hold.release();
    expect(await waiting).toBe("credential-revoked");
  });
});

describe("an invalidation", () => {
  test("of the user ends what was known at once, of others it does not", async () => {
    await look();
    invalidations.forgetUser("bob");
    expect(isAnsweredAtOnce()).toBe(true);
    service.users.set("ada", { active: false });
    invalidations.forgetUser("ada");
    expect(await look()).toBe("credential-revoked");
    expect(service.asked).toHaveLength(2);
    service.users.set("ada", { active: true });
    invalidations.forgetAll();
    expect(await look()).toBe("in");
  });

  test("a question that was on its way does not count: who waited is told what is true now", async () => {
    const hold = service.hold();
    const before = look();
    await vi.waitFor(() => expect(service.asked).toHaveLength(1));
    service.users.set("ada", { active: false });
    invalidations.forgetUser("ada");
    // Who comes now does not join the question from before.
    const after = look();
    await vi.waitFor(() => expect(service.asked).toHaveLength(2));
    hold.release();
    expect(await Promise.all([before, after])).toEqual([
      "credential-revoked",
      "credential-revoked",
    ]);
    expect(await look()).toBe("credential-revoked");
  });

  test("of a service that is away leaves nothing to go by", async () => {
    await look();
    await service.stop();
    invalidations.forgetUser("ada");
    expect(await look(principalOf(), stale)).toBe("service-unavailable");
  });

  test("again and again while it is asked for ends in a refusal, not in a loop", async () => {
    service.behave = (_request, response) => {
      invalidations.forgetUser("ada");
      response.end('{"active":true}');
    };
    expect(await look()).toBe("service-unavailable");
    expect(service.asked).toHaveLength(3);
  });

  test("a credential that was revoked while its user was asked for is refused", async () => {
    const hold = service.hold();
    const waiting = look(principalOf(), allow);
    await vi.waitFor(() => expect(service.asked).toHaveLength(1));
    vi.spyOn(revocations, "has").mockReturnValue(true);
    hold.release();
    expect(await waiting).toBe("credential-revoked");
  });
});

describe("a service that is away", () => {
  test("is no matter while the last answer counts", async () => {
    await look();
    await service.stop();
    clock.advance(5 * minute - 1);
    expect(await look()).toBe("in");
    expect(isAnsweredAtOnce()).toBe(true);
  });

  test("after that the route decides: refuse, go on with the last answer for so long again, or by the credential alone", async () => {
    service.users.set("ada", { active: true, roles: ["admin"] });
    await look();
    await service.stop();
    clock.advance(5 * minute);
    expect(await look(principalOf(), deny)).toBe("service-unavailable");
    expect(await users.check(principalOf(), stale)).toMatchObject({ roles: ["admin"] });
    expect(await users.check(principalOf(), allow)).toMatchObject({ roles: ["admin"] });
    clock.advance(5 * minute);
    expect(await look(principalOf(), stale)).toBe("service-unavailable");
    expect(await users.check(principalOf(), allow)).toMatchObject({ roles: ["user"] });
    expect(looks).toEqual(["active", "unavailable", "stale", "stale", "unavailable", "allowed"]);
    await service.start();
    clock.advance(1_000);
    expect(await look(principalOf(), deny)).toBe("in");
  });

  test("a last answer of no refuses where the last answer counts", async () => {
    service.users.set("ada", { active: false });
    await look();
    await service.stop();
    clock.advance(minute);
    expect(await look(principalOf(), stale)).toBe("credential-revoked");
    expect(await look(principalOf(), allow)).toBe("credential-revoked");
  });
});

describe("without news of invalidations", () => {
  test("an answer counts for thirty seconds more, and then it is asked for again", async () => {
    await look();
    clock.advance(2 * minute);
    ageMs = 30_000;
    expect(isAnsweredAtOnce()).toBe(true);
    ageMs = 30_001;
    expect(isAnsweredAtOnce()).toBe(false);
    await vi.waitFor(() => expect(service.asked).toHaveLength(2));
    await vi.waitFor(() => expect(isAnsweredAtOnce()).toBe(true));
    ageMs = undefined;
    clock.advance(30_000);
    expect(isAnsweredAtOnce()).toBe(true);
    clock.advance(1);
    expect(isAnsweredAtOnce()).toBe(false);
  });

  test("and with a service that is away too, nobody goes on with the last answer", async () => {
    await look();
    await service.stop();
    clock.advance(minute);
    ageMs = 31_000;
    expect(await look(principalOf(), stale)).toBe("service-unavailable");
    expect(await look(principalOf(), allow)).toBe("in");
    expect(looks.at(-1)).toBe("allowed");
  });
});
