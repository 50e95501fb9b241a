import type { Command } from "commander";
import { CommandFailed } from "./terminal.ts";

/**
 * Commands of the interface that this version does not have yet. Whoever types one has not made a typing error, and is told so.
 * By the group they belong to; the empty one is `tocsin` itself.
 */
const laterCommands: Readonly<Record<string, readonly string[]>> = {
  "": ["events", "top", "doctor", "completion"],
  config: ["diff", "history", "rollback"],
  services: ["drain", "deregister"],
};

/** Adds the commands that come later to a group, unseen in its help. */
export function addLaterCommands(group: Command, name: string): void {
  for (const later of laterCommands[name] ?? []) {
    group
      .command(later, { hidden: true })
      .helpOption(false)
      .allowUnknownOption()
      .allowExcessArguments()
      .action(() => {
        throw notYet(`tocsin ${name === "" ? "" : `${name} `}${later}`);
      });
  }
}

export function notYet(what: string): CommandFailed {
  return new CommandFailed(`${what} is not supported yet.`);
}
