import { SessionList, SessionsEnded, type SessionView } from "@tocsin/shared/contract";
import { adminClient } from "../admin-client.ts";
import { understood } from "../answer.ts";
import { durationOf } from "../duration.ts";
import { reportOrder } from "../order-report.ts";
import { painter } from "../paint.ts";
import { withProgress } from "../progress.ts";
import { span, table } from "../table.ts";
import { CommandFailed, printJson, type ExitCode, type Invocation } from "../terminal.ts";

export interface EndOptions {
  readonly user?: string;
  readonly reason?: string;
  readonly wait: string;
}

const heading = ["SESSION", "CREATED", "IDLE UNTIL", "ENDS", "ROLES", "CLIENT", "BY", "METADATA"];

/** `tocsin sessions list SUBJECT` */
export async function listSessions(invocation: Invocation, subject: string): Promise<ExitCode> {
  const { terminal, json } = invocation;
  const path = `/v1/sessions?subject=${encodeURIComponent(subject)}`;
  const client = adminClient(terminal);
  const { document } = await client.callJson({ path });
  const { sessions, more } = understood(SessionList, document);
  if (json) {
    printJson(terminal, document);
    return 0;
  }
  if (sessions.length === 0) {
    terminal.stderr.write(`${subject} has no session.\n`);
    return 0;
  }
  const paint = painter(terminal, terminal.stdout);
  terminal.stdout.write(
    table([heading, ...sessions.map((each) => rowOf(each, client.clock.wall() / 1_000))], {
      paint: (cell, row) => (row === 0 ? paint("grey", cell) : cell),
    }),
  );
  if (more === true) terminal.stderr.write(`The newest ${sessions.length}; there are more.\n`);
  return 0;
}

/** `tocsin sessions end [SID]` */
export async function endSessions(
  invocation: Invocation<EndOptions>,
  sid: string | undefined,
): Promise<ExitCode> {
  const { terminal, json, options } = invocation;
  const { user, reason } = options;
  if ((sid === undefined) === (user === undefined))
    throw new CommandFailed(
      "Which session? Give its id, or --user for every session that somebody has.",
    );
  const waitMs = durationOf("--wait", options.wait);
  const query = new URLSearchParams({
    wait: `${waitMs}ms`,
    ...(user === undefined ? {} : { subject: user }),
    ...(reason === undefined ? {} : { reason }),
  });
  const which = sid === undefined ? "" : `/${encodeURIComponent(sid)}`;
  const client = adminClient(terminal);
  const { document } = await withProgress(
    terminal,
    client.clock,
    "waiting for every proxy to apply it",
    client.callJson({ method: "DELETE", path: `/v1/sessions${which}?${query.toString()}`, waitMs }),
  );
  const ended = understood(SessionsEnded, document);
  if (!("operation" in ended)) {
    if (json) printJson(terminal, document);
    else terminal.stderr.write(`${user} has no session: nothing was ended.\n`);
    return 0;
  }
  const exitCode = reportOrder(invocation, "revocations", ended, waitMs > 0);
  if (ended.notRemoved !== undefined)
    terminal.stderr.write(
      `Revoked, but still in the store (${ended.notRemoved}): they let nobody in, and end there by themselves.\n`,
    );
  return exitCode;
}

function rowOf(session: SessionView, now: number): string[] {
  const { sid, createdAt, idleEndsAt, expiresAt, roles, client, by, metadata = {} } = session;
  return [
    sid,
    `${span(Math.max(0, now - createdAt) * 1_000)} ago`,
    `in ${span(Math.max(0, idleEndsAt - now) * 1_000)}`,
    `in ${span(Math.max(0, expiresAt - now) * 1_000)}`,
    roles.join(",") || "none",
    client ?? "none",
    by,
    Object.entries(metadata)
      .map(([name, value]) => `${name}=${value}`)
      .join(" "),
  ];
}
