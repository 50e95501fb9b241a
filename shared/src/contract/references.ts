/**
 * Checks across a config: repeated ids, unknown services, routes that match the same requests, keys fetched in the open.
 *
 * They look at any value, not only at one that a schema accepted: a schema stops before them when any member is wrong, and all
 * problems are to be told at once.
 */

export interface Inconsistency {
  readonly path: readonly PropertyKey[];
  readonly message: string;
  /** The word that is not known, and those that are. */
  readonly params?: { readonly found: string; readonly allowed: readonly string[] };
}

type Table = Readonly<Record<string, unknown>>;

/** @param everyMethod the methods of a route that names none */
export function inconsistencies(
  document: unknown,
  everyMethod: readonly string[],
): Inconsistency[] {
  const config = tableOf(document);
  const routes = listOf(config["routes"]);
  const services = Object.keys(tableOf(config["services"]));
  return [
    ...repeats(routes, "id", ["routes"], "route id"),
    ...repeats(
      listOf(tableOf(config["identity"])["issuers"]),
      "issuer",
      ["identity", "issuers"],
      "issuer",
    ),
    ...unknownServices(routes, services),
    ...conflicts(routes, everyMethod),
    ...openKeySets(config),
  ];
}

function repeats(
  items: readonly unknown[],
  key: string,
  path: readonly PropertyKey[],
  what: string,
): Inconsistency[] {
  const first = new Map<string, number>();
  return items.flatMap((item, index) => {
    const name = tableOf(item)[key];
    if (typeof name !== "string") return [];
    const earlier = first.get(name);
    if (earlier !== undefined)
      return [
        {
          path: [...path, index, key],
          message: `the ${what} "${name}" is taken by ${String(path.at(-1))}[${earlier}]`,
        },
      ];
    first.set(name, index);
    return [];
  });
}

function unknownServices(routes: readonly unknown[], services: readonly string[]): Inconsistency[] {
  return routes.flatMap((route, index) => {
    const name = tableOf(route)["service"];
    if (typeof name !== "string" || services.includes(name)) return [];
    return [
      {
        path: ["routes", index, "service"],
        message: `unknown service "${name}"`,
        params: { found: name, allowed: services },
      },
    ];
  });
}

/** Two routes that match the same requests: which one wins would be an accident. */
function conflicts(routes: readonly unknown[], everyMethod: readonly string[]): Inconsistency[] {
  const claims = new Map<string, number>();
  return routes.flatMap((route, index) => {
    const match = tableOf(tableOf(route)["match"]);
    const path = match["path"];
    if (typeof path !== "string") return [];
    const shape = path.replace(/\{[^}]*\}/g, "{}").replace(/(?<=.)\/$/, "");
    const methods =
      match["methods"] === undefined ? everyMethod : listOf(match["methods"]).map(String);
    for (const method of methods) {
      const first = claims.get(`${method} ${shape}`) ?? index;
      claims.set(`${method} ${shape}`, first);
      if (first === index) continue;
      const owner = tableOf(routes[first])["id"];
      const name = typeof owner === "string" ? `"${owner}"` : `routes[${first}]`;
      return [
        {
          path: ["routes", index, "match"],
          message: `${method} ${path} is already matched by the route ${name}`,
        },
      ];
    }
    return [];
  });
}

/** Keys that travel unprotected can be replaced by whoever stands in between; production does not take them. */
function openKeySets(config: Table): Inconsistency[] {
  if ((config["environment"] ?? "production") !== "production") return [];
  return listOf(tableOf(config["identity"])["issuers"]).flatMap((issuer, index) => {
    const text = tableOf(tableOf(issuer)["jwks"])["url"];
    const url = typeof text === "string" ? URL.parse(text) : null;
    if (url?.protocol !== "http:" || /^(localhost|127\.[\d.]+|\[::1\])$/.test(url.hostname))
      return [];
    const path = ["identity", "issuers", index, "jwks", "url"];
    return [
      {
        path,
        message: `found ${url.href}: in production a key set is fetched over https (or from this very machine)`,
      },
    ];
  });
}

function tableOf(value: unknown): Table {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Table)
    : {};
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? (value as unknown[]) : [];
}
