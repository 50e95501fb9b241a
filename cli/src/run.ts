import { CommanderError } from "commander";
import { createProgram } from "./program.ts";
import { CommandFailed, printJson, type ExitCode, type Terminal } from "./terminal.ts";

/** Runs one command line to its end. Never rejects. */
export async function run(args: readonly string[], terminal: Terminal): Promise<ExitCode> {
  const { command, exitCode } = createProgram(terminal);
  try {
    await command.parseAsync(args, { from: "user" });
    return exitCode();
  } catch (error) {
    // Commander has said what is wrong, or printed the help that was asked for.
    if (error instanceof CommanderError) return error.exitCode;
    if (!(error instanceof CommandFailed)) {
      terminal.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
      return 1;
    }
    if (args.includes("--json")) printJson(terminal, { error: facts(error) });
    terminal.stderr.write(`${error.message}\n`);
    return error.exitCode;
  }
}

/** What a script can use of a failure. */
function facts(error: CommandFailed): object {
  const { message } = error;
  return "problem" in error ? { message, ...(error.problem as object) } : { message };
}
