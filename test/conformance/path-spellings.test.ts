/**
 * Ways to spell a path. `/admin/*` needs a role, `/*` is open: no spelling may reach the upstream past the role that a server would
 * read as `/admin`. What is matched, authorised and sent is one string.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Identity } from "../../proxy/src/identity/identity.ts";
import type { IdentifiedPrincipal } from "../../proxy/src/identity/principal.ts";
import {
  answering,
  codeOf,
  get,
  ok,
  startRawOrigin,
  startTestGateway,
  statusOf,
} from "../../proxy/src/listener/gateway.fixture.ts";
import type { RawOrigin, TestGateway } from "../../proxy/src/listener/gateway.fixture.ts";
import { Denial } from "../../shared/src/denial.ts";

const holder = (...roles: string[]): IdentifiedPrincipal => ({
  method: "jwt",
  subject: "ada",
  issuer: "test",
  roles,
  scopes: [],
  expiresAt: 4e9,
  credential: {
    issuer: "test",
    subject: "ada",
    issuedAt: 0,
    jti: undefined,
    fingerprint: undefined,
  },
  headers: [],
});

/** The token is the role. */
const byRole: Identity = {
  identify({ head: { authorization } }) {
    if (authorization === undefined) throw new Denial("credential-missing", "credential-absent");
    return holder(authorization.slice("Bearer ".length));
  },
};

let origin: RawOrigin;
let gateway: TestGateway;
beforeAll(async () => {
  origin = await startRawOrigin(answering(ok));
  gateway = await startTestGateway({
    to: [origin.port],
    identity: byRole,
    config: {
      routes: [
        {
          id: "admin",
          match: { path: "/admin/*" },
          service: "a",
          auth: { mode: "required", roles: { any: ["admin"] } },
        },
        { id: "open", match: { path: "/*" }, service: "a", auth: "none" },
      ],
    },
  });
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  await origin[Symbol.asyncDispose]();
});
beforeEach(() => {
  for (const connection of origin.connections) connection.received = "";
});

/** What of a request line the upstream got, if anything. */
const sent = () => /^GET (\S+) HTTP\/1\.1\r\n/.exec(origin.received())?.[1];

/** Refused to everybody, the holder of the role too: who cannot say it plainly has no need to say it. */
const refused: Readonly<Record<string, readonly string[]>> = {
  "dot segments": [
    "/../admin/users",
    "/./admin/users",
    "/public/../admin/users",
    "/public/./../admin/users",
    "/public/x/../../admin/users",
    "/admin/../admin/users",
    "/public/..",
    "/public/.",
    "/public//../admin/users",
    "/public/../../../../admin/users",
  ],
  "encoded dot segments": [
    "/public/%2e%2e/admin/users",
    "/public/%2E%2E/admin/users",
    "/public/.%2e/admin/users",
    "/public/%2e./admin/users",
    "/%2e/admin/users",
    "/public/%252e%252e/admin/users",
    "/public/%252E./admin/users",
    "/public/%25252e%25252e/admin/users",
    "/public/%2525252e%2525252e/admin/users",
    "/public/%25%32%65%25%32%65/admin/users",
    "/public/%%32%65%%32%65/admin/users",
    "/public/%u002e%u002e/admin/users",
    "/public/%25u002e%25u002e/admin/users",
    "/public/%c0%ae%c0%ae/admin/users",
    "/public/%c0%2e%c0%2e/admin/users",
    "/public/%e0%80%ae%e0%80%ae/admin/users",
    "/public/%f0%80%80%ae%f0%80%80%ae/admin/users",
    "/public/%f8%80%80%80%ae%f8%80%80%80%ae/admin/users",
    "/public/%fc%80%80%80%80%ae%fc%80%80%80%80%ae/admin/users",
    "/public/%25c0%25ae%25c0%25ae/admin/users",
    "/public/%EF%BC%8E%EF%BC%8E/admin/users",
    "/public/%E2%80%A5/admin/users",
    "/public/%E2%80%A4%E2%80%A4/admin/users",
  ],
  "dot segments with something behind": [
    "/public/..;/admin/users",
    "/public/..;x=1/admin/users",
    "/public/%2e%2e;/admin/users",
    "/public/..%3b/admin/users",
    "/public/..%3bx/admin/users",
    "/public/.;/admin/users",
    "/public/..%20/admin/users",
    "/public/..%00/admin/users",
    "/public/..%EF%BC%9B/admin/users",
  ],
  "encoded slashes": [
    "/%2fadmin/users",
    "/%2Fadmin%2Fusers",
    "/admin%2fusers",
    "/admin%2Fusers",
    "/public%2f..%2fadmin/users",
    "/public/..%2fadmin/users",
    "/admin%252fusers",
    "/admin%25252fusers",
    "/admin%u2215users",
    "/admin%c0%afusers",
    "/admin%c1%9cusers",
    "/admin%e0%80%afusers",
    "/admin%f0%80%80%afusers",
    "/admin%EF%BC%8Fusers",
    "/%EF%BC%8Fadmin/users",
  ],
  backslashes: [
    "/admin\\users",
    "\\admin\\users",
    "/\\admin/users",
    "/public/..\\admin/users",
    "/public\\..\\admin/users",
    "/admin%5cusers",
    "/%5Cadmin/users",
    "/public/..%5cadmin/users",
    "/admin%255cusers",
    "/public/..%255cadmin/users",
    "/admin%EF%BC%BCusers",
  ],
  "NUL and other control characters": [
    "/admin%00/users",
    "/%00/admin/users",
    "/admin%00.html",
    "/adm%00in/users",
    "/admin%2500/users",
    "/admin%09/users",
    "/admin%0a/users",
    "/admin%0d%0aX:1/users",
    "/admin%7f/users",
    "/admin%c0%80/users",
  ],
  parameters: [
    "/admin;/users",
    "/admin;x/users",
    "/admin;x=1;y=2/users",
    "/;/admin/users",
    "/;x=1/admin/users",
    "/admin%3b/users",
    "/admin%3Bx/users",
    "/admin%253bx/users",
    "/admin%EF%BC%9Bx/users",
  ],
  "empty segments, and what looks like a host": [
    "//admin/users",
    "///admin/users",
    "/;//admin/users",
    "//gw.test/admin/users",
    "//other.test/admin/users",
    "//%67w.test/admin/users",
  ],
  "letters encoded more than once": [
    "/%2561dmin/users",
    "/%25%36%31dmin/users",
    "/%252561dmin/users",
    "/%25252561dmin/users",
    "/%2541DMIN/users",
    "/%%361dmin/users",
    "/%u0061dmin/users",
  ],
  "dots and blanks behind a segment": [
    "/admin./users",
    "/admin../users",
    "/admin.../users",
    "/admin%2e/users",
    "/admin%20/users",
    "/admin.%20/users",
    "/admin%20./users",
    "/admin%252e/users",
    "/admin.",
    "/admin%20",
    "/admin.;x/users",
  ],
  "what ends a path": ["/admin%3Fx/users", "/admin%3f", "/admin%23/users", "/admin#/users"],
  "characters that look alike and mean the same": [
    "/%EF%BD%81dmin/users",
    "/%EF%BD%81%EF%BD%84%EF%BD%8D%EF%BD%89%EF%BD%8E/users",
    "/%ef%bd%81dmin/users",
    "/%EF%BC%A1dmin/users",
    "/%F0%9D%90%9Admin/users",
    "/%E2%93%90dmin/users",
    "/%C2%AAdmin/users",
    "/adm%E2%81%B1n/users",
    "/admin%E3%80%80/users",
    "/\xef\xbd\x81dmin/users",
  ],
  "the case of letters": [
    "/ADMIN/users",
    "/Admin/users",
    "/adMin",
    "/%41dmin/users",
    "/%41%44%4D%49%4E/users",
    "/ADMIN;x/users",
    "//ADMIN/users",
    "/ADMIN./users",
  ],
  "absolute targets": [
    "http://gw.test/public/../admin/users",
    "http://gw.test/%2e%2e/admin/users",
    "http://gw.test//admin/users",
    "http://gw.test/admin;/users",
    "http://gw.test/ADMIN/users",
    "http://gw.test/admin%2fusers",
    "http://gw.test\\admin/users",
    "http://gw.test/admin/users#",
    "http://other.test/admin/users",
    "http://gw.test:81/admin/users",
    "https://gw.test/admin/users",
  ],
};

for (const [what, targets] of Object.entries(refused)) {
  describe(`${what}: refused, and the upstream sees nothing`, () => {
    test.each(targets)("%s", async (target) => {
      for (const role of [undefined, "user", "admin"]) {
        const answer = await get(
          gateway.port,
          target,
          role === undefined ? [] : [`Authorization: Bearer ${role}`],
        );
        expect({ status: statusOf(answer), code: codeOf(answer) }).toEqual({
          status: 400,
          code: "bad-request",
        });
        expect(sent()).toBeUndefined();
      }
    });
  });
}

/** Paths of the protected route: how they are spelled, and how they are matched, authorised and sent. */
const guarded: readonly (readonly [target: string, sent: string])[] = [
  ["/admin", "/admin"],
  ["/admin/", "/admin/"],
  ["/admin?x", "/admin?x"],
  ["/admin/users", "/admin/users"],
  ["/admin/users?next=/../public", "/admin/users?next=/../public"],
  ["/%61dmin/users", "/admin/users"],
  ["/%61%64%6D%69%6E/users", "/admin/users"],
  ["/%61%64%6d%69%6e/users", "/admin/users"],
  ["/admin/%75sers", "/admin/users"],
  ["/admin/caf%c3%a9", "/admin/caf%C3%A9"],
  ["/admin/%7Eada", "/admin/~ada"],
  ["/admin//users", "/admin//users"],
  ["/admin/;/users", "/admin/;/users"],
  ["/admin/users;v=1", "/admin/users;v=1"],
  ["/admin/users.", "/admin/users."],
  ["/admin/USERS", "/admin/USERS"],
  ["/admin/ADMIN", "/admin/ADMIN"],
  ["http://gw.test/admin/users", "/admin/users"],
  ["http://GW.test:80/%61dmin/users?x", "/admin/users?x"],
];

describe("spellings of the protected route ask for its role, and are sent as they were matched", () => {
  test.each(guarded)("%s is %s", async (target, expected) => {
    expect(statusOf(await get(gateway.port, target))).toBe(401);
    expect(statusOf(await get(gateway.port, target, ["Authorization: Bearer user"]))).toBe(403);
    expect(sent()).toBeUndefined();
    const answer = await get(gateway.port, target, ["Authorization: Bearer admin"]);
    expect(statusOf(answer)).toBe(200);
    expect(sent()).toBe(expected);
    expect(gateway.records.at(-1)).toMatchObject({ route: "admin", path: expected.split("?")[0] });
  });
});

/** Paths that no server takes for the protected ones. */
const open: readonly (readonly [target: string, sent: string])[] = [
  ["/", "/"],
  ["/administration", "/administration"],
  ["/admin-panel", "/admin-panel"],
  ["/admin.html", "/admin.html"],
  ["/public/admin/users", "/public/admin/users"],
  ["/adm/in/users", "/adm/in/users"],
  ["/public?/../admin/users", "/public?/../admin/users"],
  ["/public?path=%2fadmin%00", "/public?path=%2fadmin%00"],
  ["/.well-known/admin", "/.well-known/admin"],
  ["/public/..admin/...x", "/public/..admin/...x"],
  ["/public/100%25", "/public/100%25"],
  ["/Public/Users/Ada", "/Public/Users/Ada"],
  ["/public/caf%c3%a9/%E6%97%A5", "/public/caf%C3%A9/%E6%97%A5"],
  ["/public/to%20be%E2%80%A6", "/public/to%20be%E2%80%A6"],
  ["/public/caf%E9", "/public/caf%E9"],
  ["//public/x", "//public/x"],
  ["/public;v=1/x", "/public;v=1/x"],
];

describe("open paths stay open, and are sent as they were matched", () => {
  test.each(open)("%s is %s", async (target, expected) => {
    const answer = await get(gateway.port, target);
    expect(statusOf(answer)).toBe(200);
    expect(sent()).toBe(expected);
    expect(gateway.records.at(-1)).toMatchObject({ route: "open", path: expected.split("?")[0] });
  });
});

test("there are at least 60 spellings, none twice", () => {
  const all = Object.values(refused).flat();
  expect(new Set(all).size).toBe(all.length);
  expect(all.length).toBeGreaterThanOrEqual(60);
});
