/**
 * Who may import whom. Each rule has its reason; a violation names the file, the line and the rule.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const root = dirname(dirname(fileURLToPath(import.meta.url)));

interface Import {
  /** Path of the importing file from the root. */
  readonly file: string;
  readonly line: number;
  readonly specifier: string;
  /** Path of the imported file from the root when it is ours; undefined for a library or `node:`. */
  readonly target: string | undefined;
  readonly typeOnly: boolean;
}

const packages: Readonly<Record<string, string>> = {
  "@tocsin/shared": "shared",
  "@tocsin/control-plane": "control-plane",
  "@tocsin/proxy": "proxy",
  "@tocsin/sdk": "sdk",
  "@tocsin/standalone": "standalone",
  "@tocsin/test": "test",
  "@tocsin/bench": "bench",
  tocsin: "cli",
};

function sources(directory: string): string[] {
  return readdirSync(join(root, directory), { withFileTypes: true }).flatMap((entry) => {
    const path = join(directory, entry.name);
    if (["node_modules", "dist", ".git", ".tocsin"].includes(entry.name)) return [];
    if (entry.isDirectory()) return sources(path);
    return entry.name.endsWith(".ts") ? [path] : [];
  });
}

/** The file behind a package specifier, by the `exports` of that package. */
function entryOf(specifier: string): string | undefined {
  const name = Object.keys(packages).find(
    (name) => specifier === name || specifier.startsWith(`${name}/`),
  );
  if (name === undefined) return undefined;
  const { exports = {} } = JSON.parse(
    readFileSync(join(root, packages[name]!, "package.json"), "utf8"),
  ) as {
    exports?: Record<string, string>;
  };
  const entry = exports[`.${specifier.slice(name.length)}`];
  return entry === undefined ? `${packages[name]}/(not exported)` : join(packages[name]!, entry);
}

const statement =
  /(?:^|\n)\s*(?:import|export)\s+(type\s+)?[^"';]*?\bfrom\s*["']([^"']+)["']|(?:^|\n)\s*import\s*["']([^"']+)["']|\bimport\(\s*["']([^"']+)["']\s*\)/g;

function importsOf(file: string): Import[] {
  const text = readFileSync(join(root, file), "utf8").replace(/\/\*[\s\S]*?\*\//g, (comment) =>
    comment.replace(/[^\n]/g, " "),
  );
  return [...text.matchAll(statement)].map((match) => {
    const specifier = match[2] ?? match[3] ?? match[4]!;
    const target = specifier.startsWith(".")
      ? relative(root, resolve(root, dirname(file), specifier))
      : entryOf(specifier);
    const at = match.index + (match[0].startsWith("\n") ? 1 : 0);
    return {
      file,
      line: text.slice(0, at).split("\n").length,
      specifier,
      target,
      typeOnly: match[1] !== undefined,
    };
  });
}

const areas = [
  "shared",
  "control-plane",
  "proxy",
  "sdk",
  "standalone",
  "cli",
  "test",
  "bench",
  "tools",
];
const files = areas.flatMap(sources);
const isTest = (file: string) =>
  file.endsWith(".test.ts") ||
  file.endsWith(".fixture.ts") ||
  file.includes("/testing/") ||
  file.startsWith("test/") ||
  file.startsWith("bench/");
const product = files.filter((file) => !isTest(file));
const imports = product.flatMap(importsOf);

const within = (folder: string) => (path: string | undefined) =>
  path !== undefined && path.startsWith(`${folder}/`);
const show = (found: readonly Import[]) =>
  found.map(({ file, line, specifier }) => `${file}:${line} imports ${specifier}`);

interface Layer {
  readonly from: string;
  /** Folders whose files it may import, beside its own. */
  readonly may: readonly string[];
  readonly because: string;
}

const layers: readonly Layer[] = [
  {
    from: "shared",
    may: [],
    because: "the contract depends on nobody, so that everybody can depend on it",
  },
  {
    from: "control-plane",
    may: ["shared"],
    because: "the planes meet on the bus only; either can be replaced or upgraded alone",
  },
  {
    from: "proxy",
    may: ["shared"],
    because: "the planes meet on the bus only; either can be replaced or upgraded alone",
  },
  {
    from: "sdk",
    may: ["shared/src/contract", "shared/src/bus", "shared/src/names.ts", "shared/src/index.ts"],
    because: "it goes into other people's services and stays tiny",
  },
  {
    from: "standalone",
    may: ["shared", "control-plane", "proxy", "sdk"],
    because: "only the composition of both planes knows both",
  },
  {
    from: "cli",
    may: ["shared", "control-plane", "proxy", "standalone", "sdk"],
    because: "a command starts parts, it is not one",
  },
  {
    from: "tools",
    may: ["shared", "control-plane", "proxy", "cli"],
    because: "they generate pages from tables",
  },
];

const engines = [
  "routing",
  "identity",
  "quotas",
  "cache",
  "upstream",
  "transform",
  "protocol",
  "streams",
  "websocket",
];

const proxyLayers: readonly Layer[] = [
  ...engines.map((engine) => ({
    from: `proxy/src/${engine}`,
    may: ["shared"],
    because: "engines do not know each other; they meet in the composition root",
  })),
  {
    from: "proxy/src/stages",
    may: [
      "shared",
      "proxy/src/pipeline",
      "proxy/src/telemetry",
      ...engines.map((engine) => `proxy/src/${engine}`),
    ],
    because: "stages are thin: they ask engines and decide",
  },
  {
    from: "proxy/src/pipeline",
    may: [
      "shared",
      "proxy/src/stages",
      "proxy/src/telemetry",
      ...engines.map((engine) => `proxy/src/${engine}`),
    ],
    because: "the pipeline puts stages in order",
  },
  {
    from: "proxy/src/listener",
    may: [
      "shared",
      "proxy/src/pipeline",
      "proxy/src/stages",
      "proxy/src/telemetry",
      ...engines.map((engine) => `proxy/src/${engine}`),
    ],
    because:
      "the listener stands on top: it may use what is below, and nothing below knows sockets",
  },
  {
    from: "proxy/src/sidecar",
    may: [
      "shared",
      "proxy/src/listener",
      "proxy/src/pipeline",
      "proxy/src/stages",
      ...engines.map((engine) => `proxy/src/${engine}`),
    ],
    because:
      "it puts two request paths together out of what is there; the root puts it beside the fleet",
  },
  {
    from: "proxy/src/state",
    may: ["shared", "proxy/src/identity", "proxy/src/upstream", "proxy/src/routing"],
    because: "tables feed engines",
  },
  {
    from: "proxy/src/telemetry",
    may: ["shared"],
    because: "everybody counts, so counting depends on nobody",
  },
  {
    from: "proxy/src/probes",
    may: ["shared", "proxy/src/telemetry", "proxy/src/listener/bind.ts"],
    because: "probes report what they are told",
  },
];

/** A library, and the only places that may import it: replacing it is an edit of one file. */
const libraries: readonly { readonly library: RegExp; readonly places: readonly string[] }[] = [
  { library: /^@nats-io\//, places: ["shared/src/bus/", "shared/src/journal/nats"] },
  // For the benchmark's peers alone (docs/design/decisions/0020-an-http-client-of-our-own.md).
  { library: /^undici$/, places: [] },
  {
    library: /^jose$/,
    places: ["proxy/src/identity/jwt.ts", "control-plane/src/revocation/", "standalone/src/demo/"],
  },
  { library: /^fastify$/, places: ["control-plane/src/admin/"] },
  {
    library: /^@prometheus-io\/client$/,
    places: [
      "proxy/src/telemetry/metrics.ts",
      "proxy/src/telemetry/exposition.ts",
      "proxy/src/telemetry/session-series.ts",
      "proxy/src/telemetry/user-series.ts",
      "proxy/src/telemetry/combined.ts",
      "control-plane/src/",
    ],
  },
  { library: /^pino$/, places: ["shared/src/log.ts"] },
  { library: /^yaml$/, places: ["control-plane/src/catalogue/"] },
  { library: /^commander$/, places: ["cli/src/"] },
  { library: /^node:sqlite$/, places: ["shared/src/journal/", "shared/src/sessions/embedded.ts"] },
  { library: /^ioredis$/, places: ["shared/src/redis/redis.ts"] },
];

describe("who may import whom", () => {
  test.each([...layers, ...proxyLayers])(
    "$from imports only what it may: $because",
    ({ from, may }) => {
      const allowed = [from, ...may];
      const found = imports.filter(
        ({ file, target }) =>
          within(from)(file) &&
          target !== undefined &&
          !allowed.some((folder) => target === folder || target.startsWith(`${folder}/`)),
      );
      expect(show(found)).toEqual([]);
    },
  );

  test("nobody imports the tests or the benchmarks: what ships does not depend on what checks it", () => {
    expect(
      show(imports.filter(({ target }) => within("test")(target) || within("bench")(target))),
    ).toEqual([]);
  });

  test.each(libraries)("$library is imported in one place", ({ library, places }) => {
    const found = imports.filter(
      ({ file, specifier }) =>
        library.test(specifier) && !places.some((place) => file.startsWith(place)),
    );
    expect(show(found)).toEqual([]);
  });

  test("another package is entered by its front door", () => {
    const found = [...imports, ...files.filter(isTest).flatMap(importsOf)].filter(
      ({ file, specifier, target }) =>
        target !== undefined &&
        (specifier.startsWith(".")
          ? !isTest(file) && file.split("/")[0] !== target.split("/")[0]
          : target.endsWith("(not exported)")),
    );
    expect(show(found)).toEqual([]);
  });

  test("every import names a file that exists", () => {
    const found = imports.filter(
      ({ target }) =>
        target !== undefined &&
        !target.endsWith("(not exported)") &&
        !existsSync(join(root, target)),
    );
    expect(show(found)).toEqual([]);
  });

  test("no barrels: a front door lists its names one by one", () => {
    expect(
      product.filter((file) =>
        /(^|\n)\s*export \* from/.test(readFileSync(join(root, file), "utf8")),
      ),
    ).toEqual([]);
  });

  test("a source file fits a sitting", () => {
    const long = product.map((file) => ({
      file,
      lines: readFileSync(join(root, file), "utf8").split("\n").length,
    }));
    expect(long.filter(({ lines }) => lines > 400)).toEqual([]);
  });
});
