// What the npm scripts run. Plain JavaScript for any Node from 18 on, because it also brings the project's own Node.
//
//   node tools/run.mjs setup | start | test | bench | build | generate   [arguments for the command]
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const bin = join(root, "node_modules", ".bin");
const stamp = join(root, "node_modules", ".tocsin-setup");
const leastNode = 24;

const say = (text) => process.stderr.write(`${text}\n`);

/** Installs what package-lock.json names, once. */
function setup() {
  const lock = createHash("sha256")
    .update(readFileSync(join(root, "package-lock.json")))
    .digest("hex");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === lock) return;
  say("installing packages (once, about half a minute) …");
  const npm = process.env.npm_execpath;
  const installed = npm?.endsWith(".js")
    ? spawnSync(process.execPath, [npm, "ci", "--no-audit", "--no-fund", "--loglevel=error"], {
        cwd: root,
        stdio: ["ignore", 2, 2],
      })
    : spawnSync("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], {
        cwd: root,
        stdio: ["ignore", 2, 2],
      });
  if (installed.status !== 0) {
    say("npm ci failed: see above. Without a network, a filled npm cache is needed.");
    process.exit(installed.status ?? 1);
  }
  writeFileSync(stamp, lock);
}

/** The Node that runs everything: the project's own where it has one for this platform, else this one if it is new enough. */
function projectNode() {
  const own = join(bin, process.platform === "win32" ? "node.cmd" : "node");
  if (existsSync(own)) return own;
  if (Number(process.versions.node.split(".")[0]) >= leastNode) return process.execPath;
  say(
    `Tocsin needs Node ${leastNode} or newer, this is ${process.version}, and no Node package exists for ${process.platform}-${process.arch}.`,
  );
  say("Install a current Node and run the command again.");
  return process.exit(1);
}

/** The environment in which `node` and the tools are the project's own. */
function projectEnvironment() {
  return { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH ?? ""}` };
}

/** Runs a program to its end, passing signals on. Resolves with its exit code. */
function run(command, args, options = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: root,
      stdio: "inherit",
      env: projectEnvironment(),
      ...options,
    });
    const pass = (signal) => child.kill(signal);
    process.on("SIGINT", pass);
    process.on("SIGTERM", pass);
    child.on("error", (error) => {
      say(`cannot run ${command}: ${error.message}`);
      resolve(1);
    });
    child.on("exit", (code, signal) => {
      process.off("SIGINT", pass);
      process.off("SIGTERM", pass);
      resolve(code ?? (signal ? 1 : 0));
    });
  });
}

function found(program) {
  return spawnSync("sh", ["-c", `command -v ${program}`]).status === 0;
}

/** The servers that tests talk to: from PATH, else from the distribution's packages. */
function ensureServers() {
  const missing = ["nats-server", "redis-server"].filter((program) => !found(program));
  if (missing.length === 0) return true;
  if (process.getuid?.() === 0 && found("apt-get")) {
    say(`installing ${missing.join(" and ")} …`);
    spawnSync("apt-get", ["update", "-qq"], { stdio: ["ignore", "ignore", 2] });
    const environment = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
    spawnSync("apt-get", ["install", "-y", "-qq", "--no-install-recommends", ...missing], {
      stdio: ["ignore", "ignore", 2],
      env: environment,
    });
  }
  const still = missing.filter((program) => !found(program));
  if (still.length === 0) return true;
  say(`The tests talk to real servers, and ${still.join(" and ")} is not on PATH.`);
  say(
    `Install it (Debian and Ubuntu: apt-get install ${still.join(" ")}; macOS: brew install nats-server redis) and run npm test again.`,
  );
  return false;
}

/** Every check. Ends with the line `N passed, N failed`. */
async function test(args) {
  if (!ensureServers()) return 1;
  let passed = 0;
  let failed = 0;
  if (args.length === 0) {
    for (const [name, command, ...rest] of [
      ["format", "oxfmt", "--check"],
      ["lint", "oxlint", "--type-aware", "--deny-warnings"],
      ["types", "tsc", "--noEmit", "-p", "tsconfig.json"],
    ]) {
      say(`\n— ${name}`);
      if ((await run(join(bin, command), rest)) === 0) passed++;
      else failed++;
    }
  }
  say("\n— tests");
  const directory = mkdtempSync(join(tmpdir(), "tocsin-test-"));
  const report = join(directory, "report.json");
  const code = await run(projectNode(), [
    join(root, "node_modules", "vitest", "vitest.mjs"),
    "run",
    "--reporter=default",
    "--reporter=json",
    `--outputFile.json=${report}`,
    ...args,
  ]);
  try {
    const { numPassedTests, numFailedTests, numFailedTestSuites, numTotalTests } = JSON.parse(
      readFileSync(report, "utf8"),
    );
    passed += numPassedTests;
    failed += numFailedTests;
    // A file that could not even be loaded has failed without a test of its own.
    if (code !== 0 && numFailedTests === 0) failed += Math.max(1, numFailedTestSuites);
    if (numTotalTests === 0) failed++;
  } catch {
    failed++;
  }
  rmSync(directory, { recursive: true, force: true });
  process.stdout.write(`\n${passed} passed, ${failed} failed\n`);
  return failed === 0 ? 0 : 1;
}

const [command = "", ...args] = process.argv.slice(2);
const commands = {
  setup: async () => 0,
  start: () => run(projectNode(), [join(root, "cli", "src", "main.ts"), "demo", ...args]),
  test: () => test(args),
  bench: () => run(projectNode(), [join(root, "bench", "main.ts"), ...args]),
  "bench:propagation": () =>
    run(projectNode(), [join(root, "bench", "propagation", "main.ts"), ...args]),
  build: () => run(projectNode(), [join(root, "sdk", "build.ts"), ...args]),
  "nats-versions": () => run(projectNode(), [join(root, "tools", "nats-versions.ts"), ...args]),
  generate: () => run(projectNode(), [join(root, "tools", "generate.ts"), ...args]),
};
if (!Object.hasOwn(commands, command)) {
  say(`usage: node tools/run.mjs ${Object.keys(commands).join(" | ")}`);
  process.exit(64);
}
setup();
process.exitCode = await commands[command]();
