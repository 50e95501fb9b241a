/**
 * Makes the package that is published: plain JavaScript for Node 20 and newer, types that stand alone, and their `package.json`, all in
 * `dist`. The sources of `shared` that the SDK uses are bundled in; the NATS client stays outside and is loaded on first use.
 */
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { rolldown } from "rolldown";

const here = dirname(fileURLToPath(import.meta.url));
const root = dirname(here);
const dist = resolve(process.argv[2] ?? join(here, "dist"));

/** What the bundle may load beside Node's own modules. */
const outside = ["@nats-io/transport-node"];

rmSync(dist, { recursive: true, force: true });
mkdirSync(dist, { recursive: true });
await bundle();
declare();
describe();
copyFileSync(join(root, "LICENSE"), join(dist, "LICENSE"));
copyFileSync(join(here, "README.md"), join(dist, "README.md"));
console.error(`built ${dist}`);

async function bundle(): Promise<void> {
  const build = await rolldown({
    input: join(here, "src", "index.ts"),
    platform: "node",
    external: [...outside, "zod", "pino"],
    transform: { target: "node20" },
    treeshake: {
      // Schemas and logs of `shared` are made at load, and nothing of the SDK uses them: without these two lines zod and pino would come along.
      moduleSideEffects: false,
      manualPureFunctions: ["z"],
    },
  });
  const { output } = await build.write({
    dir: dist,
    format: "esm",
    entryFileNames: "[name].js",
    chunkFileNames: "[name].js",
    comments: false,
  });
  await build.close();
  // Read from the text itself: the bundler's own list names modules too whose imports it has dropped.
  const loaded = output.flatMap((chunk) =>
    chunk.type === "chunk"
      ? [
          ...chunk.code.matchAll(/^(?:import|export)\b[^"\n]*"([^"]+)"|\bimport\("([^"]+)"\)/gm),
        ].map((match) => match[1] ?? match[2]!)
      : [],
  );
  const own = new Set(output.map(({ fileName }) => fileName));
  const strange = loaded.filter(
    (name) =>
      !own.has(name.replace(/^\.\//, "")) && !name.startsWith("node:") && !outside.includes(name),
  );
  if (strange.length > 0) throw new Error(`the bundle would load ${strange.join(", ")}`);
}

/** Copies the declarations that the front door reaches, and refuses those that lead out of the package. */
function declare(): void {
  const scratch = mkdtempSync(join(tmpdir(), "tocsin-sdk-types-"));
  const tsc = spawnSync(
    process.execPath,
    [
      join(root, "node_modules", "typescript", "bin", "tsc"),
      "-p",
      join(here, "tsconfig.build.json"),
      "--outDir",
      scratch,
    ],
    { stdio: ["ignore", 2, 2] },
  );
  if (tsc.status !== 0) throw new Error("tsc could not write the declarations");
  const copied = new Set<string>();
  const copy = (name: string): void => {
    if (copied.has(name)) return;
    copied.add(name);
    const text = readFileSync(join(scratch, "sdk", "src", `${name}.d.ts`), "utf8").replace(
      /(from\s*|import\()"([^"]+)"/g,
      (_, before: string, specifier: string) => {
        const inside = /^\.\/([a-z-]+)\.ts$/.exec(specifier)?.[1];
        if (inside === undefined && !specifier.startsWith("node:"))
          throw new Error(`${name}.d.ts refers to ${specifier}: the published types stand alone`);
        if (inside !== undefined) copy(inside);
        return `${before}"${inside === undefined ? specifier : `./${inside}.js`}"`;
      },
    );
    writeFileSync(join(dist, `${name}.d.ts`), text);
  };
  copy("index");
  rmSync(scratch, { recursive: true, force: true });
}

/** npm knows no second set of `exports` for publishing, so the published package has a `package.json` of its own. */
function describe(): void {
  const { name, version, description, license, dependencies } = JSON.parse(
    readFileSync(join(here, "package.json"), "utf8"),
  ) as Record<string, unknown>;
  const published = {
    name,
    version,
    description,
    license,
    type: "module",
    exports: { ".": { types: "./index.d.ts", default: "./index.js" } },
    types: "./index.d.ts",
    sideEffects: false,
    dependencies,
    engines: { node: ">=20" },
  };
  writeFileSync(join(dist, "package.json"), `${JSON.stringify(published, undefined, 2)}\n`);
}
