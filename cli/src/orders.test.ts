/** Orders and look-ups, each as a process of its own against a real HTTP server. */
import { mkdtempSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AddressInfo } from "node:net";
import { describe, expect, test } from "vitest";
import { adminToken, problem, startAdminApi } from "../../test/cli/admin-api.ts";
import { oldNode } from "../../test/cli/old-node.ts";
import { tocsin } from "../../test/cli/tocsin.ts";
import { run } from "./run.ts";
import type { Terminal } from "./terminal.ts";

const applied = {
  operation: "op-1",
  sequence: 18231,
  epoch: "e1.0",
  durableMs: 1.23,
  applied: { expected: 12, count: 12, ms: 3.14, slowest: "proxy-eu-3", missing: [] },
};
const late = {
  ...applied,
  applied: {
    expected: 12,
    count: 10,
    ms: 2000,
    slowest: "proxy-eu-3",
    missing: [
      { proxy: "proxy-eu-7", lag: 3, lastSeenMs: 412 },
      { proxy: "proxy-eu-8", lastSeenMs: 7_100 },
      { proxy: "proxy-eu-9", error: "unknown field \u001B[2J" },
    ],
  },
};

/** A terminal whose screen a test can read. */
function terminalOf(environment: Readonly<Record<string, string>>) {
  const written = { stdout: "", stderr: "" };
  const output = (name: "stdout" | "stderr") => ({
    isTTY: true,
    write: (text: string) => void (written[name] += text),
  });
  const terminal: Terminal = {
    environment,
    user: "ada@laptop",
    stdout: output("stdout"),
    stderr: output("stderr"),
    readInput: async () => "",
    input: async function* () {},
    untilStopped: () => new AbortController().signal,
  };
  return { terminal, written };
}

/** Takes a request and breaks the connection. */
async function breakingServer() {
  const server = createServer((socket) => socket.once("data", () => socket.resetAndDestroy()));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: () => new Promise<void>((resolve) => void server.close(() => resolve())),
  };
}

describe("an order", () => {
  test("is printed with where it is durable, how many applied it and how fast", async () => {
    await using api = await startAdminApi();
    api.answers["POST /v1/revocations"] = { body: applied };
    const { environment } = api;
    const ran = await tocsin(["revoke", "user", "ada", "--reason", "left"], { environment });
    expect(ran).toMatchObject({
      code: 0,
      stderr: "",
      stdout:
        "durable  revocations 18231   1.2 ms\n" +
        "applied  12/12 proxies       3.1 ms   slowest proxy-eu-3\n",
    });
    expect(api.asked).toHaveLength(1);
    expect(api.asked[0]).toMatchObject({
      method: "POST",
      path: "/v1/revocations?wait=2000ms",
      type: "application/json",
    });
    expect(JSON.parse(api.asked[0]!.body)).toEqual({
      kind: "user",
      subject: "ada",
      reason: "left",
    });
  });

  test("that is not in force everywhere in time names who is missing and ends with 3", async () => {
    await using api = await startAdminApi();
    api.answers["POST /v1/revocations"] = { status: 202, body: late };
    const { environment } = api;
    const ran = await tocsin(["revoke", "user", "ada", "--wait", "500ms"], { environment });
    expect(ran.code).toBe(3);
    expect(ran.stdout).toBe(
      "durable  revocations 18231   1.2 ms\n" +
        "applied  10/12 proxies       2.0 s   slowest proxy-eu-3\n",
    );
    expect(ran.stderr).toBe(
      "MISSING      BEHIND      LAST SEEN    WHY\n" +
        "proxy-eu-7   3 entries   412 ms ago\n" +
        "proxy-eu-8   unknown     7.1 s ago\n" +
        "proxy-eu-9   refused     never        unknown field ·[2J\n" +
        "It is durable: who is behind applies it as soon as it hears of it.\n",
    );
    expect(api.asked[0]?.path).toBe("/v1/revocations?wait=500ms");
    const json = await tocsin(["revoke", "user", "ada", "--json"], { environment });
    expect(json.code).toBe(3);
    expect(JSON.parse(json.stdout)).toEqual(late);
  });

  test("that nobody waits for is no failure", async () => {
    await using api = await startAdminApi();
    api.answers["POST /v1/revocations"] = { status: 202, body: late };
    const { environment } = api;
    const ran = await tocsin(["revoke", "user", "ada", "--wait", "0"], { environment });
    expect(ran).toMatchObject({ code: 0, stderr: "Not waited for the proxies.\n" });
    expect(api.asked[0]?.path).toBe("/v1/revocations?wait=0ms");
  });

  test("takes a token as argument, from a file, from standard input, and by its id", async () => {
    await using api = await startAdminApi();
    api.answers["POST /v1/revocations"] = { body: applied };
    const { environment } = api;
    const file = join(mkdtempSync(join(tmpdir(), "tocsin-cli-")), "token.txt");
    writeFileSync(file, "from.a.file\n");
    const orders = async (args: string[], input = "") => {
      const { code } = await tocsin(["revoke", "token", ...args], { environment, input });
      expect(code).toBe(0);
      return JSON.parse(api.asked.at(-1)!.body) as unknown;
    };
    expect(await orders(["a.b.c", "--operation", "op-1"])).toEqual({ token: "a.b.c" });
    expect(api.asked.at(-1)!.idempotencyKey).toBe("op-1");
    expect(await orders([`@${file}`])).toEqual({ token: "from.a.file" });
    expect(await orders(["-"], "Bearer from.standard.input\n")).toEqual({
      token: "from.standard.input",
    });
    expect(
      await orders(["--jti", "id-1", "--issuer", "dev", "--expires-at", "2026-11-23T10:00:00Z"]),
    ).toEqual({ kind: "token", jti: "id-1", issuer: "dev", expiresAt: 1795428000 });
  });

  test("that fails says how to repeat it safely, unless it never reached the control plane", async () => {
    await using api = await startAdminApi();
    const { environment } = api;
    const again = (id: string) =>
      `Repeating it with --operation ${id} is safe: it has one effect.\n`;
    const told = "Nothing was written, so nothing is in force.";
    api.answers["POST /v1/revocations"] = ({ idempotencyKey = "" }) =>
      problem(503, "journal-unavailable", "The journal did not confirm the write", {
        detail: `${told} Repeating it with the operation ${idempotencyKey} has one effect.`,
      });
    const given = await tocsin(["revoke", "user", "ada", "--operation", "op-1"], { environment });
    expect(given).toMatchObject({
      code: 1,
      stdout: "",
      stderr: `${told} (503 journal-unavailable)\n${again("op-1")}`,
    });
    const made = await tocsin(["revoke", "user", "ada", "--json"], { environment });
    const { error } = JSON.parse(made.stdout) as { error: { operation: string } };
    expect(error).toMatchObject({ status: 503, operation: api.asked.at(-1)!.idempotencyKey });
    expect(made.stderr).toContain(again(error.operation));
    // Said no: there is nothing to repeat.
    api.answers["POST /v1/revocations"] = problem(422, "token-expired", "Expired");
    const refused = await tocsin(["revoke", "token", "a.b.c"], { environment });
    expect(refused.stderr).not.toContain("--operation");
    const nobody = { ...environment, TOCSIN_ADMIN_URL: "http://127.0.0.1:1" };
    const gone = await tocsin(["revoke", "user", "ada"], { environment: nobody });
    expect(gone.stderr).toContain("Nothing listens");
    expect(gone.stderr).not.toContain("--operation");
  });

  test("whose connection breaks under way may be in force: that is said, with the id", async () => {
    await using server = await breakingServer();
    const environment = { TOCSIN_ADMIN_URL: server.url, TOCSIN_ADMIN_TOKEN: adminToken };
    const ran = await tocsin(["revoke", "user", "ada", "--operation", "op-1"], { environment });
    expect(ran).toMatchObject({ code: 1, stdout: "" });
    expect(ran.stderr).toContain("--operation op-1 is safe");
  });

  test("that was durable before says so", async () => {
    await using api = await startAdminApi();
    api.answers["POST /v1/revocations"] = { body: { ...applied, repeated: true } };
    const { environment } = api;
    const ran = await tocsin(["revoke", "user", "ada", "--operation", "op-1"], { environment });
    expect(ran).toMatchObject({
      code: 0,
      stderr: "The same order was durable before; it was not written again.\n",
    });
  });

  test("takes a moment for a user, in seconds or as a date", async () => {
    await using api = await startAdminApi();
    api.answers["POST /v1/revocations"] = { body: applied };
    const { environment } = api;
    for (const [text, issuedBefore] of [
      ["1700000000", 1_700_000_000],
      ["2023-11-14T22:13:20Z", 1_700_000_000],
    ] as const) {
      const args = ["revoke", "user", "ada", "--issuer", "dev", "--issued-before", text];
      await tocsin(args, { environment });
      expect(JSON.parse(api.asked.at(-1)!.body)).toEqual({
        kind: "user",
        subject: "ada",
        issuer: "dev",
        issuedBefore,
      });
    }
  });

  test.skipIf(oldNode === undefined)("works under the machine's own old Node", async () => {
    await using api = await startAdminApi();
    api.answers["POST /v1/revocations"] = { status: 202, body: late };
    const { environment } = api;
    const ran = await tocsin(["revoke", "token", "-"], {
      environment,
      input: "a.b.c",
      node: oldNode!,
    });
    expect(ran.code).toBe(3);
    expect(JSON.parse(api.asked[0]!.body)).toEqual({ token: "a.b.c" });
  });
});

describe("a config", () => {
  const answer = { ...applied, revision: 4, sequence: 57 };

  test("is applied from a file or from standard input, and the revision is printed", async () => {
    await using api = await startAdminApi();
    api.answers["PUT /v1/config"] = { body: answer };
    const { environment } = api;
    const directory = mkdtempSync(join(tmpdir(), "tocsin-cli-"));
    writeFileSync(join(directory, "tocsin.yaml"), "version: 1\n");
    writeFileSync(join(directory, "tocsin.json"), '{"version":1}');
    const ran = await tocsin(["config", "apply", "tocsin.yaml", "--if-match", "3"], {
      environment,
      cwd: directory,
    });
    expect(ran).toMatchObject({
      code: 0,
      stderr: "",
      stdout:
        "revision 4\n" +
        "durable  catalogue 57    1.2 ms\n" +
        "applied  12/12 proxies   3.1 ms   slowest proxy-eu-3\n",
    });
    expect(api.asked[0]).toMatchObject({
      path: "/v1/config?wait=2000ms",
      type: "application/yaml",
      ifMatch: '"3"',
      body: "version: 1\n",
    });
    await tocsin(["config", "apply", "tocsin.json"], { environment, cwd: directory });
    expect(api.asked[1]).toMatchObject({ type: "application/json", body: '{"version":1}' });
    await tocsin(["config", "apply", "-"], { environment, input: "version: 1 # here\n" });
    expect(api.asked[2]).toMatchObject({ type: "application/yaml", body: "version: 1 # here\n" });
  });

  test("is tried without being applied, and what would become of it is said", async () => {
    await using api = await startAdminApi();
    const { environment } = api;
    const args = ["config", "apply", "-", "--dry-run"];
    for (const [changes, stdout] of [
      [true, "valid; would be applied as revision 5\n"],
      [false, "valid; the same as revision 4, nothing would change\n"],
    ] as const) {
      api.answers["PUT /v1/config"] = { body: { valid: true, changes, revision: 4 } };
      expect(await tocsin(args, { environment })).toMatchObject({ code: 0, stdout, stderr: "" });
      expect(api.asked.at(-1)?.path).toBe("/v1/config?dryRun=true");
    }
    const json = await tocsin([...args, "--json"], { environment });
    expect(JSON.parse(json.stdout)).toEqual({ valid: true, changes: false, revision: 4 });
  });

  test("that is refused is told line by line, as an editor reads it", async () => {
    await using api = await startAdminApi();
    const errors = [
      { pointer: "/routes/0/servce", line: 4, column: 5, message: "unknown key" },
      { pointer: "", message: "version is missing" },
    ];
    api.answers["PUT /v1/config"] = problem(422, "validation-failed", "Not valid", { errors });
    const { environment } = api;
    const ran = await tocsin(["config", "apply", "-"], { environment, input: "routes: []" });
    expect(ran).toMatchObject({
      code: 1,
      stdout: "stdin:4:5 /routes/0/servce unknown key\nstdin / version is missing\n",
      stderr: "stdin: 2 problems, nothing was changed\n",
    });
    const json = await tocsin(["config", "apply", "-", "--json"], { environment, input: "x" });
    expect(json.code).toBe(1);
    expect(JSON.parse(json.stdout)).toMatchObject({ error: { status: 422, errors } });
  });

  test("is shown as it was written", async () => {
    await using api = await startAdminApi();
    api.answers["GET /v1/config"] = ({ accept }) =>
      accept === "application/yaml"
        ? { type: "application/yaml", body: "version: 1 # as written" }
        : { body: { revision: 4, source: "version: 1 # as written" } };
    const { environment } = api;
    const ran = await tocsin(["config", "show"], { environment });
    expect(ran).toMatchObject({ code: 0, stdout: "version: 1 # as written\n", stderr: "" });
    const json = await tocsin(["config", "show", "--json"], { environment });
    expect(JSON.parse(json.stdout)).toMatchObject({ revision: 4 });
  });
});

describe("looking", () => {
  const users = {
    service: "users",
    instances: [
      {
        instance: "users-1",
        url: "http://10.0.0.1:3000",
        source: "registered",
        state: "active",
        verdict: "healthy",
        by: "cp-1",
        weight: 1,
        lease: { remainingMs: 8400 },
      },
      {
        instance: "users-2",
        url: "http://10.0.0.2:3000",
        source: "config",
        state: "draining",
        verdict: "unhealthy",
        by: "cp-1",
        reason: "status 500",
        weight: 10,
      },
    ],
  };

  test("services list and show print a table, and the document with --json", async () => {
    await using api = await startAdminApi();
    api.answers["GET /v1/services"] = {
      body: { services: [users, { service: "empty", instances: [] }] },
    };
    api.answers["GET /v1/services/users"] = { body: users };
    const { environment } = api;
    const table =
      "SERVICE   INSTANCE   VERDICT     STATE      URL                    WEIGHT   LEASE        WHY\n" +
      "users     users-1    healthy     active     http://10.0.0.1:3000   1        8.4 s left   says cp-1\n" +
      "users     users-2    unhealthy   draining   http://10.0.0.2:3000   10       config       status 500, says cp-1\n";
    // The list also names what the config has and nobody has registered as.
    for (const [args, stdout] of [
      [["services", "list"], `${table}empty     none\n`],
      [["services", "show", "users"], table],
    ] as const)
      expect(await tocsin([...args], { environment })).toMatchObject({
        code: 0,
        stdout,
        stderr: "",
      });
    const json = await tocsin(["services", "show", "users", "--json"], { environment });
    expect(JSON.parse(json.stdout)).toEqual(users);
    const unknown = await tocsin(["services", "show", "nobody"], { environment });
    expect(unknown).toMatchObject({ code: 1, stdout: "" });
    expect(unknown.stderr).toContain("404 route-not-found");
  });

  test("proxies list shows how far each has come", async () => {
    await using api = await startAdminApi();
    const report = { epoch: "e", applied: 57, head: 57, state: "live", stalenessMs: 40 };
    const poisoned = { count: 2, sequence: 9, error: "not JSON \u001B[2J", recent: [3, 9] };
    const healthy = (proxy: string, lastSeenMs: number) => ({
      proxy,
      version: "0.1.0",
      live: true,
      lastSeenMs,
      journals: { catalogue: report, health: report, revocations: report, invalidations: report },
    });
    api.answers["GET /v1/proxies"] = {
      body: {
        proxies: [
          {
            proxy: "edge-1",
            version: "0.1.0",
            live: true,
            lastSeenMs: 412.3,
            boot: "b",
            uptimeMs: 93_600_000,
            journals: {
              catalogue: report,
              health: { ...report, state: "suspect", head: 60, stalenessMs: 4000 },
              revocations: { ...report, poisoned },
            },
          },
          {
            ...healthy("edge-2", 1_000),
            journals: {
              catalogue: report,
              health: report,
              revocations: { ...report, state: "stale", lag: 4, stalenessMs: 540_000 },
              invalidations: report,
            },
          },
          { ...healthy("edge-3", 20_000), live: false },
          { ...healthy("edge-4", 20_000), live: false, leaving: true },
          {
            ...healthy("edge-5", 0),
            journals: { ...healthy("", 0).journals, revocations: { ...report, lag: 5 } },
          },
          healthy("edge-6", 0),
        ],
      },
    };
    const ran = await tocsin(["proxies", "list"], { environment: api.environment });
    expect(ran).toMatchObject({
      code: 0,
      stdout:
        "PROXY    VERSION   STATE     UP     SEEN         CATALOGUE   HEALTH                            REVOCATIONS                     INVALIDATIONS\n" +
        "edge-1   0.1.0     suspect   26 h   412 ms ago   57 live     57 suspect, 3 behind, 4.0 s old   57 live, 2 refused              nothing heard\n" +
        "edge-2   0.1.0     stale            1.0 s ago    57 live     57 live                           57 stale, 4 behind, 9 min old   57 live\n" +
        "edge-3   0.1.0     away             20.0 s ago   57 live     57 live                           57 live                         57 live\n" +
        "edge-4   0.1.0     left             20.0 s ago   57 live     57 live                           57 live                         57 live\n" +
        "edge-5   0.1.0     behind           0.0 ms ago   57 live     57 live                           57 live, 5 behind               57 live\n" +
        "edge-6   0.1.0     live             0.0 ms ago   57 live     57 live                           57 live                         57 live\n",
      stderr: "edge-1 refused 2 of revocations, last 9: not JSON ·[2J\n",
    });
    const screen = terminalOf(api.environment);
    await run(["proxies", "list"], screen.terminal);
    for (const [colour, word] of [
      [33, "suspect"],
      [31, "stale"],
      [31, "away"],
      [90, "left"],
      [33, "behind"],
      [32, "live"],
      [31, "57 stale, 4 behind, 9 min old"],
    ] as const)
      expect(screen.written.stdout).toContain(`\u001B[${colour}m${word}\u001B[0m`);
  });

  test("revocations list shows what is in force; texts cannot steer the terminal", async () => {
    await using api = await startAdminApi();
    api.answers["GET /v1/revocations"] = {
      body: {
        revocations: [
          { id: "a", kind: "token", sequence: 1, issuer: "dev", jti: "j", expiresAt: 1700000000 },
          {
            id: "b",
            kind: "user",
            sequence: 2,
            subject: "ada",
            issuedBefore: 1700000000,
            expiresAt: 1e11,
            reason: "\u001B[2J\ngone",
          },
        ],
      },
    };
    const ran = await tocsin(["revocations", "list"], { environment: api.environment });
    expect(ran.code).toBe(0);
    expect(ran.stdout).toBe(
      "SEQUENCE   KIND    WHAT   ISSUER   ISSUED BEFORE          KEPT UNTIL             REASON      ID\n" +
        "1          token   j      dev                             2023-11-14T22:13:20Z               a\n" +
        "2          user    ada    any      2023-11-14T22:13:20Z   for good               ·[2J·gone   b\n",
    );
  });

  test("nothing to show is said on standard error, and is an empty list in the document with --json", async () => {
    await using api = await startAdminApi();
    const { environment } = api;
    for (const [words, path] of [
      [["services", "list"], "services"],
      [["proxies", "list"], "proxies"],
      [["revocations", "list"], "revocations"],
    ] as const) {
      api.answers[`GET /v1/${path}`] = { body: { [path]: [] } };
      expect(await tocsin(words, { environment })).toMatchObject({ code: 0, stdout: "" });
      expect(await tocsin([...words, "--json"], { environment })).toMatchObject({
        code: 0,
        stdout: `{"${path}":[]}\n`,
        stderr: "",
      });
    }
  });
});

describe("when it does not work", () => {
  const list = ["services", "list"];

  test("nobody listening is told with the URL and what to do", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    await new Promise((resolve) => server.close(resolve));
    const environment = { TOCSIN_ADMIN_URL: `http://127.0.0.1:${port}` };
    const ran = await tocsin(list, { environment });
    expect(ran).toMatchObject({ code: 1, stdout: "" });
    expect(ran.stderr).toMatch(
      new RegExp(`^Nothing listens at http://127.0.0.1:${port} .*running\\?.*TOCSIN_ADMIN_URL`),
    );
    const json = await tocsin([...list, "--json"], { environment });
    expect(JSON.parse(json.stdout)).toMatchObject({ error: { message: expect.any(String) } });
  });

  test("a token is found in the state directory; a missing or wrong one is told with the places", async () => {
    await using api = await startAdminApi();
    api.answers["GET /v1/services"] = { body: { services: [] } };
    const directory = mkdtempSync(join(tmpdir(), "tocsin-cli-"));
    const environment = { TOCSIN_ADMIN_URL: api.url, TOCSIN_STATE_DIR: directory };
    const none = await tocsin(list, { environment });
    expect(none).toMatchObject({ code: 1, stdout: "" });
    expect(none.stderr).toContain(`none was found. It was looked for in TOCSIN_ADMIN_TOKEN, `);
    expect(none.stderr).toContain(join(directory, "admin-token"));
    writeFileSync(join(directory, "admin-token"), `${adminToken}\n`);
    expect((await tocsin(list, { environment })).code).toBe(0);
    const file = join(directory, "other");
    writeFileSync(file, "wrong-wrong-wrong-wrong");
    const wrong = await tocsin(list, {
      environment: { TOCSIN_ADMIN_URL: api.url, TOCSIN_ADMIN_TOKEN_FILE: file },
    });
    expect(wrong.stderr).toContain(`does not accept the token from ${file}`);
    expect(wrong.stderr).not.toContain("wrong-wrong");
  });

  test("a problem document is told with its places and code", async () => {
    await using api = await startAdminApi();
    api.answers["POST /v1/revocations"] = problem(422, "validation-failed", "Not valid", {
      detail: "the token has no jti; revoke the user instead",
      errors: [{ pointer: "/token", message: "has no jti" }],
    });
    const ran = await tocsin(["revoke", "token", "a.b.c"], { environment: api.environment });
    expect(ran).toMatchObject({
      code: 1,
      stdout: "",
      stderr:
        "the token has no jti; revoke the user instead (422 validation-failed)\n  /token  has no jti\n",
    });
  });

  test.each([
    ["text", { type: "text/html", body: "<h1>hello</h1>" }, /its answer is not JSON/],
    ["502", { status: 502, type: "text/html", body: "bad" }, /answered 502 without a problem/],
    ["a redirect", { status: 302, body: "" }, /answered 302 without a problem/],
    ["another shape", { body: { surprise: true } }, /is not understood/],
  ])("a server that is something else (%s) is told so", async (_, told, message) => {
    await using api = await startAdminApi();
    api.answers["GET /v1/services"] = told;
    const ran = await tocsin(list, { environment: api.environment });
    expect(ran).toMatchObject({ code: 1, stdout: "" });
    expect(ran.stderr).toMatch(message);
  });

  test("a wrong setting is told with its name and value, and ends with 64", async () => {
    const environment = { TOCSIN_ADMIN_URL: "localhost:7070", TOCSIN_ADMIN_TOKEN: "short" };
    const ran = await tocsin(list, { environment });
    expect(ran).toMatchObject({ code: 64, stdout: "" });
    expect(ran.stderr).toMatch(/TOCSIN_ADMIN_URL: found "localhost:7070"/);
    expect(ran.stderr).toMatch(/TOCSIN_ADMIN_TOKEN: found a value of 5 characters/);
  });
});

describe("a health check", () => {
  test("is 0 when the probe says so, else 1", async () => {
    await using api = await startAdminApi();
    // The probe listener asks for no token; this one does, which is as good as not ready.
    const url = `${api.url}/readyz`;
    const not = await tocsin(["healthcheck", "--url", url]);
    expect(not).toMatchObject({ code: 1, stdout: "" });
    expect(not.stderr).toContain(`${url} 401`);
    const server = (await import("node:http")).createServer((_, response) => response.end("ok"));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const environment = { TOCSIN_PROBE_LISTEN: `0.0.0.0:${port}` };
    expect(await tocsin(["healthcheck"], { environment })).toMatchObject({
      code: 0,
      stdout: `http://127.0.0.1:${port}/readyz 200\n`,
    });
    await new Promise((resolve) => server.close(resolve));
    const gone = await tocsin(["healthcheck", "--json"], { environment });
    expect(gone.code).toBe(1);
    expect(gone.stderr).toMatch(/does not answer: .*ECONNREFUSED/);
  });
});

describe("on a terminal", () => {
  test("words are coloured, unless NO_COLOR says no", async () => {
    await using api = await startAdminApi();
    api.answers["POST /v1/revocations"] = { status: 202, body: late };
    const coloured = terminalOf(api.environment);
    expect(await run(["revoke", "user", "ada"], coloured.terminal)).toBe(3);
    expect(coloured.written.stdout).toContain("\u001B[32mdurable\u001B[0m  revocations");
    expect(coloured.written.stdout).toContain("\u001B[33mapplied\u001B[0m  10/12");
    expect(coloured.written.stderr).toContain("\u001B[31mproxy-eu-7\u001B[0m   3 entries");
    const bare = terminalOf({ ...api.environment, NO_COLOR: "1" });
    await run(["revoke", "user", "ada"], bare.terminal);
    expect(bare.written.stdout).not.toContain("\u001B");
  });

  test("a wait of more than a second says what for, and wipes that away", async () => {
    await using api = await startAdminApi();
    const answered = Promise.withResolvers<{ body: unknown }>();
    api.answers["POST /v1/revocations"] = () => answered.promise;
    const { terminal, written } = terminalOf(api.environment);
    const running = run(["revoke", "user", "ada"], terminal);
    await expect
      .poll(() => written.stderr, { timeout: 10_000 })
      .toContain("waiting for every proxy");
    answered.resolve({ body: applied });
    expect(await running).toBe(0);
    expect(written.stderr.endsWith("\r\u001B[K")).toBe(true);
  });
});
