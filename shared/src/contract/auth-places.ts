type Table = Readonly<Record<string, unknown>>;

/** Where a config says that a kind of credential is accepted. Looks at any value, not only at one that a schema accepted. */
export function authPlaces(
  config: Table,
  routes: readonly unknown[],
  kind: string,
): (readonly PropertyKey[])[] {
  const places: readonly (readonly [unknown, readonly PropertyKey[]])[] = [
    ...routes.map((route, index) => [tableOf(route)["auth"], ["routes", index, "auth"]] as const),
    [
      tableOf(tableOf(config["discovery"])["autoRoutes"])["auth"],
      ["discovery", "autoRoutes", "auth"],
    ],
  ];
  return places.flatMap(([auth, path]) => {
    const via = tableOf(auth)["via"];
    const at = Array.isArray(via) ? via.indexOf(kind) : -1;
    return at < 0 ? [] : [[...path, "via", at]];
  });
}

function tableOf(value: unknown): Table {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Table)
    : {};
}
