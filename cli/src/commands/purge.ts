import { OrderAnswer, type InvalidationOrder } from "@tocsin/shared/contract";
import { adminClient } from "../admin-client.ts";
import { understood } from "../answer.ts";
import { durationOf } from "../duration.ts";
import { operationOf, repeatable } from "../operation.ts";
import { reportOrder } from "../order-report.ts";
import { withProgress } from "../progress.ts";
import { notYet } from "../later.ts";
import { CommandFailed, type ExitCode, type Invocation } from "../terminal.ts";

export interface PurgeOptions {
  readonly user?: string;
  readonly all?: true;
  readonly key?: string;
  readonly prefix?: string;
  readonly tag?: string;
  readonly service?: string;
  readonly soft?: true;
  readonly wait: string;
  readonly operation?: string;
}

/** `tocsin purge` */
export async function purge(invocation: Invocation<PurgeOptions>): Promise<ExitCode> {
  const { terminal, options } = invocation;
  const what = selected(options);
  const waitMs = durationOf("--wait", options.wait);
  const operation = operationOf(options.operation);
  const client = adminClient(terminal);
  const { document } = await withProgress(
    terminal,
    client.clock,
    "waiting for every proxy to apply it",
    repeatable(
      operation,
      client.callJson({
        method: "POST",
        path: `/v1/invalidations?wait=${waitMs}ms`,
        body: { type: "application/json", text: JSON.stringify(what) },
        headers: { "idempotency-key": operation },
        waitMs,
      }),
    ),
  );
  const answer = understood(OrderAnswer, document);
  return reportOrder(invocation, "invalidations", answer, waitMs > 0);
}

function selected(options: PurgeOptions): InvalidationOrder {
  for (const later of ["key", "prefix", "tag", "service", "soft"] as const)
    if (options[later] !== undefined) throw notYet(`tocsin purge --${later}`);
  const { user, all } = options;
  if (user !== undefined && all !== undefined)
    throw new CommandFailed("Give either --user or --all, not both.");
  if (user !== undefined) return { user };
  if (all === undefined)
    throw new CommandFailed("What is to be forgotten? Give --user ID, or --all.");
  return { all };
}
