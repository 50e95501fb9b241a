import type { Applied, MissingProxy } from "@tocsin/shared/contract";
import { painter } from "./paint.ts";
import { span, table } from "./table.ts";
import {
  notInForceInTime,
  printJson,
  type ExitCode,
  type Invocation,
  type Terminal,
} from "./terminal.ts";

/** What the answers to all orders have in common. */
export interface OrderFacts {
  readonly sequence: number;
  readonly durableMs: number;
  readonly applied: Applied;
  /** How many revocations, where it was an order of many. */
  readonly count?: number | undefined;
  /** It was durable before. */
  readonly repeated?: true | undefined;
}

/**
 * Prints an order's answer: durable where, applied by how many, how fast, and who is missing.
 *
 * @param waited whether the proxies were waited for; without that, missing ones are no failure
 * @returns 3 when it is not in force everywhere in time
 */
export function reportOrder(
  { terminal, json }: Invocation,
  journal: "catalogue" | "revocations" | "invalidations",
  answer: OrderFacts,
  waited: boolean,
): ExitCode {
  const { applied, count } = answer;
  const late = applied.missing.length > 0 || applied.count < applied.expected;
  const exitCode = late && waited ? notInForceInTime : 0;
  if (json) printJson(terminal, answer);
  else {
    const paint = painter(terminal, terminal.stdout);
    const rows = [
      [
        "durable",
        `${journal} ${answer.sequence}`,
        span(answer.durableMs),
        ...(count === undefined ? [] : [`${count} at once`]),
      ],
      [
        "applied",
        `${applied.count}/${applied.expected} proxies`,
        ...(applied.count === 0 ? [] : [span(applied.ms)]),
        ...(applied.slowest === undefined ? [] : [`slowest ${applied.slowest}`]),
      ],
    ];
    const colourOf = (word: string) => (word === "applied" && late ? "yellow" : "green");
    terminal.stdout.write(
      table(rows, {
        firstGap: 2,
        paint: (cell, _, column) => (column === 0 ? paint(colourOf(cell), cell) : cell),
      }),
    );
  }
  if (answer.repeated === true)
    terminal.stderr.write("The same order was durable before; it was not written again.\n");
  if (!waited) terminal.stderr.write("Not waited for the proxies.\n");
  else if (late) reportMissing(terminal, applied.missing);
  else if (applied.expected === 0)
    terminal.stderr.write("No proxy is live now; each applies it before it serves again.\n");
  return exitCode;
}

/** Who is missing, by how much, since when, and why. */
function reportMissing(terminal: Terminal, missing: readonly MissingProxy[]): void {
  const paint = painter(terminal, terminal.stderr);
  const rows = missing.map(({ proxy, lag, lastSeenMs, error }) => [
    proxy,
    error !== undefined ? "refused" : lag === undefined ? "unknown" : entries(lag),
    lastSeenMs === undefined ? "never" : `${span(lastSeenMs)} ago`,
    error ?? "",
  ]);
  terminal.stderr.write(
    table([["MISSING", "BEHIND", "LAST SEEN", "WHY"], ...rows], {
      paint: (cell, row, column) =>
        row === 0 ? paint("grey", cell) : column === 0 ? paint("red", cell) : cell,
    }),
  );
  if (missing.some(({ error }) => error === undefined))
    terminal.stderr.write("It is durable: who is behind applies it as soon as it hears of it.\n");
}

const entries = (count: number) => (count === 1 ? "1 entry" : `${count} entries`);
