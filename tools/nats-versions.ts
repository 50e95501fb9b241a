/**
 * Runs the tests that talk to NATS against other versions of nats-server, out of Debian's packages, without installing anything.
 *
 *     npm run test:nats-versions                     # trixie and sid
 *     npm run test:nats-versions -- trixie           # one of them
 *     npm run test:nats-versions -- sid -- test/faults/link.test.ts
 *
 * The packages come from the mirror that this machine's apt uses, into a directory that git ignores. Needs apt-get and dpkg-deb.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

const root = resolve(import.meta.dirname, "..");
const cache = join(root, ".cache", "nats-versions");
const suites = ["trixie", "sid"];
/** What talks to NATS. */
const files = [
  "shared/src/bus",
  "shared/src/journal",
  "shared/src/replica",
  "control-plane/src",
  "proxy/src/state",
  "test/security",
  "test/scenarios",
  "test/faults",
];

const say = (text: string) => void process.stderr.write(`${text}\n`);

/** Where this machine's apt gets Debian's packages from. */
function mirror(): string {
  const targets = execFileSync(
    "apt-get",
    ["indextargets", "--format", "$(SITE) $(RELEASE) $(REPO_URI)"],
    {
      encoding: "utf8",
    },
  );
  const uris = targets
    .split("\n")
    .map((line) => line.split(" ").at(-1) ?? "")
    .filter((uri) => /\/debian\/?$/.test(uri));
  if (uris[0] === undefined) throw new Error("apt knows no mirror of Debian: is this Debian?");
  return uris[0];
}

/** The server of a suite, fetched and unpacked once. */
function serverOf(suite: string): string {
  const directory = join(cache, suite);
  const binary = join(directory, "root", "usr", "bin", "nats-server");
  const other = join(directory, "root", "usr", "sbin", "nats-server");
  for (const found of [binary, other]) if (existsSync(found)) return found;
  say(`fetching nats-server of ${suite} …`);
  for (const part of ["lists/partial", "archives/partial", "root"])
    mkdirSync(join(directory, part), { recursive: true });
  const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
  writeFileSync(
    join(directory, "sources.list"),
    `deb [signed-by=${keyring}] ${mirror()} ${suite} main\n`,
  );
  writeFileSync(join(directory, "status"), "");
  const options = [
    `Dir::Etc::sourcelist=${join(directory, "sources.list")}`,
    "Dir::Etc::sourceparts=-",
    "Dir::Etc::preferencesparts=-",
    `Dir::State::lists=${join(directory, "lists")}`,
    `Dir::State::status=${join(directory, "status")}`,
    `Dir::Cache=${directory}`,
    `Dir::Cache::archives=${join(directory, "archives")}`,
    "APT::Sandbox::User=root",
  ].flatMap((option) => ["-o", option]);
  const apt = (...args: string[]) =>
    execFileSync("apt-get", [...options, "-qq", ...args], {
      cwd: directory,
      stdio: ["ignore", 2, 2],
    });
  apt("update");
  apt("download", "nats-server");
  const archive = readdirSync(directory).find((name) => name.endsWith(".deb"));
  if (archive === undefined) throw new Error(`apt downloaded no nats-server of ${suite}`);
  execFileSync("dpkg-deb", ["-x", join(directory, archive), join(directory, "root")]);
  for (const found of [binary, other]) if (existsSync(found)) return found;
  throw new Error(`${archive} has no nats-server`);
}

const given = process.argv.slice(2);
const at = given.indexOf("--");
const named = at === -1 ? given : given.slice(0, at);
const chosen = at === -1 ? files : given.slice(at + 1);
for (const name of named) {
  if (suites.includes(name)) continue;
  say(`unknown suite ${JSON.stringify(name)}: write ${suites.join(" or ")}`);
  process.exit(64);
}
let failed = 0;
for (const suite of named.length === 0 ? suites : named) {
  const binary = serverOf(suite);
  const version = execFileSync(binary, ["--version"], { encoding: "utf8" }).trim();
  say(`\n— ${suite}: ${version}`);
  const { status } = spawnSync(
    process.execPath,
    [join(root, "node_modules", "vitest", "vitest.mjs"), "run", ...chosen],
    { cwd: root, stdio: "inherit", env: { ...process.env, TOCSIN_NATS_SERVER: binary } },
  );
  if (status !== 0) failed++;
  process.stdout.write(`${version}: ${status === 0 ? "passed" : "failed"}\n`);
}
process.exitCode = failed === 0 ? 0 : 1;
