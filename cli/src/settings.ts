import { readFileSync } from "node:fs";
import { join } from "node:path";
import { readSettings, SettingsError, settingsExitCode, type Settings } from "@tocsin/shared";
import { CommandFailed, type Terminal } from "./terminal.ts";

/** @throws CommandFailed with exit code 64 and every problem, one a line */
export function settingsOf({ environment }: Terminal): Settings {
  try {
    return readSettings(environment);
  } catch (error) {
    if (error instanceof SettingsError)
      throw new CommandFailed(error.message, { exitCode: settingsExitCode, cause: error });
    throw error;
  }
}

export interface FoundToken {
  readonly token: string | undefined;
  /** Where it was found, or where it was looked for. */
  readonly place: string;
}

/** The token of the admin API: from the environment, else the one that a control plane of this machine keeps in its state directory. */
export function findToken(settings: Settings, { environment }: Terminal): FoundToken {
  if (settings.TOCSIN_ADMIN_TOKEN !== undefined) {
    const place = environment["TOCSIN_ADMIN_TOKEN_FILE"] || "TOCSIN_ADMIN_TOKEN";
    return { token: settings.TOCSIN_ADMIN_TOKEN.reveal(), place };
  }
  const file = join(settings.TOCSIN_STATE_DIR, "admin-token");
  try {
    return { token: readFileSync(file, "utf8").trim() || undefined, place: file };
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code === "EACCES" ? " (may not be read)" : "";
    return {
      token: undefined,
      place: `TOCSIN_ADMIN_TOKEN, TOCSIN_ADMIN_TOKEN_FILE and ${file}${why}`,
    };
  }
}
