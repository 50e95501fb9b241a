/** The `tocsin` command as a program under test. */
import { closeSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Started } from "../contender.ts";
import { launch, type Running } from "../processes.ts";
import { ask } from "../verify.ts";
import { tokenOf } from "./tokens.ts";

const command = join(import.meta.dirname, "..", "..", "cli", "bin", "tocsin.js");
const anywhere = "127.0.0.1:0";

export interface TocsinProgram extends Running {
  /** What it printed as bound: `proxy`, `probe`, `admin`. */
  readonly bound: Readonly<Record<string, string>>;
  /** Its log, access lines among them. */
  readonly log: string;
}

/** Starts `tocsin …` with its log in a file. */
export async function startTocsin(options: {
  readonly args: readonly string[];
  readonly core: number | undefined;
  readonly directory: string;
  readonly environment?: Readonly<Record<string, string>>;
}): Promise<TocsinProgram> {
  const role = options.args[0] ?? "";
  const log = join(options.directory, `${role}.log`);
  const stderr = openSync(log, "a");
  try {
    const running = await launch({
      command: [process.execPath, command, ...options.args, "--json"],
      core: options.core,
      stderr,
      environment: {
        TOCSIN_LISTEN: anywhere,
        TOCSIN_PROBE_LISTEN: anywhere,
        TOCSIN_ADMIN_LISTEN: anywhere,
        TOCSIN_STATE_DIR: join(options.directory, `${role}-state`),
        TOCSIN_DRAIN_TIMEOUT: "1s",
        ...options.environment,
      },
    });
    const [line = ""] = running.output().split("\n", 1);
    return { ...running, bound: JSON.parse(line) as Record<string, string>, log };
  } catch (error) {
    // The file goes with the benchmark's directory; why it did not start stands there.
    const tail = readFileSync(log, "utf8").slice(-2_000);
    throw new Error(`${(error as Error).message.trim()}\n${tail}`, { cause: error });
  } finally {
    closeSync(stderr);
  }
}

/** How many different tokens take turns: users who come back, so that each token has been verified before. */
const tokens = 1_000;
const readyWithinMs = 20_000;

/**
 * A running proxy as a contender.
 *
 * @param program the process that is measured
 * @param revoked the `jti` of the last revocation that was loaded; undefined: the route wants no token
 */
export async function contend(
  program: TocsinProgram,
  directory: string,
  revoked: string | undefined,
): Promise<Omit<Started, typeof Symbol.asyncDispose>> {
  const url = program.bound["proxy"] ?? "";
  const probe = program.bound["probe"] ?? "";
  const shared = {
    pid: program.pid,
    url,
    accessLog: program.log,
    counted: () => requestsCounted(probe),
  };
  if (revoked === undefined) {
    await soon(async () => (await ask(url)).status === 200);
    return shared;
  }
  const tokenFile = join(directory, "tokens.txt");
  const users = Array.from({ length: tokens }, (_, index) =>
    tokenOf({ subject: `user-${index}`, roles: ["user", "reader"] }),
  );
  const [first = "", ...rest] = await Promise.all(users);
  writeFileSync(tokenFile, `${[first, ...rest].join("\n")}\n`);
  await soon(async () => (await ask(url, first)).status === 200);
  const hopeless: readonly (readonly [string, number, string | undefined])[] = [
    ["no token", 401, undefined],
    ["a token without the role", 403, await tokenOf({ subject: "eve", roles: ["user"] })],
    [
      "the token that was revoked last",
      401,
      await tokenOf({ subject: "eve", roles: ["reader"], jti: revoked }),
    ],
  ];
  return {
    ...shared,
    tokenFile,
    async prove() {
      for (const [what, status, token] of hopeless) {
        const answer = await ask(url, token);
        if (answer.status !== status)
          throw new Error(`with ${what} the answer is ${answer.status}, not ${status}`);
      }
    },
  };
}

async function soon(isSo: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + readyWithinMs;
  while (!(await isSo())) {
    if (performance.now() > deadline)
      throw new Error(`the route was not open within ${readyWithinMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function requestsCounted(probe: string): Promise<number> {
  const metrics = await (await fetch(`${probe}/metrics`)).text();
  return [...metrics.matchAll(/^http_requests_total\{[^}]*\} (\S+)/gm)].reduce(
    (sum, [, value]) => sum + Number(value),
    0,
  );
}
