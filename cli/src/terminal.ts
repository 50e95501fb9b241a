/** What a command is given, so that nothing below `main.ts` reads the process itself. */
export interface Output {
  write(text: string): unknown;
  readonly isTTY?: boolean;
}

export interface Terminal {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Who runs this, on which machine: `ada@laptop`. */
  readonly user: string;
  /** Data. */
  readonly stdout: Output;
  /** Talk. */
  readonly stderr: Output;
  /** Reads standard input to its end. */
  readonly readInput: () => Promise<string>;
  /** Standard input, piece by piece. */
  readonly input: () => AsyncIterable<Uint8Array>;
  /**
   * For commands that serve or take long: a signal that aborts when the process is told to stop. From the first call on a first signal does not
   * end the process; a second one does, at once.
   */
  readonly untilStopped: () => AbortSignal;
  /** Calls at each SIGHUP. Absent: there are no signals. */
  readonly onReload?: (reload: () => void) => void;
}

/** One invocation of a command: where it speaks, and what was given on the command line. */
export interface Invocation<Options = object> {
  readonly terminal: Terminal;
  readonly json: boolean;
  readonly options: Options;
}

/** 0 ok, 1 error, 2 differences found, 3 not in force everywhere in time, 64 wrong settings. */
export type ExitCode = number;

export const notInForceInTime: ExitCode = 3;

/** Ends a command: the message goes to standard error. */
export class CommandFailed extends Error {
  override readonly name: string = "CommandFailed";
  readonly exitCode: ExitCode;
  constructor(message: string, options: ErrorOptions & { exitCode?: ExitCode } = {}) {
    super(message, options);
    this.exitCode = options.exitCode ?? 1;
  }
}

/** A command that was told to stop, with what it leaves behind. As a shell has it, the exit code is 128 and the signal's number. */
export function interrupted(stop: AbortSignal, message: string): CommandFailed {
  const name = stop.reason instanceof Error ? stop.reason.message : "";
  return new CommandFailed(`Interrupted. ${message}`, { exitCode: name === "SIGTERM" ? 143 : 130 });
}

/** Prints one JSON document, on one line. */
export function printJson({ stdout }: Terminal, document: unknown): void {
  stdout.write(`${JSON.stringify(document)}\n`);
}
