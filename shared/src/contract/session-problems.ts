import { authPlaces } from "./auth-places.ts";
import type { Inconsistency } from "./references.ts";

type Table = Readonly<Record<string, unknown>>;

/** Routes that ask for sessions where there are none, and a cookie that production would send in the open. */
export function sessionProblems(config: Table, routes: readonly unknown[]): Inconsistency[] {
  const sessions = tableOf(config["identity"])["sessions"];
  const found: Inconsistency[] = [];
  if (sessions === undefined)
    for (const path of authPlaces(config, routes, "session"))
      found.push({ path, message: "there are no sessions: identity.sessions is not set" });
  if (
    tableOf(sessions)["secure"] === false &&
    (config["environment"] ?? "production") === "production"
  )
    found.push({
      path: ["identity", "sessions", "secure"],
      message: "in production the cookie is sent over https alone",
    });
  return found;
}

function tableOf(value: unknown): Table {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Table)
    : {};
}
