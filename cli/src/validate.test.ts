/** `tocsin config validate`: needs no server. */
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { tocsin } from "../../test/cli/tocsin.ts";

const nowhere = { TOCSIN_ADMIN_URL: "http://127.0.0.1:1" };

test("a valid config is said to be, and nothing is printed as data", async () => {
  const environment = { ...nowhere, JWT_SECRET_KEY: "a secret of at least thirty-two bytes" };
  const args = ["config", "validate", "examples/cluster.yaml"];
  expect(await tocsin(args, { environment })).toMatchObject({
    code: 0,
    stdout: "",
    stderr: "examples/cluster.yaml: valid\n",
  });
  const json = await tocsin([...args, "--json"], { environment });
  expect(json).toMatchObject({ code: 0, stdout: '{"valid":true}\n', stderr: "" });
});

const wrong = `version: 1
servces:
  users: {}
routes:
  - id: a
    match: { path: api }
    service: nobody
    limits: [user]
`;

test("every problem is told at once, with file, line and column, and what is not supported yet too", async () => {
  const directory = mkdtempSync(join(tmpdir(), "tocsin-cli-"));
  writeFileSync(join(directory, "tocsin.yaml"), wrong);
  const args = ["config", "validate", "tocsin.yaml"];
  const ran = await tocsin(args, { environment: nowhere, cwd: directory });
  const lines = ran.stdout.trimEnd().split("\n");
  expect(lines.map((line) => line.split(" ").slice(0, 2).join(" "))).toEqual([
    "tocsin.yaml:2:1 /servces",
    "tocsin.yaml:6:20 /routes/0/match/path",
    "tocsin.yaml:7:14 /routes/0/service",
    "tocsin.yaml:8:5 /routes/0/limits",
  ]);
  expect(lines[0]).toMatch(/did you mean "services"/);
  expect(lines[3]).toMatch(/not supported yet/);
  expect(ran).toMatchObject({ code: 1, stderr: "tocsin.yaml: 4 problems, not valid\n" });
});

test("standard input is read for -, and problems are a document with --json", async () => {
  const args = ["config", "validate", "-", "--json"];
  const ran = await tocsin(args, { environment: nowhere, input: wrong });
  expect(ran).toMatchObject({ code: 1, stderr: "" });
  const { valid, errors } = JSON.parse(ran.stdout) as { valid: boolean; errors: object[] };
  expect(valid).toBe(false);
  expect(errors).toHaveLength(4);
  expect(errors[0]).toMatchObject({ pointer: "/servces", line: 2, column: 1 });
});

test("what is no config at all is a problem like any other, never a crash", async () => {
  for (const input of ["", "\u0000", "a: b: c", "[", "version: 2", '"text"']) {
    const ran = await tocsin(["config", "validate", "-"], { environment: nowhere, input });
    expect(ran.code).toBe(1);
    expect(ran.stdout).toMatch(/^stdin:\d+:\d+ /);
    expect(ran.stderr).toMatch(/^stdin: \d+ problems?, not valid\n$/);
  }
});

test("a file that cannot be read is told by its name", async () => {
  const ran = await tocsin(["config", "validate", "/nowhere.yaml"], { environment: nowhere });
  expect(ran).toMatchObject({ code: 1, stdout: "", stderr: "Cannot read /nowhere.yaml: ENOENT\n" });
});
