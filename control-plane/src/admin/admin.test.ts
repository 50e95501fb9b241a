import { connect } from "node:net";
import { JournalUnavailable, type Journals } from "@tocsin/shared/journal";
import { afterEach, describe, expect, test } from "vitest";
import { adminToken, startTestNode } from "../testing/node.ts";

let stack = new AsyncDisposableStack();
afterEach(async () => {
  await stack.disposeAsync();
  stack = new AsyncDisposableStack();
});

const source = "version: 1\nservices: { users: {} }\n";
const start = async (options: Parameters<typeof startTestNode>[0] = { source }) =>
  stack.use(await startTestNode(options));
const other = "version: 1\nservices: { users: {}, content: {} }\n";

describe("who may ask", () => {
  test.each([
    ["a name that was made to point here", "attacker.example"],
    ["the same with a port", "attacker.example:7070"],
    ["a name that begins like ours", "localhost.attacker.example"],
    ["an address that is not this machine's own", "192.168.1.1"],
  ])("a page that calls us %s is refused, with the right token too", async (_what, host) => {
    const node = await start();
    const answer = await node.call("GET", "/v1/services", undefined, { host });
    expect(answer.json()).toMatchObject({ status: 421, code: "host-not-allowed" });
    expect((await node.call("GET", "/livez", undefined, { host })).status).toBe(421);
  });

  test.each(["localhost", "localhost:7070", "127.0.0.1", "[::1]:7070"])(
    "%s is us",
    async (host) => {
      const node = await start();
      expect((await node.call("GET", "/v1/services", undefined, { host })).status).toBe(200);
    },
  );

  test.each([
    ["none", ""],
    ["another", "Bearer 0123456789abcdef0123456789abcdeF"],
    ["a longer one", `Bearer ${adminToken}x`],
    ["a beginning", `Bearer ${adminToken.slice(0, -1)}`],
    ["the right one in another scheme", `Basic ${adminToken}`],
  ])("%s as token is 401, on paths that do not exist too", async (_what, authorization) => {
    const node = await start();
    for (const path of ["/v1/services", "/v1/nothing", "/metrics", "/openapi.json"]) {
      const answer = await node.call("GET", path, undefined, { authorization });
      expect(answer.status).toBe(401);
      expect(answer.headers["content-type"]).toBe("application/problem+json");
      expect(answer.headers["www-authenticate"]).toContain("Bearer");
    }
  });
});

test("what is not even HTTP is answered with a problem document", async () => {
  const node = await start();
  const { hostname, port } = new URL(node.adminUrl);
  const answer = await new Promise<string>((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => socket.write("GARBAGE\r\n\r\n"));
    let text = "";
    socket.setEncoding("utf8");
    socket.on("data", (part: string) => (text += part));
    socket.on("error", reject);
    socket.on("close", () => resolve(text));
  });
  expect(answer).toMatch(/^HTTP\/1\.1 400 /);
  expect(answer).toContain("application/problem+json");
  expect(answer).toContain("urn:tocsin:problem:bad-request");
});

describe("a dry run", () => {
  test.each(["dryRun=1", "dryRun", "dryRun=TRUE", "dryRun=true&dryRun=true", "dryRun=yes"])(
    "that is asked for as ?%s is refused, never taken for the real thing",
    async (query) => {
      const node = await start();
      const answer = await node.call("PUT", `/v1/config?${query}`, other);
      expect(answer.json()).toMatchObject({ status: 400, code: "bad-request" });
      expect((await node.call("GET", "/v1/config")).json()).toMatchObject({ revision: 1 });
    },
  );

  test("finds what the real one would refuse: another revision, a config that is too large", async () => {
    const node = await start();
    const dry = (body: string, headers = {}) =>
      node.call("PUT", "/v1/config?dryRun=true", body, headers);
    expect((await dry(other, { "if-match": '"7"' })).status).toBe(412);
    const large = `${other}# ${"x".repeat(1_000_000)}\n`;
    expect((await dry(large)).json()).toMatchObject({ status: 413, code: "config-too-large" });
    expect((await node.call("PUT", "/v1/config", large)).status).toBe(413);
    expect((await node.call("GET", "/v1/config")).json()).toMatchObject({ revision: 1 });
  });
});

describe("HEAD", () => {
  test.each(["/v1/config", "/v1/proxies", "/v1/revocations", "/livez", "/openapi.json"])(
    "of %s is what GET is, without its body",
    async (path) => {
      const node = await start();
      const get = await node.call("GET", path);
      const head = await node.call("HEAD", path);
      expect([head.status, head.text]).toEqual([get.status, ""]);
      expect(head.headers["content-type"]).toBe(get.headers["content-type"]);
      expect(head.headers["content-length"]).toBe(String(Buffer.byteLength(get.text)));
      expect(head.headers["etag"]).toBe(get.headers["etag"]);
    },
  );

  test("needs the token, and is not for what only takes writes", async () => {
    const node = await start();
    const stranger = await node.call("HEAD", "/v1/config", undefined, { authorization: "" });
    expect(stranger.status).toBe(401);
    const path = "/v1/services/users/instances/users-1";
    expect((await node.call("HEAD", path)).status).toBe(405);
    const patch = await node.call("PATCH", "/v1/config");
    expect(patch.headers["allow"]).toBe("GET, HEAD, PUT");
  });
});

describe("If-Match: *", () => {
  const put = (node: Awaited<ReturnType<typeof start>>, query: string) =>
    node.call("PUT", `/v1/config?${query}`, other, { "if-match": "*" });

  test("wants something to be applied", async () => {
    const node = await start({});
    for (const query of ["wait=0", "dryRun=true"])
      expect((await put(node, query)).json()).toMatchObject({
        status: 412,
        code: "precondition-failed",
      });
    expect((await node.call("GET", "/v1/config")).json()).toMatchObject({ revision: 0 });
  });

  test("is content with any revision", async () => {
    const node = await start();
    expect((await put(node, "wait=0")).json()).toMatchObject({ revision: 2 });
  });
});

test("a parameter that is not known is refused, not ignored", async () => {
  const node = await start();
  const answer = await node.call("PUT", "/v1/config?dry-run=true", other);
  expect(answer.json()).toMatchObject({ status: 400, code: "bad-request" });
  expect(answer.text).toContain("dry-run");
  expect((await node.call("GET", "/v1/config")).json()).toMatchObject({ revision: 1 });
});

test("every write leaves one line in the audit: who, what, with which outcome; the token is in none", async () => {
  const node = await start();
  await node.call("PUT", "/v1/config?wait=0", other);
  await node.call("PUT", "/v1/config?wait=0", "version: 2");
  await node.call("POST", "/v1/revocations?wait=0", { kind: "user", subject: "bob" });
  await node.call("POST", "/v1/revocations?wait=0", { token: "e30.e30.secret-signature" });
  await node.call("GET", "/v1/config");
  const audit = node.lines.filter(({ event }) => event === "audit");
  expect(audit.map(({ action, status, outcome, code }) => [action, status, outcome, code])).toEqual(
    [
      ["applyConfig", 202, "done", undefined],
      ["applyConfig", 202, "done", undefined],
      ["applyConfig", 422, "refused", "config-invalid"],
      ["revoke", 202, "done", undefined],
      ["revoke", 422, "refused", "token-not-usable"],
    ],
  );
  const [first, ...later] = audit.map(({ who }) => who);
  expect(first).toBe("start");
  expect(new Set(later).size).toBe(1);
  const all = JSON.stringify(node.lines);
  expect(all).not.toContain(adminToken);
  expect(all).not.toContain("secret-signature");
});

test("while the journal does not answer, writes are 503 and nothing is half in force; reads go on", async () => {
  let away = false;
  const gone = <Port extends object>(port: Port): Port =>
    new Proxy(port, {
      get(target, name) {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== "function") return value;
        return (...given: unknown[]) =>
          away && name === "append"
            ? Promise.reject(new JournalUnavailable("away"))
            : (value as (...all: unknown[]) => unknown).apply(target, given);
      },
    });
  const node = await start({
    source,
    journals: (real): Journals => ({
      catalogue: gone(real.catalogue),
      health: gone(real.health),
      revocations: gone(real.revocations),
      invalidations: gone(real.invalidations),
    }),
  });
  away = true;
  for (const [method, path, body] of [
    ["PUT", "/v1/config", other],
    ["POST", "/v1/revocations", { kind: "user", subject: "bob" }],
    ["POST", "/v1/invalidations", { user: "bob" }],
    ["PUT", "/v1/services/users/instances/users-1", { url: "http://127.0.0.1:1" }],
  ] as const) {
    const answer = await node.call(method, path, body);
    expect(answer.json()).toMatchObject({ status: 503, code: "journal-unavailable" });
    expect(answer.text).not.toMatch(/ at |\.ts/);
  }
  expect((await node.call("GET", "/v1/config")).json()).toMatchObject({ revision: 1 });
  expect((await node.call("GET", "/v1/revocations")).json()).toEqual({ revocations: [] });
  expect((await node.call("GET", "/v1/services/users")).json()).toMatchObject({ instances: [] });
  away = false;
  expect((await node.call("PUT", "/v1/config?wait=0", other)).json()).toMatchObject({
    revision: 2,
  });
});
