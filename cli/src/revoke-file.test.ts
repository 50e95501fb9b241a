/** Many revocations by one command, as a process against a real control plane. */
import { once } from "node:events";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SignJWT } from "jose";
import type { RevocationPage } from "@tocsin/shared/contract";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { adminToken, problem, startAdminApi } from "../../test/cli/admin-api.ts";
import { startFollower } from "../../test/cli/follower.ts";
import { startRealControlPlane, type RealControlPlane } from "../../test/cli/real-control-plane.ts";
import { startTocsin, tocsin } from "../../test/cli/tocsin.ts";
import { soon } from "../../test/harness/soon.ts";
import { run } from "./run.ts";
import type { Terminal } from "./terminal.ts";

let stack: AsyncDisposableStack;
let plane: RealControlPlane;
let environment: Readonly<Record<string, string>>;
beforeEach(async () => {
  stack = new AsyncDisposableStack();
  plane = stack.use(await startRealControlPlane());
  ({ environment } = plane);
});
afterEach(() => stack.disposeAsync());

const token = (jti: string, exp = 4e9, key = "a secret that is long enough for HS256") =>
  new SignJWT({ iss: "me", aud: "us", jti, exp })
    .setProtectedHeader({ alg: "HS256" })
    .sign(new TextEncoder().encode(key));

function write(lines: readonly string[]): string {
  const file = join(mkdtempSync(join(tmpdir(), "tocsin-cli-")), "list.txt");
  writeFileSync(file, `${lines.join("\n")}\n`);
  return file;
}

async function listed(): Promise<RevocationPage["revocations"]> {
  const { stdout } = await tocsin(["revocations", "list", "--json"], { environment });
  return (JSON.parse(stdout) as RevocationPage).revocations;
}

describe("revoke token --file", () => {
  test("takes a token, `jti issuer` or JSON a line, and blank lines", async () => {
    stack.use(await startFollower(plane.bus, "edge-1"));
    const lines = [
      await token("one"),
      "",
      `Bearer ${await token("two")}\r`,
      "three me",
      '{"kind":"user","subject":"ada lovelace"}',
      '{"kind":"token","issuer":"me","jti":"five","reason":"its own"}',
    ];
    const args = ["revoke", "token", "--file", write(lines), "--reason", "leaked"];
    const ran = await tocsin(args, { environment });
    expect(ran).toMatchObject({ code: 0, stderr: "" });
    expect(ran.stdout).toMatch(
      /^durable {2}revocations 1 +[\d.]+ ms +5 at once\napplied {2}1\/1 proxies +[\d.]+ ms +slowest edge-1\n$/,
    );
    expect(
      (await listed()).map(({ kind, jti, subject, reason }) => [kind, jti ?? subject, reason]),
    ).toEqual([
      ["token", "one", "leaked"],
      ["token", "two", "leaked"],
      ["token", "three", "leaked"],
      ["user", "ada lovelace", "leaked"],
      ["token", "five", "its own"],
    ]);
  });

  test("of 10,000 lines on standard input is one order, in seconds, and again the same one", async () => {
    const input = Array.from({ length: 10_000 }, (_, index) => `jti-${index} me`).join("\n");
    const args = ["revoke", "token", "--file", "-", "--operation", "leak-7", "--json"];
    const first = await tocsin(args, { environment, input });
    expect(first.code).toBe(0);
    const answer = JSON.parse(first.stdout) as Record<string, unknown>;
    expect(answer).toMatchObject({ operation: "leak-7", count: 10_000 });
    console.log(`10,000 lines: ${first.ms.toFixed(0)} ms with the start of the command`);
    // A few seconds are promised; what asks once a line takes far longer.
    expect(first.ms).toBeLessThan(15_000);
    const again = await tocsin(args, { environment, input });
    expect(JSON.parse(again.stdout)).toMatchObject({
      sequence: answer["sequence"],
      count: 10_000,
      repeated: true,
    });
    expect(await listed()).toHaveLength(10_000);
    const limited = await tocsin(["revocations", "list", "--limit", "3"], { environment });
    expect(limited.stdout.split("\n")).toHaveLength(5);
    expect(limited.stderr).toBe("The first 3; there are more.\n");
    const other = await tocsin(args, { environment, input: `${input}\nanother me` });
    expect(other.code).toBe(1);
    expect(other.stderr).toContain("409 operation-used");
  }, 60_000);

  test("of more than an order holds is several orders, and repeated each of them is the same", async () => {
    const input = Array.from({ length: 20_500 }, (_, index) => `jti-${index} me`).join("\n");
    const args = ["revoke", "token", "--file", "-", "--operation", "leak-7", "--json"];
    const first = JSON.parse((await tocsin(args, { environment, input })).stdout) as object;
    expect(first).toMatchObject({ operation: "leak-7", count: 20_500 });
    const again = await tocsin(args, { environment, input });
    expect(JSON.parse(again.stdout)).toMatchObject({ count: 20_500, repeated: true });
    expect(await listed()).toHaveLength(20_500);
  }, 60_000);

  test("revokes nothing when a line is wrong, and names every wrong line", async () => {
    const lines = Array.from({ length: 1_200 }, (_, index) => `jti-${index} me`);
    lines[3] = "one two three";
    lines[600] = await token("forged", 4e9, "another secret that is long enough");
    lines[601] = "{not json";
    lines[1_100] = '{"kind":"user"}';
    const file = write(lines);
    const ran = await tocsin(["revoke", "token", "--file", file], { environment });
    expect(ran.code).toBe(1);
    expect(ran.stdout.split("\n").map((line) => line.slice(file.length))).toEqual([
      ":4 / has 3 words; write it as JSON where texts have blanks",
      ":601 /token Its signature does not verify.",
      ":602 / begins like JSON, and is not JSON",
      expect.stringMatching(/^:1101 \/subject /),
      "",
    ]);
    expect(ran.stderr).toBe(`${file}: 4 problems, nothing was revoked\n`);
    const json = await tocsin(["revoke", "token", "--file", file, "--json"], { environment });
    expect(JSON.parse(json.stdout)).toMatchObject({ error: { errors: [{ line: 4 }, {}, {}, {}] } });
    expect(await listed()).toEqual([]);
  });

  test.each([
    ["has no line", "\n \n", /has no line/],
    ["has a line without end", "x".repeat(70_000), /:1: the line is longer than 65536 bytes/],
  ])("of a file that %s says so", async (_what, input, message) => {
    const ran = await tocsin(["revoke", "token", "--file", "-"], { environment, input });
    expect(ran).toMatchObject({ code: 1, stdout: "" });
    expect(ran.stderr).toMatch(message);
  });
});

test("revoke user --file takes a subject, or `subject issuer`, a line", async () => {
  const lines = ["ada", "bob me", '{"kind":"user","subject":"c d","issuedBefore":7}'];
  const when = ["--issued-before", "1700000000"];
  const ran = await tocsin(["revoke", "user", "--file", write(lines), ...when], { environment });
  expect(ran.code).toBe(0);
  // The third one has long expired, and is not listed.
  expect((await listed()).map(({ subject, issuer }) => [subject, issuer])).toEqual([]);
  const now = await tocsin(["revoke", "user", "--file", write(lines.slice(0, 2))], { environment });
  expect(now.code).toBe(0);
  expect((await listed()).map(({ subject, issuer }) => [subject, issuer])).toEqual([
    ["ada", undefined],
    ["bob", "me"],
  ]);
  const both = ["--file", write(["bob me"]), "--issuer", "you"];
  const ran2 = await tocsin(["revoke", "user", ...both], { environment });
  expect(ran2.stdout).toContain(":1 / names an issuer, and --issuer does too");
});

describe("when it does not go through", () => {
  const lines = (count: number) => Array.from({ length: count }, (_, index) => `jti-${index} me`);
  const checkedAll = { body: {} };

  /** Checks like the real one, and orders as a test wants it. */
  async function api(
    order: (nth: number, key: string) => ReturnType<typeof problem> | Promise<never>,
  ) {
    const server = stack.use(await startAdminApi());
    let orders = 0;
    server.answers["POST /v1/revocations"] = ({ path, body, idempotencyKey = "" }) => {
      const { revocations } = JSON.parse(body) as { revocations: object[] };
      if (!path.includes("dryRun")) return order(++orders, idempotencyKey);
      return { ...checkedAll, body: { valid: true, count: revocations.length, revocations } };
    };
    return { environment: server.environment, ordered: () => orders };
  }

  const answer = (sequence: number, count: number) => ({
    body: {
      operation: "op",
      sequence,
      epoch: "e",
      durableMs: 1,
      count,
      applied: { expected: 1, count: 1, ms: 2, slowest: "edge-1", missing: [] },
    },
  });

  test("what is durable is told, and how to complete it", async () => {
    const failing = await api((nth) =>
      nth === 1
        ? answer(1, 10_000)
        : problem(503, "journal-unavailable", "Away", { detail: "Not known." }),
    );
    const file = write(lines(20_001));
    const args = ["revoke", "token", "--file", file, "--operation", "leak-7"];
    const ran = await tocsin(args, { environment: failing.environment });
    expect(ran).toMatchObject({ code: 1, stdout: "" });
    expect(ran.stderr).toBe(
      "10000 of 20001 are durable, then it failed: Not known. (503 journal-unavailable)\n" +
        "Repeating it with --operation leak-7 is safe: it has one effect.\n",
    );
  });

  test("a proxy that refused an earlier part is missing, though it applied the last one", async () => {
    const refusing = await api((nth) => {
      const { body } = answer(nth, 10_000);
      const applied = { ...body.applied, count: 0, missing: [{ proxy: "edge-1", error: "no" }] };
      return nth === 1 ? { body: { ...body, applied } } : { body };
    });
    const args = ["revoke", "token", "--file", write(lines(20_000)), "--json"];
    const ran = await tocsin(args, { environment: refusing.environment });
    expect(ran.code).toBe(3);
    expect(JSON.parse(ran.stdout)).toMatchObject({
      count: 20_000,
      applied: { expected: 1, count: 0, missing: [{ proxy: "edge-1", error: "no" }] },
    });
  });

  test("Ctrl-C says what is durable, and how to complete it", async () => {
    const hanging = await api((nth) =>
      nth === 1 ? answer(1, 10_000) : new Promise<never>(() => {}),
    );
    const file = write(lines(20_001));
    const args = ["revoke", "token", "--file", file, "--operation", "leak-7"];
    const child = startTocsin(args, { environment: hanging.environment });
    let stderr = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
    const closed = once(child, "close");
    await soon(() => expect(hanging.ordered()).toBe(2), 20_000);
    child.kill("SIGINT");
    expect(await closed).toEqual([130, null]);
    expect(stderr).toBe(
      "Interrupted. 10000 of 20001 are durable; of the next ones it is not known, the rest is not.\n" +
        "Repeating it with --operation leak-7 is safe: it has one effect.\n",
    );
  });

  test("Ctrl-C while the lines are checked says that nothing was revoked", async () => {
    const server = stack.use(await startAdminApi());
    const asked = Promise.withResolvers<void>();
    server.answers["POST /v1/revocations"] = () => {
      asked.resolve();
      return new Promise<never>(() => {});
    };
    const args = ["revoke", "token", "--file", write(lines(2))];
    const child = startTocsin(args, { environment: server.environment });
    let stderr = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
    const closed = once(child, "close");
    await asked.promise;
    child.kill("SIGINT");
    expect(await closed).toEqual([130, null]);
    expect(stderr).toBe("Interrupted. Nothing was revoked.\n");
  });
});

test("on a terminal the progress is shown and wiped away", async () => {
  let written = "";
  const terminal: Terminal = {
    environment: { ...environment, TOCSIN_ADMIN_TOKEN: adminToken },
    user: "ada@laptop",
    stdout: { write: () => {} },
    stderr: { isTTY: true, write: (text: string) => void (written += text) },
    readInput: async () => "",
    input: async function* () {},
    untilStopped: () => new AbortController().signal,
  };
  const file = write(Array.from({ length: 6_000 }, (_, index) => `jti-${index} me`));
  expect(await run(["revoke", "token", "--file", file], terminal)).toBe(0);
  expect(written).toMatch(/\rchecked \d+(\/6000)?, \d+\/s/);
  expect(written).toMatch(/\rrevoked \d+\/6000, \d+\/s/);
  expect(written).toMatch(/\r\u001B\[KNo proxy is live now/);
});
