/** The guide on routing is tried line by line: its configs are written to files, its commands run, and what they print compared. */
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const guide = readFileSync(join(root, "docs/guides/routing.md"), "utf8");
const directory = mkdtempSync(join(tmpdir(), "tocsin-guide-"));

for (const [, name, text] of guide.matchAll(/```yaml\n# (\S+)\n([^]*?)```/g))
  writeFileSync(join(directory, name!), text!);

const steps = [...guide.matchAll(/```console\n([^]*?)```/g)].flatMap(([, block]) =>
  block!
    .split(/^\$ /m)
    .slice(1)
    .map((step) => {
      const end = step.indexOf("\n");
      return [step.slice(0, end), step.slice(end + 1)] as const;
    }),
);

/** As a shell would, where `tocsin` is on the path. */
function run(command: string): Promise<string> {
  const script = `tocsin() { "${process.execPath}" "${join(root, "cli/bin/tocsin.js")}" "$@"; }; ${command} 2>&1`;
  return new Promise((resolve) =>
    execFile(
      "sh",
      ["-c", script],
      { cwd: directory, env: { PATH: process.env["PATH"] } },
      (_, out) => resolve(out),
    ),
  );
}

test("the guide has its commands", () => {
  expect(steps.length).toBeGreaterThan(10);
});

test.each(steps)("%s", async (command, printed) => {
  expect(await run(command)).toBe(printed);
});
