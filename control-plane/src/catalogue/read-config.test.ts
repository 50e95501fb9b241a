import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { readConfig } from "./read-config.ts";

/** `line:column pointer message` of every problem. */
function problems(source: string, environment: Record<string, string> = {}): string[] {
  const read = readConfig(source, environment);
  return read.ok
    ? []
    : read.errors.map(
        ({ line, column, pointer, message }) => `${line}:${column} ${pointer} ${message}`,
      );
}

const wrong = `version: 1
enviroment: production
listen: { limits: { body: 10 Megabytes } }
services:
  users: { instances: [{ url: "ftp://users" }], helth: {} }
limits: { user: { key: user } }
routes:
  - id: one
    match: { path: /one }
    service: usrs
  - id: one
    match: { path: one }
    service: users
    auth: maybe
  - id: three
    match: { path: /three }
    service: users
    cache: long
  - id: four
    match: { path: "/{x}/a", methods: [GTE] }
    service: users
    auth: { mode: required, roles: { any: admin }, via: [api-key] }
  - { id: five, match: { path: "/three" }, service: "\${NOPE}" }
`;

describe("a wrong config", () => {
  test("tells every problem at once, in the order of the text, with what was found and what is allowed", () => {
    expect(problems(wrong)).toMatchInlineSnapshot(`
      [
        "2:1 /enviroment unknown key "enviroment"; did you mean "environment"?",
        "3:27 /listen/limits/body "10 Megabytes" is not a size: write 16KiB, 10MiB or 1GiB",
        "5:31 /services/users/instances/0/url "ftp://users" is not an http or https URL",
        "5:49 /services/users/helth unknown key "helth"; did you mean "health"?",
        "6:1 /limits "limits" is not supported yet",
        "10:14 /routes/0/service unknown service "usrs"; known: users; did you mean "users"?",
        "11:9 /routes/1/id the route id "one" is taken by routes[0]",
        "12:20 /routes/1/match/path "one" is not a path: it starts with "/" and has no "?", "#", "\\" or blanks",
        "14:11 /routes/1/auth found "maybe", allowed: required, optional, none",
        "18:5 /routes/2/cache "cache" is not supported yet",
        "20:40 /routes/3/match/methods/0 found "GTE", allowed: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS; did you mean "GET"?",
        "22:43 /routes/3/auth/roles/any found "admin", expected an array",
        "22:58 /routes/3/auth/via/0 there are no API keys: identity.apiKeys is not set",
        "23:24 /routes/4/match GET /three is already matched by the route "three"",
        "23:53 /routes/4/service the environment variable NOPE is not set, and has no default (\${NOPE:-…})",
      ]
    `);
  });

  test.each([
    ["a key that stands twice", "version: 1\nversion: 1\n", /2:1.*unique/],
    ["no YAML", "routes: [", /1:\d+/],
    ["nothing", "", /1:1 \/version/],
    ["a list", "[]", /1:1/],
    ["an alias within its own anchor", "&a [*a, *a]", /nested/],
    ["a hundred thousand brackets", "[".repeat(100_000), /1:\d+/],
    [
      "a short secret",
      "version: 1\nidentity: { issuers: [{ issuer: a, audience: b, algorithms: [HS256], secret: short }] }",
      /5 bytes.*at least 32/,
    ],
    [
      "HS and RS at one issuer",
      'version: 1\nidentity: { issuers: [{ issuer: a, audience: b, algorithms: [HS256, RS256], secret: "0123456789abcdef0123456789abcdef" }] }',
      /not both/,
    ],
    [
      "RS without keys",
      "version: 1\nidentity: { issuers: [{ issuer: a, audience: b, algorithms: [RS256] }] }",
      /needs jwks/,
    ],
    [
      "keys fetched in the open, in production",
      "version: 1\nidentity: { issuers: [{ issuer: a, audience: b, algorithms: [RS256], jwks: { url: 'http://keys.example/set' } }] }",
      /over https/,
    ],
    [
      "roles on an open route",
      "version: 1\nservices: { a: }\nroutes: [{ id: a, match: { path: /a }, service: a, auth: { mode: none, roles: { any: [x] } } }]",
      /need mode: required/,
    ],
    [
      "an instance URL with a path",
      'version: 1\nservices: { a: { instances: [{ url: "http://h/p" }] } }',
      /scheme, host and port/,
    ],
  ])("%s", (_what, source, expected) => {
    const found = problems(source);
    expect(found.join("\n")).toMatch(expected);
  });
});

describe("references to the environment", () => {
  const config = (secret: string) =>
    `version: 1\nidentity: { issuers: [{ issuer: a, audience: b, algorithms: [HS256], secret: "${secret}" }] }\n`;
  const long = "0123456789abcdef0123456789abcdef";

  test("are resolved, with defaults, and can be escaped", () => {
    const secretOf = (text: string, environment: Record<string, string> = {}) => {
      const read = readConfig(config(text), environment);
      return read.ok ? read.config.identity.issuers[0]?.secret : read.errors;
    };
    expect(secretOf("${KEY}", { KEY: long })).toBe(long);
    expect(secretOf(`\${KEY:-${long}}`)).toBe(long);
    expect(secretOf(`\${KEY:-${long}}`, { KEY: "" })).toBe(long);
    expect(secretOf(`$\${KEY}${long}`)).toBe(`\${KEY}${long}`);
  });

  test("one that is not set is the only complaint about its place", () => {
    expect(problems(config("${KEY}"))).toEqual([
      expect.stringMatching(
        /^2:\d+ \/identity\/issuers\/0\/secret the environment variable KEY is not set/,
      ),
    ]);
    expect(problems(config("${not a name}"))).toEqual([
      expect.stringContaining("is not a reference"),
    ]);
  });
});

test("whatever the text is, it is read or refused, never thrown at", () => {
  const word = fc.constantFrom(
    "version",
    "routes",
    "services",
    "match",
    "auth",
    "identity",
    "issuers",
    "limits",
    "id",
    "path",
    "users",
    "/x",
    "${A}",
    "__proto__",
    "constructor",
    "&a",
    "*a",
    "1",
    "null",
    "[",
    "]",
    "{",
    "}",
    ":",
    "- ",
    "\n",
    "  ",
    '"',
    "'",
    ",",
    "#",
    "|",
    "\t",
    "\u0000",
    "é",
  );
  fc.assert(
    fc.property(fc.array(word, { maxLength: 40 }), (words) => {
      const read = readConfig(words.join(""), {});
      expect(typeof read.ok).toBe("boolean");
    }),
    { numRuns: 3_000 },
  );
  fc.assert(
    fc.property(fc.json(), (text) => {
      const read = readConfig(text, {});
      expect(read.ok || read.errors.length > 0).toBe(true);
    }),
    { numRuns: 1_000 },
  );
});
