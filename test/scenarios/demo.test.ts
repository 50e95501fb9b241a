/** The first thing a newcomer does: each line that the demo prints works as it is printed. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { delimiter, join } from "node:path";
import { expect, test } from "vitest";
import { root, temporaryDirectory, tocsin } from "../harness/program.ts";

const run = promisify(execFile);

test("the demo answers within 5 s, and every line it prints does what it says", async () => {
  using directory = temporaryDirectory();
  const environment = {
    PATH: `${join(root, "node_modules", ".bin")}${delimiter}${process.env["PATH"] ?? ""}`,
    HOME: process.env["HOME"] ?? "",
    TOCSIN_LISTEN: "127.0.0.1:0",
    TOCSIN_PROBE_LISTEN: "127.0.0.1:0",
    TOCSIN_ADMIN_LISTEN: "127.0.0.1:0",
    TOCSIN_STATE_DIR: join(directory.path, "state"),
  };
  const begun = performance.now();
  const demo = spawn(process.execPath, [tocsin, "demo"], {
    env: environment,
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = once(demo, "exit");
  try {
    let text = "";
    await new Promise<void>((resolve, reject) => {
      demo.stdout.setEncoding("utf8").on("data", (part: string) => {
        text += part;
        if (text.includes("Ctrl-C")) resolve();
      });
      void exited.then(() => reject(new Error(`the demo ended:\n${text}`)));
    });
    expect(performance.now() - begun).toBeLessThan(5_000);

    const lines = text.split("\n").map((line) => line.trim());
    const commands = lines.flatMap((line, index) =>
      /^(curl|kill|\S*=\S* |npx) ?/.test(line) ? [{ says: lines[index - 1] ?? "", line }] : [],
    );
    expect(commands.length).toBeGreaterThan(10);
    for (const { says, line } of commands) {
      const { stdout } = await run("sh", ["-c", line], { cwd: root, env: environment });
      const status = /^# (\d{3})\b/.exec(says)?.[1];
      if (status !== undefined) expect(`${line}\n${stdout}`).toContain(`HTTP/1.1 ${status}`);
      if (line.includes("tocsin revoke")) expect(stdout).toMatch(/^applied +1\/1 proxies/m);
      if (line.includes("proxies list")) expect(stdout).toContain("live");
    }
  } finally {
    demo.kill("SIGTERM");
    expect((await exited)[0]).toBe(0);
  }
}, 60_000);
