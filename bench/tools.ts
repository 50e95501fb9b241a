/** The programs of others that the benchmark needs: from PATH, else from the distribution's packages. */
import { spawnSync } from "node:child_process";

const needed = ["wrk", "nginx"] as const;

/** Whether a program is on PATH (or in /usr/sbin, which is not on everybody's). */
export function has(program: string): boolean {
  return spawnSync("sh", ["-c", `PATH="$PATH:/usr/sbin" command -v -- "$0"`, program]).status === 0;
}

/** @throws Error that says what to install */
export function ensureTools(say: (line: string) => void): void {
  let missing = needed.filter((program) => !has(program));
  if (missing.length > 0 && process.getuid?.() === 0 && has("apt-get")) {
    say(`installing ${missing.join(" and ")} …`);
    const quiet = { stdio: ["ignore", "ignore", "inherit"] as ["ignore", "ignore", "inherit"] };
    const environment = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
    spawnSync("apt-get", ["update", "-qq"], quiet);
    spawnSync("apt-get", ["install", "-y", "-qq", "--no-install-recommends", ...missing], {
      ...quiet,
      env: environment,
    });
    missing = needed.filter((program) => !has(program));
  }
  if (missing.length > 0) {
    throw new Error(
      `The benchmark needs ${missing.join(" and ")}. Debian and Ubuntu: apt-get install ${missing.join(" ")}; macOS: brew install ${missing.join(" ")}.`,
    );
  }
  // Debian keeps servers in /usr/sbin, which is not on everybody's PATH.
  process.env["PATH"] = `${process.env["PATH"] ?? ""}:/usr/sbin`;
}
