import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { has } from "./tools.ts";

const bench = (...args: string[]) =>
  spawnSync(process.execPath, [join(import.meta.dirname, "main.ts"), ...args], {
    encoding: "utf8",
    timeout: 60_000,
  });

test.skipIf(!has("wrk") || !has("nginx"))(
  "a run prints a table and keeps machine, versions and every figure",
  () => {
    const directory = mkdtempSync(join(tmpdir(), "tocsin-bench-test-"));
    try {
      const file = join(directory, "result.json");
      const quick = [
        "--starts=1",
        "--runs=2",
        "--seconds=1",
        "--warm-up=1",
        "--connections=5",
        "--json",
        file,
      ];
      const { status, stdout, stderr } = bench("node-http-memory", "nginx", ...quick);
      expect(stderr).toContain(`results in ${file}`);
      expect(status).toBe(0);
      expect(stdout).toMatch(/^nginx, proxied, access log +\d+\.\d/m);
      const result = JSON.parse(readFileSync(file, "utf8")) as Record<string, unknown>;
      expect(result).toMatchObject({
        command: `npm run bench -- node-http-memory nginx ${quick.join(" ")}`,
        machine: { cores: expect.any(Number), kernel: expect.any(String) },
        versions: { node: process.version, nginx: expect.stringMatching(/^\d/) },
        method: { connections: 5, starts: 1, runs: 2 },
        measured: [
          { name: "node-http-memory", runs: [{ requests: expect.any(Number) }, {}] },
          { name: "nginx", runs: [{ cpuMicrosPerRequest: expect.any(Number) }, {}] },
        ],
      });
    } finally {
      rmSync(directory, { recursive: true });
    }
  },
  60_000,
);

test("what is asked for in vain is said before anything is started", () => {
  const unknown = bench("apache");
  expect(unknown.status).toBe(1);
  expect(unknown.stderr).toContain("unknown: apache. There are node-http-memory, nginx,");
  expect(bench("--runs", "0").stderr).toContain("--runs takes a whole number from 1 to 50, not 0");
  expect(bench("--help").stdout).toContain("* tocsin-policies");
});
