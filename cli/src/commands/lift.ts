import { OrderAnswer, RevocationTarget } from "@tocsin/shared/contract";
import { adminClient } from "../admin-client.ts";
import { understood } from "../answer.ts";
import { durationOf } from "../duration.ts";
import { operationOf, repeatable } from "../operation.ts";
import { reportOrder } from "../order-report.ts";
import { withProgress } from "../progress.ts";
import type { ExitCode, Invocation } from "../terminal.ts";
import type { OrderOptions } from "./revoke-file.ts";

/** The control plane looks through its whole journal, which takes some ten seconds for a million entries. */
const patienceMs = 180_000;

const Lifted = OrderAnswer.extend({ lifted: RevocationTarget });

/** `tocsin revocations lift ID` */
export async function liftRevocation(
  invocation: Invocation<OrderOptions>,
  id: string,
): Promise<ExitCode> {
  const { terminal, options } = invocation;
  const waitMs = durationOf("--wait", options.wait);
  const operation = operationOf(options.operation);
  const reason =
    options.reason === undefined ? "" : `&reason=${encodeURIComponent(options.reason)}`;
  const client = adminClient(terminal);
  const { document } = await withProgress(
    terminal,
    client.clock,
    "waiting for every proxy to apply it",
    repeatable(
      operation,
      client.callJson({
        method: "DELETE",
        path: `/v1/revocations/${encodeURIComponent(id)}?wait=${waitMs}ms${reason}`,
        headers: { "idempotency-key": operation },
        waitMs,
        patienceMs,
      }),
    ),
  );
  return reportOrder(invocation, "revocations", understood(Lifted, document), waitMs > 0);
}
