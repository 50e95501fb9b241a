import { Option, type Command } from "commander";
import type { AuditOptions } from "./commands/audit.ts";
import type { Running } from "./program.ts";

/** `tocsin audit`. */
export function addAudit(program: Command, running: Running): void {
  program
    .command("audit")
    .description("who ordered what, when, and with which outcome; the newest last")
    .option("--since <when>", "only from then on: 1h ago (1h), an ISO date, or Unix seconds")
    .option("--until <when>", "only up to then")
    .option("--action <name>", "only this action: revoke, applyConfig, register, …")
    .addOption(
      new Option("--outcome <outcome>", "only with this outcome").choices([
        "done",
        "refused",
        "failed",
      ]),
    )
    .option("--who <who>", "only by this one: admin, service:users, unknown")
    .option("--limit <count>", "how many, of the newest", "50")
    .option("-f, --follow", "go on with what comes, until stopped")
    .action(
      running<AuditOptions, []>(async (invocation) =>
        (await import("./commands/audit.ts")).showAudit(invocation),
      ),
    );
}
