import { existsSync, readFileSync } from "node:fs";
import {
  createLog,
  messageOf,
  readSettings,
  SettingsError,
  settingsExitCode,
  settingsWithoutEffect,
  type FlushableLog,
  type Settings,
} from "@tocsin/shared";
import type { Bound, CommandContext } from "./command.ts";

/** What every serving command has settled before it binds a socket. */
export interface Prelude {
  readonly settings: Settings;
  readonly log: FlushableLog;
  /** The config file's text, and its name for error messages. */
  readonly config: { readonly source: string; readonly name: string } | undefined;
}

/** A reason not to start, with the exit code it leads to. */
export class NotStarted extends Error {
  override readonly name = "NotStarted";
  readonly exitCode: number;
  constructor(exitCode: number, message: string) {
    super(message);
    this.exitCode = exitCode;
  }
}

/**
 * Reads the settings and the config file.
 *
 * @throws NotStarted with every problem, one a line
 */
export function prelude(context: CommandContext, role: Bound["role"]): Prelude {
  const settings = settingsOf(context);
  const log = createLog({ level: settings.TOCSIN_LOG_LEVEL, fields: { role } });
  for (const problem of settingsWithoutEffect(context.environment))
    log.warn({ variable: problem.name, reason: problem.message }, "setting without effect");
  const file = context.config ?? settings.TOCSIN_CONFIG;
  return {
    settings,
    log,
    config: file === undefined ? undefined : { source: textOf(file), name: file },
  };
}

function settingsOf(context: CommandContext): Settings {
  try {
    return readSettings(context.environment);
  } catch (error) {
    if (error instanceof SettingsError) throw new NotStarted(settingsExitCode, error.message);
    throw error;
  }
}

function textOf(file: string): string {
  if (!existsSync(file)) throw new NotStarted(settingsExitCode, `no config file at ${file}`);
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new NotStarted(
      settingsExitCode,
      `cannot read the config file ${file}: ${messageOf(error)}`,
    );
  }
}
