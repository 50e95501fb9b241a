import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Secret, type Settings } from "@tocsin/shared";

export interface AdminToken {
  readonly token: Secret;
  /** Where the command line finds it; undefined when the environment gave the token. */
  readonly file: string | undefined;
}

/** The token of the admin API: the environment's, else the one kept in the state directory, else a new one kept there (mode 600). */
export function adminToken(settings: Settings): AdminToken {
  if (settings.TOCSIN_ADMIN_TOKEN) return { token: settings.TOCSIN_ADMIN_TOKEN, file: undefined };
  const file = join(settings.TOCSIN_STATE_DIR, "admin-token");
  const kept = read(file);
  if (kept !== undefined) return { token: new Secret(kept), file };
  mkdirSync(settings.TOCSIN_STATE_DIR, { recursive: true, mode: 0o700 });
  const token = randomBytes(32).toString("base64url");
  try {
    // `wx`: of two processes that start at once, one makes the token and the other reads it.
    writeFileSync(file, `${token}\n`, { mode: 0o600, flag: "wx" });
  } catch (error) {
    const theirs = (error as NodeJS.ErrnoException).code === "EEXIST" ? read(file) : undefined;
    if (theirs === undefined) throw error;
    return { token: new Secret(theirs), file };
  }
  return { token: new Secret(token), file };
}

function read(file: string): string | undefined {
  try {
    const text = readFileSync(file, "utf8").trim();
    return text.length >= 16 ? text : undefined;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
