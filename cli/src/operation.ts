import { randomUUID } from "node:crypto";
import { AdminProblem } from "./admin-client.ts";
import { CommandFailed } from "./terminal.ts";

const pattern = /^[A-Za-z0-9_-]{1,64}$/;

/** The id that an order goes by: given, or made up, so that it can be repeated whatever happens to the answer. */
export function operationOf(given: string | undefined): string {
  if (given === undefined) return randomUUID();
  if (pattern.test(given)) return given;
  throw new CommandFailed(
    `--operation: ${JSON.stringify(given)} is not an id: write 1 to 64 letters, digits, hyphens and underscores`,
  );
}

/** An order's failure, with how to repeat it where it may be in force. */
export class OrderFailed extends CommandFailed {
  override readonly name = "OrderFailed";
  readonly problem: object;
  constructor(error: CommandFailed, operation: string) {
    const problem = error instanceof AdminProblem ? error.problem : {};
    // The control plane has said so, too, in the words of its API.
    const message = error.message.replace(
      ` Repeating it with the operation ${operation} has one effect.`,
      "",
    );
    super(`${message}\nRepeating it with --operation ${operation} is safe: it has one effect.`, {
      cause: error,
      exitCode: error.exitCode,
    });
    this.problem = { ...problem, operation };
  }
}

/** Adds to a failure how to repeat the order, unless it certainly had no effect. */
export async function repeatable<T>(operation: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof CommandFailed) || !mayHaveBegun(error)) throw error;
    throw new OrderFailed(error, operation);
  }
}

function mayHaveBegun(error: CommandFailed): boolean {
  if (error instanceof AdminProblem) return (error.problem.status ?? 0) >= 500;
  const { code } = (error.cause ?? {}) as NodeJS.ErrnoException;
  return !["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN"].includes(code ?? "");
}
