/** The command line. */
import { parseArgs } from "node:util";

export interface Options {
  /** Names of contenders; none: the usual ones. */
  readonly names: readonly string[];
  /** How often everything is started anew. */
  readonly starts: number;
  /** Measurements per start. */
  readonly runs: number;
  readonly seconds: number;
  readonly warmUpSeconds: number;
  readonly connections: number;
  /** Revocations that are loaded where they are asked for. */
  readonly revocations: number;
  /** Where the results go. */
  readonly json: string | undefined;
  /** Keeps the results under `bench/results/<date>-<name>.json`. */
  readonly keep: string | undefined;
  readonly markdown: boolean;
  readonly help: boolean;
}

/** @throws Error that says which option is wrong and what is allowed */
export function readOptions(args: readonly string[]): Options {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      starts: { type: "string", default: "3" },
      runs: { type: "string", default: "2" },
      seconds: { type: "string", default: "3" },
      "warm-up": { type: "string", default: "3" },
      connections: { type: "string", default: "50" },
      revocations: { type: "string", default: "100000" },
      json: { type: "string" },
      keep: { type: "string" },
      markdown: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  const { json, keep } = values;
  if (keep !== undefined && !/^[a-z0-9-]+$/.test(keep))
    throw new Error(`--keep takes a name of lower-case letters, digits and hyphens, not ${keep}`);
  return {
    names: positionals,
    starts: whole("starts", values.starts, 1, 20),
    runs: whole("runs", values.runs, 1, 50),
    seconds: whole("seconds", values.seconds, 1, 60),
    warmUpSeconds: whole("warm-up", values["warm-up"], 1, 60),
    connections: whole("connections", values.connections, 1, 500),
    revocations: whole("revocations", values.revocations, 1, 1_000_000),
    json,
    keep,
    markdown: values.markdown,
    help: values.help,
  };
}

function whole(name: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < least || value > most)
    throw new Error(`--${name} takes a whole number from ${least} to ${most}, not ${text}`);
  return value;
}

export const usage = `npm run bench -- [name…] [options]

Measures CPU time per request of Tocsin and its peers, side by side on one core.

  --starts N         times that everything is started anew (3)
  --runs N           runs of each program per start, in turn (2)
  --seconds N        length of a run (3)
  --warm-up N        load before the first run, in seconds (3)
  --connections N    connections that send without a pause (50)
  --revocations N    revocations that are loaded where they are asked for (100000)
  --keep NAME        write the results to bench/results/<date>-NAME.json
  --json FILE        write the results to FILE (default: below bench/results/local/)
  --markdown         print the table for a page
`;
