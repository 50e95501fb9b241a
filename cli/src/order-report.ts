import type { Applied } from "@tocsin/shared/contract";
import { painter } from "./paint.ts";
import { span, table } from "./table.ts";
import { notInForceInTime, printJson, type ExitCode, type Invocation } from "./terminal.ts";

/** What the answers to all orders have in common. */
export interface OrderFacts {
  readonly sequence: number;
  readonly durableMs: number;
  readonly applied: Applied;
}

/**
 * Prints an order's answer: durable where, applied by how many, how fast, and who is missing.
 *
 * @param waited whether the proxies were waited for; without that, missing ones are no failure
 * @returns 3 when it is not in force everywhere in time
 */
export function reportOrder(
  { terminal, json }: Invocation,
  journal: "catalogue" | "revocations",
  answer: OrderFacts,
  waited: boolean,
): ExitCode {
  const { applied } = answer;
  const late = applied.missing.length > 0 || applied.count < applied.expected;
  const exitCode = late && waited ? notInForceInTime : 0;
  if (json) {
    printJson(terminal, answer);
    return exitCode;
  }
  const paint = painter(terminal, terminal.stdout);
  const rows = [
    ["durable", `${journal} ${answer.sequence}`, span(answer.durableMs)],
    [
      "applied",
      `${applied.count}/${applied.expected} proxies`,
      span(applied.ms),
      ...(applied.slowest === undefined ? [] : [`slowest ${applied.slowest}`]),
    ],
    ...applied.missing.map(({ proxy, lag, error }) => [
      "missing",
      proxy,
      error ?? (lag === undefined ? "has not said where it is" : `${lag} behind`),
    ]),
  ];
  const colourOf = (word: string) =>
    word === "missing" ? "red" : word === "applied" && late ? "yellow" : "green";
  terminal.stdout.write(
    table(rows, {
      firstGap: 2,
      paint: (cell, _, column) => (column === 0 ? paint(colourOf(cell), cell) : cell),
    }),
  );
  if (applied.expected === 0)
    terminal.stderr.write("No proxy is live now; each applies it before it serves again.\n");
  else if (late && !waited) terminal.stderr.write("Not waited for the proxies.\n");
  return exitCode;
}
