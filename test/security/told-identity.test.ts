/** Names as services get them: whatever they are made of, each field is one, its elements can be told apart, and decoding gives them back. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { modes } from "../harness/gateway.ts";
import { converse } from "../harness/raw.ts";
import { valuesIn } from "../harness/witness.ts";
import { startKit, type Kit, type Shown } from "./access-kit.ts";
import { shapes, textOf } from "./access-shapes.ts";

const usual = "ada";
/** As names of people and of roles, which may hold anything but control characters. */
const hostile: readonly string[] = [
  "a,b",
  ",",
  ",,a,,",
  "a, b",
  "100%",
  "%2C",
  "%",
  "%zz%00%0d%0aX-User-ID: root",
  "a;b=c",
  'a "b" c',
  "back\\slash",
  " a ",
  "a\u00a0b",
  "Ädä Løvelace",
  "艾达",
  "🦀👩‍💻",
  "e\u0301 and \u00e9",
  "\u202eada",
  "\u2028\u2029\ufeff",
  "ada@example.com",
  "auth0|5f7c8ec7c33c6c004bbafe82",
  "https://example.com/users/7?a=b#c",
  "CN=Ada,OU=Users,DC=example,DC=com",
  "X-User-ID: root",
  "none",
  "__proto__",
  "x".repeat(512),
  "ä".repeat(512),
  "🦀".repeat(128),
];
/** What a token's roles may hold, too: nothing says that they are text for people. */
const control: readonly string[] = [
  "a\r\nX-User-ID: root",
  "a\nb",
  "a\tb",
  "a\u0000b",
  "\u007f\u0085",
  "\u001b[31m",
];

describe.each(modes)("who asks, as services are told, %s", (mode) => {
  let kit: Kit;
  beforeAll(async () => {
    kit = await startKit(mode);
  }, 60_000);
  afterAll(() => kit?.[Symbol.asyncDispose]());

  /** Sends it through each proxy as a plain request and as a handshake. @returns the fields that the service got */
  async function told(shown: Shown) {
    const all = [];
    for (const url of kit.gateway.urls)
      for (const shape of shapes.filter(({ name }) => ["GET", "WebSocket"].includes(name))) {
        kit.witness.heard.length = 0;
        const [answer] = await converse(url, textOf(shape, "/required", shown, url));
        expect(answer!.status).toBe(shape.status);
        const heard = kit.witness.heard.filter(({ url }) => url === "/required");
        expect(heard).toHaveLength(1);
        all.push(heard[0]!.fields);
      }
    return all;
  }

  /** Says what a field says: once, in visible ASCII that ends nothing, and as what it was. */
  function expectNames(
    fields: Awaited<ReturnType<typeof told>>[number],
    name: string,
    names: readonly string[],
  ) {
    const values = valuesIn(fields, name);
    expect(values).toHaveLength(names.length === 0 ? 0 : 1);
    if (names.length === 0) return;
    expect(values[0]).toMatch(/^[\x21-\x7e]*$/);
    expect(values[0]).not.toMatch(/[";\\]/);
    expect(values[0]!.split(",").map((each) => decodeURIComponent(each))).toEqual(names);
  }

  const bearer = async (claims: object): Promise<Shown> => [
    ["Authorization", `Bearer ${await kit.token({ ...claims })}`],
  ];

  test.each(hostile)("%j as subject, role and scope of a token", async (name) => {
    for (const fields of await told(
      await bearer({ sub: name, roles: [name, usual], scope: [usual, name] }),
    )) {
      expect(valuesIn(fields, "x-auth-method")).toEqual(["jwt"]);
      expectNames(fields, "x-user-id", [name]);
      expectNames(fields, "x-user-roles", [name, usual]);
      expectNames(fields, "x-user-scopes", [usual, name]);
    }
  });

  test.each(control)("%j as a role of a token; as its subject it is refused", async (name) => {
    for (const fields of await told(await bearer({ roles: [name] })))
      expectNames(fields, "x-user-roles", [name]);
    kit.witness.heard.length = 0;
    for (const answer of await kit.gateway.askAll("/required", {
      token: await kit.token({ sub: name }),
    }))
      expect(answer.json()["code"]).toBe("credential-invalid");
    expect(kit.witness.heard).toEqual([]);
  });

  test.each(hostile)("%j as principal and role of an API key", async (name) => {
    const roles = name.length > 128 ? [] : [name, usual];
    const made = await kit.gateway.admin("POST", "/v1/api-keys", {
      principal: name,
      roles,
      scopes: ["read", "users:write"],
    });
    expect([made.status, made.text]).toEqual([201, made.text]);
    for (const fields of await told([["X-API-Key", String(made.json()["key"])]])) {
      expect(valuesIn(fields, "x-auth-method")).toEqual(["api-key"]);
      expectNames(fields, "x-user-id", [name]);
      expectNames(fields, "x-user-roles", roles);
      expectNames(fields, "x-user-scopes", ["read", "users:write"]);
    }
  });

  test.each(hostile)("%j as subject, role and scope of a session", async (name) => {
    const names = name.length > 128 ? [] : [name, usual];
    const made = await kit.gateway.admin("POST", "/v1/sessions", {
      subject: name,
      roles: names,
      scopes: names,
    });
    expect([made.status, made.text]).toEqual([201, made.text]);
    for (const fields of await told([["Cookie", `sid=${String(made.json()["cookie"])}`]])) {
      expect(valuesIn(fields, "x-auth-method")).toEqual(["session"]);
      expect(valuesIn(fields, "x-auth-session")).toEqual([made.json()["sid"]]);
      expectNames(fields, "x-user-id", [name]);
      expectNames(fields, "x-user-roles", names);
      expectNames(fields, "x-user-scopes", names);
    }
  });

  test.each(control)("%j is refused where keys and sessions are made", async (name) => {
    for (const [path, body] of [
      ["/v1/api-keys", { principal: name }],
      ["/v1/api-keys", { principal: usual, roles: [name] }],
      ["/v1/sessions", { subject: name }],
      ["/v1/sessions", { subject: usual, scopes: [name] }],
    ] as const) {
      const answer = await kit.gateway.admin("POST", path, body);
      expect([path, answer.status]).toEqual([path, 422]);
    }
  });

  test("many long roles arrive whole, each once", async () => {
    const roles = Array.from({ length: 120 }, (_, index) => `role-${index}-${"x".repeat(30)}`);
    for (const fields of await told(await bearer({ roles: [...roles, ...roles.slice(0, 5)] })))
      expectNames(fields, "x-user-roles", roles);
  });

  test("who has no roles and no scopes has no fields for them", async () => {
    for (const fields of await told(await bearer({ roles: [], scope: "" })))
      expect(fields.filter(([name]) => /^x-(user|auth)/.test(name))).toEqual([
        ["x-auth-method", "jwt"],
        ["x-user-id", "ada"],
      ]);
  });
});
