/** `npm run bench`: measures, prints the table, keeps the numbers. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { Contender } from "./contender.ts";
import { machine, versions } from "./machine.ts";
import { readOptions, usage, type Options } from "./options.ts";
import { peers } from "./peers.ts";
import { place } from "./placement.ts";
import { compare, type Measured } from "./runner.ts";
import { judge } from "./targets.ts";
import { markdownTable, plainTable, remarks } from "./table.ts";
import { ensureTools } from "./tools.ts";
import { tocsinContenders } from "./tocsin/contenders.ts";

const say = (line: string) => process.stderr.write(`${line}\n`);

async function main(options: Options): Promise<void> {
  const all: readonly Contender[] = [...peers, ...tocsinContenders(options.revocations)];
  if (options.help) {
    process.stdout.write(`${usage}\nPrograms (* when none is named):\n`);
    for (const { name, title, onRequest } of all)
      process.stdout.write(`${onRequest === true ? " " : "*"} ${name.padEnd(22)} ${title}\n`);
    return;
  }
  const contenders = choose(all, options.names);
  ensureTools(say);
  const placement = place();
  if (placement.unpinned !== undefined)
    say(`Nothing is pinned: ${placement.unpinned}. The figures are rougher than they could be.`);

  const startedAt = new Date();
  const measuredSeconds =
    options.starts * contenders.length * (options.warmUpSeconds + options.runs * options.seconds);
  // Twice what it should take, and what starting takes: a benchmark that hangs ends by itself.
  const patience = AbortSignal.timeout((measuredSeconds * 2 + 180 * options.starts) * 1_000);
  say(
    `${contenders.length} programs, about ${Math.ceil((measuredSeconds * 1.2 + 30 * options.starts) / 60)} min`,
  );
  const directory = mkdtempSync(join(tmpdir(), "tocsin-bench-"));
  let measured: Measured[];
  try {
    measured = await compare({
      ...options,
      contenders,
      placement,
      directory,
      say,
      signal: AbortSignal.any([patience, interrupted()]),
    });
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }

  const file = resultFile(options, startedAt);
  mkdirSync(dirname(file), { recursive: true });
  const result = {
    format: 1,
    startedAt: startedAt.toISOString(),
    command: ["npm run bench --", ...process.argv.slice(2)].join(" "),
    machine: machine(),
    versions: versions(),
    method: {
      connections: options.connections,
      starts: options.starts,
      runs: options.runs,
      seconds: options.seconds,
      warmUpSeconds: options.warmUpSeconds,
      placement,
    },
    measured: measured.map((one) => ({ ...one, ...judge(one.name, measured) })),
  };
  writeFileSync(file, `${JSON.stringify(result, null, 2)}\n`);
  const table = options.markdown ? markdownTable(measured) : plainTable(measured);
  process.stdout.write(`\n${table}\n\n`);
  for (const remark of remarks(measured)) say(remark);
  say(`results in ${file}`);
}

function choose(all: readonly Contender[], names: readonly string[]): readonly Contender[] {
  if (names.length === 0) return all.filter(({ onRequest }) => onRequest !== true);
  const unknown = names.filter((name) => !all.some((contender) => contender.name === name));
  if (unknown.length > 0) {
    throw new Error(
      `unknown: ${unknown.join(", ")}. There are ${all.map(({ name }) => name).join(", ")}.`,
    );
  }
  return all.filter(({ name }) => names.includes(name));
}

function resultFile(options: Options, startedAt: Date): string {
  if (options.json !== undefined) return options.json;
  const results = join(import.meta.dirname, "results");
  const [date = "", time = ""] = startedAt.toISOString().split("T");
  if (options.keep !== undefined) return join(results, `${date}-${options.keep}.json`);
  return join(results, "local", `${date}-${time.slice(0, 8).replaceAll(":", "")}.json`);
}

/** The first Ctrl-C ends what was started; a second one ends this. */
function interrupted(): AbortSignal {
  const controller = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const)
    process.once(signal, () => controller.abort(new Error(`stopped by ${signal}`)));
  return controller.signal;
}

try {
  await main(readOptions(process.argv.slice(2)));
} catch (error) {
  say(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
