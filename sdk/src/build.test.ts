/**
 * The published form: built, then used by the Node that services run on, which may be older than the project's own.
 */
import { execFile, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { oldNode } from "../../test/cli/old-node.ts";
import { startNats } from "../../test/harness/nats-server.ts";
import { startHttpControlPlane, testToken } from "../../test/sdk/http-control-plane.ts";
import { startNatsControlPlane } from "../../test/sdk/nats-control-plane.ts";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const scratch = mkdtempSync(join(tmpdir(), "tocsin-sdk-built-"));
const built = join(scratch, "node_modules/@tocsin/sdk");

const service = `
import { createServer } from "node:http";
import { register } from "@tocsin/sdk";
const server = createServer((request, response) => response.end("hello"));
server.listen(0, "127.0.0.1", async () => {
  const registration = await register({ name: "users", server });
  console.log(JSON.stringify({ node: process.version, url: registration.url, state: registration.state }));
});
`;

beforeAll(async () => {
  await promisify(execFile)(process.execPath, [join(root, "sdk/build.ts"), built]);
  // The client of NATS where an installed package would have it; zod and pino stay out of reach.
  mkdirSync(join(scratch, "node_modules/@nats-io"), { recursive: true });
  for (const name of ["transport-node", "nats-core", "nkeys", "nuid"])
    symlinkSync(
      join(root, "node_modules/@nats-io", name),
      join(scratch, "node_modules/@nats-io", name),
    );
  writeFileSync(join(scratch, "service.mjs"), service);
}, 60_000);

afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** Starts the service, waits until it is registered, sends SIGTERM, waits for its end. */
async function live(node: string, environment: Record<string, string>) {
  const child = spawn(node, [join(scratch, "service.mjs")], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { PATH: process.env["PATH"] ?? "", ...environment },
  });
  const exited = once(child, "exit");
  const [line] = (await once(createInterface({ input: child.stdout }), "line")) as [string];
  const said = JSON.parse(line) as { node: string; url: string; state: string };
  child.kill("SIGTERM");
  const [code] = (await exited) as [number | null];
  return { ...said, code };
}

describe("the built package", () => {
  test("carries neither zod nor pino, and its types refer to nothing outside", () => {
    const files = readdirSync(built);
    const texts = files
      .filter((name) => /\.(js|d\.ts)$/.test(name))
      .map((name) => [name, readFileSync(join(built, name), "utf8")] as const);
    expect(texts.length).toBeGreaterThan(3);
    for (const [name, text] of texts) {
      expect(text, name).not.toMatch(/["'](zod|pino)["']|@tocsin\/shared|from "[^"]*\.ts"/);
      if (name.endsWith(".d.ts"))
        for (const [, specifier] of text.matchAll(/from "([^"]+)"/g))
          expect(specifier, name).toMatch(/^(\.\/|node:)/);
    }
    const types = readFileSync(join(built, "register.d.ts"), "utf8");
    expect(types).toContain("@throws RegistrationRefused");
  });

  test("its types check in a project of its own", () => {
    writeFileSync(
      join(scratch, "user.mts"),
      `import { createServer } from "node:http";
import { register, RegistrationRefused, type Registration } from "@tocsin/sdk";
const registration: Registration = await register({
  name: "users",
  server: createServer(),
  onState: ({ state }) => console.log(state),
});
try { await registration.close(); } catch (error) { if (error instanceof RegistrationRefused) console.log(error.code); }
// @ts-expect-error a service without a name is none
await register({ server: createServer() });
`,
    );
    symlinkSync(join(root, "node_modules/@types"), join(scratch, "node_modules/@types"));
    symlinkSync(
      join(root, "node_modules/undici-types"),
      join(scratch, "node_modules/undici-types"),
    );
    const tsc = spawnSync(
      process.execPath,
      [
        join(root, "node_modules/typescript/bin/tsc"),
        ..."--noEmit --strict --target es2022 --lib es2023 --module nodenext --types node --preserveSymlinks".split(
          " ",
        ),
        join(scratch, "user.mts"),
      ],
      { cwd: scratch, encoding: "utf8" },
    );
    expect(tsc.stdout).toBe("");
    expect(tsc.status).toBe(0);
  });

  const nodes = [process.execPath, ...(oldNode === undefined ? [] : [oldNode])];

  test.each(nodes)("registers over HTTP and drains under %s", async (node) => {
    await using plane = await startHttpControlPlane();
    const said = await live(node, { TOCSIN_ADMIN_URL: plane.url, TOCSIN_ADMIN_TOKEN: testToken });
    expect(said).toMatchObject({ state: "registered", code: 0 });
    expect(plane.seen.map(({ verb }) => verb)).toContain("deregister");
    expect(plane.leases.size).toBe(0);
  });

  test.each(nodes)("registers over NATS and drains under %s", async (node) => {
    await using nats = await startNats({ jetstream: false });
    await using plane = await startNatsControlPlane(nats.url);
    const said = await live(node, { TOCSIN_NATS_URL: nats.url });
    expect(said).toMatchObject({ state: "registered", code: 0 });
    expect(plane.leases.size).toBe(0);
  });

  test.skipIf(oldNode !== undefined)(
    "an old Node to try it with is not on this machine: nothing to run",
    () => {},
  );
});
