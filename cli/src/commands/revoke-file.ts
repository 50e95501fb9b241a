/** Many revocations out of a file: all of it is checked, then all of it is ordered. */
import { createHash } from "node:crypto";
import { maxRevocations, OrderAnswer, RevocationsChecked } from "@tocsin/shared/contract";
import { AdminProblem, adminClient, type AdminClient } from "../admin-client.ts";
import { understood } from "../answer.ts";
import { printProblems, type ConfigProblem } from "../config-file.ts";
import { durationOf } from "../duration.ts";
import { lineFile, type LineFile } from "../lines.ts";
import { operationOf, OrderFailed, repeatable } from "../operation.ts";
import { reportOrder } from "../order-report.ts";
import { withCount, type Count } from "../progress.ts";
import {
  CommandFailed,
  interrupted,
  printJson,
  type ExitCode,
  type Invocation,
} from "../terminal.ts";
import { revocationOf, type PlainLines } from "./revocation-line.ts";

/** What every order takes. */
export interface OrderOptions {
  readonly wait: string;
  readonly reason?: string;
  readonly operation?: string;
}

/** Lines that are checked in one call: that many, or so many characters of them. */
const checkedAtOnce = 500;
const checkedCharacters = 512 * 1024;
/** Characters of revocations in one order, at most. */
const orderedCharacters = 8 * 1024 * 1024;
/** How much longer than an order of one an order of many may take, in milliseconds: the store is tried 15 s for each of its entries. */
const longOrderMs = 60_000;
/** The most that one command takes. What is held of each is about 150 bytes. */
const maxLines = 1_000_000;
/** Wrong lines that are told. */
const maxProblems = 100;

/** Revocations that were checked, their tokens reduced, as the text of a JSON list without its brackets. */
interface Checked {
  readonly count: number;
  readonly text: string;
}

/** `tocsin revoke token|user --file FILE` */
export async function revokeFile(
  invocation: Invocation<OrderOptions>,
  name: string,
  plain: PlainLines,
): Promise<ExitCode> {
  const { terminal, json, options } = invocation;
  const waitMs = durationOf("--wait", options.wait);
  const operation = operationOf(options.operation);
  const client = adminClient(terminal);
  const file = lineFile(terminal, name);
  const stop = terminal.untilStopped();
  const { clock } = client;
  let checked: Checked[];
  try {
    checked = await withCount(terminal, clock, "checked", undefined, (count) =>
      checkLines(client, file, plain, count, stop),
    );
  } catch (error) {
    if (stop.aborted) throw interrupted(stop, "Nothing was revoked.");
    if (!(error instanceof WrongLines)) throw error;
    if (json) printJson(terminal, { error: { message: error.message, errors: error.problems } });
    else printProblems(terminal, file.name, error.problems, "nothing was revoked");
    return 1;
  }
  const orders = ordersOf(checked, operation);
  const total = orders.reduce((sum, { count }) => sum + count, 0);
  let durable = 0;
  const answers: OrderAnswer[] = [];
  try {
    await withCount(terminal, clock, "revoked", total, async (count) => {
      for (const order of orders) {
        const { document } = await client.callJson({
          method: "POST",
          path: `/v1/revocations?wait=${waitMs}ms`,
          body: { type: "application/json", text: order.body(options.reason) },
          headers: { "idempotency-key": order.operation },
          waitMs: waitMs + longOrderMs,
          signal: stop,
        });
        answers.push(understood(OrderAnswer, document));
        durable += order.count;
        count.done = durable;
      }
    });
  } catch (error) {
    const known = `${durable} of ${total} are durable`;
    if (stop.aborted) {
      throw new OrderFailed(
        interrupted(stop, `${known}; of the next ones it is not known, the rest is not.`),
        operation,
      );
    }
    if (orders.length === 1 || !(error instanceof CommandFailed))
      return await repeatable(operation, Promise.reject(error as Error));
    throw new OrderFailed(
      new CommandFailed(`${known}, then it failed: ${error.message}`, { cause: error }),
      operation,
    );
  }
  return reportOrder(invocation, "revocations", together(answers, operation), waitMs > 0);
}

/** Some lines cannot be revoked. */
class WrongLines extends Error {
  override readonly name = "WrongLines";
  readonly problems: readonly ConfigProblem[];
  constructor(message: string, problems: readonly ConfigProblem[]) {
    super(message);
    this.problems = problems;
  }
}

/** @throws WrongLines with the first of them */
async function checkLines(
  client: AdminClient,
  file: LineFile,
  plain: PlainLines,
  count: Count,
  signal: AbortSignal,
): Promise<Checked[]> {
  const checked: Checked[] = [];
  const problems: ConfigProblem[] = [];
  let texts: string[] = [];
  let numbers: number[] = [];
  let characters = 0;
  const flush = async () => {
    if (texts.length === 0) return;
    const lines = numbers;
    const body = { type: "application/json", text: `{"revocations":[${texts.join(",")}]}` };
    [texts, numbers, characters] = [[], [], 0];
    try {
      const path = "/v1/revocations?dryRun=true";
      const { document } = await client.callJson({ method: "POST", path, body, signal });
      const { revocations } = understood(RevocationsChecked, document);
      const text = revocations.map((each) => JSON.stringify(each)).join(",");
      checked.push({ count: revocations.length, text });
    } catch (error) {
      const errors = error instanceof AdminProblem ? error.problem.errors : undefined;
      if (errors === undefined || errors.length === 0) throw error;
      for (const { pointer, message } of errors) {
        const [, index, place = ""] = /^\/revocations\/(\d+)(.*)$/.exec(pointer) ?? [];
        problems.push({ line: lines[Number(index)], pointer: place, message });
      }
    }
    count.done += lines.length;
  };

  count.total = await file.count();
  for await (const { number, text } of file.lines()) {
    signal.throwIfAborted();
    const revocation = revocationOf(text, plain);
    if (typeof revocation === "string")
      problems.push({ line: number, pointer: "", message: revocation });
    else {
      if (count.done + numbers.length >= maxLines)
        throw new CommandFailed(`${file.name}: more than ${maxLines} lines; split it`);
      const item = JSON.stringify(revocation);
      texts.push(item);
      numbers.push(number);
      characters += item.length;
    }
    if (texts.length === checkedAtOnce || characters > checkedCharacters) await flush();
    if (problems.length >= maxProblems) break;
  }
  if (problems.length < maxProblems) await flush();
  if (problems.length > 0) {
    problems.sort((a, b) => (a.line ?? 0) - (b.line ?? 0));
    throw new WrongLines("Some lines cannot be revoked.", problems.slice(0, maxProblems));
  }
  if (checked.length === 0) throw new CommandFailed(`${file.name} has no line.`);
  return checked;
}

interface FileOrder {
  readonly operation: string;
  readonly count: number;
  body(reason: string | undefined): string;
}

/** As few orders as can be. Each has an operation of its own, so that the same file with the same operation is the same orders. */
function ordersOf(checked: readonly Checked[], operation: string): FileOrder[] {
  const groups: Checked[][] = [];
  let room = 0;
  let characters = 0;
  for (const each of checked) {
    if (each.count > room || characters + each.text.length > orderedCharacters) {
      groups.push([]);
      [room, characters] = [maxRevocations, 0];
    }
    groups.at(-1)!.push(each);
    room -= each.count;
    characters += each.text.length;
  }
  // So that the same operation with another file is refused at its first order.
  const whole = createHash("sha256");
  for (const { text } of checked) whole.update(text).update("\n");
  const partOf = groups.length === 1 ? {} : { partOf: whole.digest("base64url") };
  return groups.map((group, index) => ({
    operation: index === 0 ? operation : `${operation.slice(0, 50)}-part-${index + 1}`,
    count: group.reduce((sum, { count }) => sum + count, 0),
    body: (reason) => {
      const rest = JSON.stringify({ ...partOf, ...(reason === undefined ? {} : { reason }) });
      const list = `"revocations":[${group.map(({ text }) => text).join(",")}]`;
      return rest === "{}" ? `{${list}}` : `{${list},${rest.slice(1)}`;
    },
  }));
}

/** One answer for all orders: what is missing of one of them is missing. */
function together(answers: readonly OrderAnswer[], operation: string): OrderAnswer {
  const last = answers.at(-1)!;
  const refused = answers
    .slice(0, -1)
    .flatMap(({ applied }) => applied.missing.filter(({ error }) => error !== undefined));
  const names = new Set(last.applied.missing.map(({ proxy }) => proxy));
  const more = new Map(
    refused.filter(({ proxy }) => !names.has(proxy)).map((each) => [each.proxy, each]),
  );
  const { repeated: _, ...facts } = last;
  return {
    ...facts,
    operation,
    durableMs: answers.reduce((sum, { durableMs }) => sum + durableMs, 0),
    count: answers.reduce((sum, { count = 0 }) => sum + count, 0),
    applied: {
      ...last.applied,
      count: last.applied.count - more.size,
      missing: [...last.applied.missing, ...more.values()],
    },
    ...(answers.every(({ repeated }) => repeated) ? { repeated: true } : {}),
  };
}
