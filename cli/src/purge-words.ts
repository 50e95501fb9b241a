import { Option, type Command } from "commander";
import type { PurgeOptions } from "./commands/purge.ts";
import type { Running } from "./program.ts";

/** Selectors of what caches hold: known, and told that they come later. */
const later = ["--key <key>", "--prefix <prefix>", "--tag <tag>", "--service <name>", "--soft"];

/** `tocsin purge`. */
export function addPurge(program: Command, running: Running, wait: () => Option): void {
  const command = program
    .command("purge")
    .description("have every proxy forget what it remembers; waits until each has")
    .option("--user <id>", "about this user: the next request asks the service of users again")
    .option("--all", "everything")
    .option("--operation <id>", "repeating an order with the same id has one effect")
    .addOption(wait())
    .action(
      running<PurgeOptions, []>(async (invocation) =>
        (await import("./commands/purge.ts")).purge(invocation),
      ),
    );
  for (const words of later) command.addOption(new Option(words).hideHelp());
}
