/** API keys that must be let in, and those that must not: each of these is a line of `test/security/hostile-keys.ts`. */
import { beforeEach, describe, expect, test } from "vitest";
import { Refusal, silentLog } from "@tocsin/shared";
import { digestOfKey, freshKey } from "@tocsin/shared/api-keys";
import type { ApiKeyEntry, AuthPolicy } from "@tocsin/shared/contract";
import { ApiKeyPolicy } from "@tocsin/shared/contract";
import { RevocationSet } from "@tocsin/shared/revocations";
import { readHead } from "../../upstream/request-head.ts";
import { kindOf, pass } from "../../upstream/fields.ts";
import { ambiguousKeys, wrongKeys } from "../../../../test/security/hostile-keys.ts";
import { createIdentity, type ConfigurableIdentity } from "../create.ts";
import { ManualClock } from "../testing/manual-clock.ts";
import { ApiKeyTable } from "./table.ts";

const id = "abcdefgh2345";
const required: AuthPolicy = { mode: "required" };
const optional: AuthPolicy = { mode: "optional" };
const none: AuthPolicy = { mode: "none" };

let clock: ManualClock;
let table: ApiKeyTable;
let revocations: RevocationSet;
let identity: ConfigurableIdentity;

beforeEach(() => {
  clock = new ManualClock();
  table = new ApiKeyTable();
  revocations = new RevocationSet();
  identity = createIdentity({
    clock,
    random: () => 0.5,
    log: silentLog,
    revocations,
    apiKeys: table,
  });
  identity.configure({ issuers: [], apiKeys: { header: "x-api-key" } }, { production: true });
});

function entry(keys: readonly string[], more: Partial<ApiKeyEntry> = {}): ApiKeyEntry {
  const issuedAt = clock.seconds;
  return {
    v: 1,
    kind: "api-key",
    id,
    revision: 1,
    principal: "billing",
    roles: ["reader"],
    scopes: ["orders:read"],
    limits: [],
    createdAt: issuedAt,
    secrets: keys.map((key) => ({ hash: digestOfKey(key), issuedAt })),
    ...more,
  };
}

/** Asks with fields as they come from the wire. @returns what became of it, and what the upstream would get */
async function ask(fields: readonly string[], policy = required) {
  const head = readHead(["Host", "api.example", ...fields]);
  if (head.fault !== undefined) return { outcome: "bad-request", passing: [] };
  try {
    const principal = await identity.identify(
      { method: "GET", head, origin: { trusted: false } },
      policy,
    );
    const outcome = principal.method === "none" ? "anonymous" : principal.subject;
    return { outcome, passing: head.passing, principal };
  } catch (error) {
    if (error instanceof Refusal) return { outcome: error.code, passing: head.passing };
    throw error;
  }
}

const outcome = async (fields: readonly string[], policy = required) =>
  (await ask(fields, policy)).outcome;

describe("a key", () => {
  test("speaks for its principal, with roles and scopes, and is not for the upstream", async () => {
    const key = freshKey(id);
    table.set(entry([key]));
    const fields = ["Accept", "*/*", "X-API-Key", key, "X-Other", "1"];
    const { principal, passing } = await ask(fields);
    expect(principal).toMatchObject({
      method: "api-key",
      subject: "billing",
      issuer: "",
      roles: ["reader"],
      scopes: ["orders:read"],
      expiresAt: Infinity,
      credential: { apiKey: id, subject: "billing", issuer: "", issuedAt: clock.seconds },
      headers: [
        "X-Auth-Method",
        "api-key",
        "X-User-ID",
        "billing",
        "X-User-Roles",
        "reader",
        "X-User-Scopes",
        "orders:read",
      ],
    });
    expect(passing).toEqual(["Accept", "*/*", "X-Other", "1"]);
  });

  test("is taken out in any case, on routes that look at no credential too", async () => {
    const key = freshKey(id);
    table.set(entry([key]));
    for (const name of ["x-api-key", "X-API-KEY", "X-Api-Key"])
      for (const policy of [required, optional, none]) {
        const { outcome, passing } = await ask([name, key, "a", "b"], policy);
        expect(outcome).toBe(policy === none ? "anonymous" : "billing");
        expect(passing).toEqual(["a", "b"]);
      }
  });

  test("passes as any other field where the config has no keys", async () => {
    identity.configure({ issuers: [] }, { production: true });
    const { outcome, passing } = await ask(["X-API-Key", "theirs"], optional);
    expect(outcome).toBe("anonymous");
    expect(passing).toEqual(["X-API-Key", "theirs"]);
  });

  test("stands in the field that the config names", async () => {
    const key = freshKey(id);
    table.set(entry([key]));
    identity.configure({ issuers: [], apiKeys: { header: "x-service-key" } }, { production: true });
    expect(await outcome(["X-Service-Key", key])).toBe("billing");
    expect(await outcome(["X-API-Key", key])).toBe("credential-missing");
  });

  test("counts on a route that takes it, and is invalid on one that does not, never anonymous", async () => {
    const key = freshKey(id);
    table.set(entry([key]));
    expect(await outcome(["x-api-key", key], { mode: "required", via: ["api-key"] })).toBe(
      "billing",
    );
    for (const mode of ["required", "optional"] as const)
      expect(await outcome(["x-api-key", key], { mode, via: ["jwt"] })).toBe("credential-invalid");
  });

  test("that is replaced is good until its overlap is over, and no longer", async () => {
    const [older, newer] = [freshKey(id), freshKey(id)];
    const [now, before] = entry([newer, older]).secrets as [
      ApiKeyEntry["secrets"][0],
      ApiKeyEntry["secrets"][0],
    ];
    const endsAt = clock.seconds + 60;
    table.set(entry([], { secrets: [now, { ...before, endsAt }] }));
    const shown = await ask(["x-api-key", older]);
    expect(shown.principal).toMatchObject({ subject: "billing", expiresAt: endsAt });
    clock.advance(59_999);
    expect(await outcome(["x-api-key", older])).toBe("billing");
    clock.advance(1);
    expect(await outcome(["x-api-key", older])).toBe("credential-expired");
    expect(await outcome(["x-api-key", newer])).toBe("billing");
    // At once, even to a proxy whose clock is an hour behind.
    table.set(entry([], { secrets: [now, { ...before, endsAt: 0 }] }));
    clock.setWall(clock.wall() - 3_600_000);
    expect(await outcome(["x-api-key", older])).toBe("credential-expired");
  });

  test("ends when it was said to end", async () => {
    const key = freshKey(id);
    table.set(entry([key], { expiresAt: clock.seconds + 1 }));
    expect(await outcome(["x-api-key", key])).toBe("billing");
    clock.advance(1_000);
    expect(await outcome(["x-api-key", key])).toBe("credential-expired");
  });

  test("of a user who was revoked is revoked, unless it was made later", async () => {
    const key = freshKey(id);
    table.set(entry([key]));
    expect(await outcome(["x-api-key", key])).toBe("billing");
    revocations.addUser("billing", undefined, clock.seconds, clock.seconds + 3_600);
    expect(await outcome(["x-api-key", key])).toBe("credential-revoked");
    const [secret] = entry([key]).secrets;
    table.set(entry([], { secrets: [{ ...secret!, issuedAt: clock.seconds + 1 }] }));
    expect(await outcome(["x-api-key", key])).toBe("billing");
  });

  test("that the catalogue calls revoked is revoked, and one that is gone is unknown", async () => {
    const key = freshKey(id);
    table.set(entry([key], { revokedAt: clock.seconds }));
    expect(await outcome(["x-api-key", key])).toBe("credential-revoked");
    table.delete(id);
    expect(await outcome(["x-api-key", key])).toBe("credential-invalid");
  });
});

describe("what is used", () => {
  test("is told once in a round or two, and only when it let somebody in", async () => {
    const key = freshKey(id);
    table.set(entry([key]));
    await outcome(["x-api-key", freshKey(id)]);
    expect(table.takeUsed()).toEqual([]);
    await outcome(["x-api-key", key]);
    await outcome(["x-api-key", key]);
    expect(table.takeUsed()).toEqual([id]);
    await outcome(["x-api-key", key]);
    expect(table.takeUsed()).toEqual([]);
    table.nextRound();
    table.nextRound();
    await outcome(["x-api-key", key]);
    expect(table.takeUsed()).toEqual([id]);
  });

  test("is told in messages of at most a thousand", () => {
    const ids = Array.from({ length: 1_500 }, (_, index) => `a${index}`);
    for (const one of ids) table.set(entry([freshKey(id)], { id: one }));
    for (const one of ids) table.note(table.get(one)!);
    expect(table.takeUsed()).toHaveLength(1_000);
    expect(table.takeUsed()).toHaveLength(500);
    expect(table.takeUsed()).toHaveLength(0);
  });
});

describe("hostile keys", () => {
  const key = freshKey(id);
  beforeEach(() => table.set(entry([key])));

  test.each(wrongKeys(key, id))("%s is invalid, on optional routes too", async (_, text) => {
    expect(text).not.toBe(key);
    for (const policy of [required, optional]) {
      const { outcome, passing } = await ask(["X-API-Key", text], policy);
      expect(outcome).toBe("credential-invalid");
      expect(passing).toEqual([]);
    }
  });

  test.each(ambiguousKeys(key))("%s: a bad request, on optional routes too", async (_, fields) => {
    for (const policy of [required, optional])
      expect(await outcome(fields, policy)).toBe("bad-request");
  });

  test("in Authorization, in a cookie or under another name it is no key", async () => {
    expect(await outcome(["Authorization", `ApiKey ${key}`])).toBe("credential-invalid");
    expect(await outcome(["Authorization", `Bearer ${key}`])).toBe("credential-invalid");
    expect(await outcome(["Cookie", `x-api-key=${key}`])).toBe("credential-missing");
    expect(await outcome(["api-key", key])).toBe("credential-missing");
    expect(await outcome(["x-api-key2", key])).toBe("credential-missing");
  });
});

test("no field that the gateway itself reads or drops can be that of the keys", () => {
  const known =
    "connection keep-alive proxy-connection te trailer transfer-encoding upgrade http2-settings proxy-authorization proxy-authenticate host authorization content-length expect x-user-id x-user-roles x-user-scopes x-auth-method x-auth-session x-request-id x-forwarded-for x-forwarded-proto x-forwarded-host x-forwarded-port forwarded x-real-ip x-original-url x-rewrite-url traceparent tracestate via".split(
      " ",
    );
  for (const header of known) {
    expect(kindOf(header), header).not.toBe(pass);
    expect(ApiKeyPolicy.safeParse({ header }).success, header).toBe(false);
  }
});
