import type { Option } from "commander";
import type { EndOptions } from "./commands/sessions.ts";
import type { Group, Running } from "./program.ts";

/** The words about sessions. */
export function addSessions(group: Group, running: Running, wait: () => Option): void {
  const sessions = group("sessions", "who is signed in by a session of this gateway");
  sessions
    .command("list <subject>")
    .description("the sessions of a user, the newest first")
    .action(
      running<object, [string]>(async (invocation, subject) =>
        (await import("./commands/sessions.ts")).listSessions(invocation, subject),
      ),
    );
  sessions
    .command("end [sid]")
    .description("end a session on every proxy, or with --user all that somebody has")
    .option("--user <subject>", "every session that this user has now")
    .option("--reason <text>", "why, for the list of revocations and the audit")
    .addOption(wait())
    .action(
      running<EndOptions, [string | undefined]>(async (invocation, sid) =>
        (await import("./commands/sessions.ts")).endSessions(invocation, sid),
      ),
    );
}
