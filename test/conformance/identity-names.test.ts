/**
 * Ways to name or spell the fields by which the gateway tells an upstream who asks. Each is a line, tried on an open, an optional and a
 * required route: nothing of it may reach the upstream, and what the gateway itself says stands there once.
 */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Identity } from "../../proxy/src/identity/identity.ts";
import { anonymous } from "../../proxy/src/identity/principal.ts";
import type { IdentifiedPrincipal } from "../../proxy/src/identity/principal.ts";
import {
  answering,
  converse,
  get,
  ok,
  startRawOrigin,
  startTestGateway,
  statusOf,
} from "../../proxy/src/listener/gateway.fixture.ts";
import type { RawOrigin, TestGateway } from "../../proxy/src/listener/gateway.fixture.ts";

const ada: IdentifiedPrincipal = {
  method: "jwt",
  subject: "ada",
  issuer: "test",
  roles: ["user"],
  scopes: ["read"],
  expiresAt: 4e9,
  credential: {
    issuer: "test",
    subject: "ada",
    issuedAt: 0,
    jti: undefined,
    fingerprint: undefined,
  },
  headers: [
    "X-User-ID",
    "ada",
    "X-User-Roles",
    "user",
    "X-User-Scopes",
    "read",
    "X-Auth-Method",
    "jwt",
  ],
};

const byToken: Identity = {
  identify: ({ head }) => (head.authorization === undefined ? anonymous : ada),
};

const route = (auth: string) => ({ id: auth, match: { path: `/${auth}` }, service: "a", auth });

let stack: AsyncDisposableStack;
let origin: RawOrigin;
let gateway: TestGateway;
beforeEach(async () => {
  stack = new AsyncDisposableStack();
  origin = stack.use(await startRawOrigin(answering(ok)));
  gateway = stack.use(
    await startTestGateway({
      to: [origin.port],
      identity: byToken,
      config: { routes: ["none", "optional", "required"].map(route) },
    }),
  );
});
afterEach(() => stack.disposeAsync());

/** Who asks, as the upstream has to hear it. */
const nobody = { id: [], roles: [], scopes: [], method: ["none"] };
const user = { id: ["ada"], roles: ["user"], scopes: ["read"], method: ["jwt"] };

/** Where a request goes, with which credential, and whom the upstream is told of. */
const visits = [
  ["/none", [], nobody],
  ["/none", ["Authorization: Bearer t"], nobody],
  ["/optional", [], nobody],
  ["/optional", ["Authorization: Bearer t"], user],
  ["/required", ["Authorization: Bearer t"], user],
] as const;

/** Whatever a lax server would take for the field: the case of letters and what stands between them do not count. */
function told(received: string, name: string): string[] {
  const plain = (text: string) => text.toLowerCase().replace(/[^a-z0-9]/g, "");
  return received
    .split("\r\n")
    .slice(1)
    .map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trim()])
    .filter(([found]) => plain(found!) === plain(name))
    .map(([, value]) => value!);
}

function expectTruth(received: string, truth: (typeof visits)[number][2]): void {
  expect(received).toMatch(/^GET |^POST /);
  expect(received.toLowerCase()).not.toContain("eve");
  expect({
    id: told(received, "X-User-ID"),
    roles: told(received, "X-User-Roles"),
    scopes: told(received, "X-User-Scopes"),
    method: told(received, "X-Auth-Method"),
  }).toEqual(truth);
  expect(told(received, "X-Forwarded-For")).toEqual(["127.0.0.1"]);
  expect(told(received, "X-Forwarded-Proto")).toEqual(["http"]);
  expect(told(received, "X-Forwarded-Host")).toEqual(["gw.test"]);
  expect(told(received, "Forwarded")).toEqual(['for=127.0.0.1;proto=http;host="gw.test"']);
  expect(told(received, "X-Request-ID")).toEqual([expect.stringMatching(/^[0-9a-f]{32}$/)]);
  expect(told(received, "Via")).toEqual(["1.1 tocsin"]);
}

/** Fields as a client sends them; `eve` must not get through. */
const spellings: readonly string[] = [
  "X-User-ID: eve",
  "x-user-id: eve",
  "X-USER-ID: eve",
  "x-UsEr-Id: eve",
  "X_User_ID: eve",
  "X-User_ID: eve",
  "x_user-id: eve",
  "X.User.ID: eve",
  "X-User.ID: eve",
  "X~User~ID: eve",
  "X!User!ID: eve",
  "X'User'ID: eve",
  "X*User+ID: eve",
  "X`User`ID: eve",
  "X|User^ID: eve",
  "X--User-ID: eve",
  "X__User__ID: eve",
  "X-UserID: eve",
  "XUserId: eve",
  "X-User-ID-: eve",
  "-X-User-ID: eve",
  "_X_User_Roles_: eve",
  "x-userroles: eve",
  "X-AuthMethod: eve",
  "X-User-ID:eve",
  "X-User-ID:\t eve \t",
  "X-User-ID: eve\r\nX-User-ID: eve",
  "X-User-ID: ada\r\nx-user-id: eve",
  "X-User-ID:\r\nX-User-ID: eve",
  "X-User-Roles: eve",
  "X_USER_ROLES: eve",
  "x-user.roles: eve",
  "X-User-Roles: user\r\nX-User-Roles: eve",
  "X-User-Scopes: eve",
  "x_user_scopes: eve",
  "X-Auth-Method: eve",
  "x_auth_method: eve",
  "X-Auth-Session: eve",
  "X_Auth_Session: eve",
  "Connection: X-User-ID\r\nX-User-ID: eve",
  "Connection: x-user-id, x-user-roles, x-user-scopes, x-auth-method\r\nX-User-ID: eve",
  "Connection: close, X_User_ID\r\nX_User_ID: eve",
  "Connection: X-Forwarded-For, Forwarded, X-Forwarded-Host\r\nForwarded: for=eve",
  "Connection: Via, X-Request-ID\r\nX-Request-ID: eve",
  "Connection: X-Auth-Method\r\nConnection: X-User-Scopes\r\nX-User-Scopes: eve",
  "X-Forwarded-For: eve",
  "X-Forwarded-For: 192.0.2.1, eve",
  "X-Forwarded-For: 127.0.0.1\r\nX-FORWARDED-FOR: eve",
  "x_forwarded_for: eve",
  "X.Forwarded.For: eve",
  "X-Forwarded-Proto: eve",
  "X_Forwarded_Proto: eve",
  "X-Forwarded-Host: eve.test",
  "x-forwarded_host: eve.test",
  "X-Forwarded-Port: eve",
  "X-Forwarded-Prefix: /eve",
  "X-Forwarded-Server: eve",
  "X-Forwarded-User: eve",
  "X_Forwarded_User: eve",
  "X-Forwarded-Client-Cert: By=eve",
  "Forwarded: for=eve;host=eve.test;proto=https",
  'FORWARDED: for="[eve]"\r\nForwarded: for=eve',
  "X-Real-IP: eve",
  "X_Real_IP: eve",
  "X-Request-ID: eve",
  "x_request_id: eve",
  "X-Request-ID: eve\r\nX-Request-ID: eve",
  "X-Original-URL: /eve",
  "X_Original_URL: /eve",
  "X-Rewrite-URL: /eve",
  "Proxy-Authorization: Basic eve",
];

describe("from outside it never arrives, on any route", () => {
  test.each(spellings)("%j", async (fields) => {
    for (const [path, credential, truth] of visits) {
      for (const connection of origin.connections) connection.received = "";
      expect(statusOf(await get(gateway.port, path, [...credential, fields]))).toBe(200);
      expectTruth(origin.received(), truth);
    }
  });
});

/** Fields that are no fields (RFC 9110 §5.1, RFC 9112 §5): who sends them is refused. */
const malformed: readonly string[] = [
  "X-User-ID : eve",
  "X-User-ID\t: eve",
  " X-User-ID: eve",
  "X-A: 1\r\n X-User-ID: eve",
  "X User ID: eve",
  "X-User-ID\0: eve",
  "X-User-ID: \0eve",
  "X-User-ID: a\rX-User-ID: eve",
  "X-User-ID: a\nX-User-ID: eve",
  "X\xe2\x80\x90User\xe2\x80\x90ID: eve",
  "X-User-\xd0\x86D: eve",
  "\xef\xbc\xb8-User-ID: eve",
  "X-User-ID\xc2\xa0: eve",
  "X-User-ID\xe2\x80\x8b: eve",
  "X/User/ID: eve",
  "X(User)ID: eve",
];

describe("names that are none are refused, and nothing arrives", () => {
  test.each(malformed)("%j", async (fields) => {
    for (const [path, credential] of visits)
      expect(statusOf(await get(gateway.port, path, [...credential, fields]))).toBe(400);
    expect(origin.connections).toHaveLength(0);
  });
});

const trailers: readonly string[] = [
  "X-User-ID: eve",
  "x_user_id: eve",
  "X-User-Roles: eve",
  "X-User-Scopes: eve",
  "X-Auth-Method: eve",
  "X-Forwarded-For: eve",
  "Forwarded: for=eve",
  "X-Request-ID: eve",
  "Via: 1.1 eve",
  "X-Anything: eve",
];

describe("no trailer of a request arrives, announced or not", () => {
  test.each(trailers)("%j", async (field) => {
    const name = field.slice(0, field.indexOf(":"));
    for (const [path, credential, truth] of visits) {
      for (const announced of [[], [`Trailer: ${name}`], [`Trailer: ${name}`, "TE: trailers"]]) {
        for (const connection of origin.connections) connection.received = "";
        const head = [
          `POST ${path} HTTP/1.1`,
          "Host: gw.test",
          "Connection: close",
          ...credential,
          ...announced,
          "Transfer-Encoding: chunked",
        ].join("\r\n");
        const answer = await converse(
          gateway.port,
          `${head}\r\n\r\n2\r\nhi\r\n0\r\n${field}\r\n\r\n`,
        );
        expect(statusOf(answer)).toBe(200);
        const received = origin.received();
        expectTruth(received, truth);
        expect(received).not.toMatch(/^trailer:/im);
        expect(received.endsWith("\r\n\r\n2\r\nhi\r\n0\r\n\r\n")).toBe(true);
      }
    }
  });
});

test("a hop that others name stands before ours, and can neither hide it nor be taken for it", async () => {
  await get(gateway.port, "/none", ["Via: 1.0 other", "Connection: via"]);
  expect(told(origin.received(), "Via")).toEqual([expect.stringMatching(/(^|, )1\.1 tocsin$/)]);
});
