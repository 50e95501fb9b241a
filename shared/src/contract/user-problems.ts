import type { Inconsistency } from "./references.ts";

type Table = Readonly<Record<string, unknown>>;

/** A service of users that is not there, and routes that say what to do without one that nobody asks. */
export function userProblems(
  config: Table,
  routes: readonly unknown[],
  services: readonly string[],
): Inconsistency[] {
  const users = tableOf(config["identity"])["users"];
  if (users !== undefined) {
    const { service } = tableOf(users);
    if (typeof service !== "string" || services.includes(service)) return [];
    return [
      {
        path: ["identity", "users", "service"],
        message: `unknown service "${service}"`,
        params: { found: service, allowed: services },
      },
    ];
  }
  const places: readonly (readonly [unknown, readonly PropertyKey[]])[] = [
    ...routes.map((route, index) => [tableOf(route)["auth"], ["routes", index, "auth"]] as const),
    [
      tableOf(tableOf(config["discovery"])["autoRoutes"])["auth"],
      ["discovery", "autoRoutes", "auth"],
    ],
  ];
  return places.flatMap(([auth, path]) =>
    tableOf(auth)["users"] === undefined
      ? []
      : [{ path: [...path, "users"], message: "nobody is asked: identity.users is not set" }],
  );
}

function tableOf(value: unknown): Table {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Table)
    : {};
}
