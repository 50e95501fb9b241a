/**
 * Checks across a config: repeated ids, unknown services, routes that match the same requests, keys fetched in the open.
 *
 * They look at any value, not only at one that a schema accepted: a schema stops before them when any member is wrong, and all
 * problems are to be told at once.
 */

import { apiKeyProblems } from "./api-keys.ts";
import { hiding, reachOf } from "./reach.ts";
import { bodyless, contested, shapeOf, type Claim } from "./route-match.ts";
import { sessionProblems } from "./session-problems.ts";
import { userProblems } from "./user-problems.ts";

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
    ...splits(routes),
    ...conflicts(routes, everyMethod),
    ...withoutBody(routes),
    ...unreachableHosts(routes, tableOf(config["listen"])["hosts"]),
    ...hiddenRoutes(config, routes, everyMethod),
    ...openKeySets(config),
    ...sessionProblems(config, routes),
    ...apiKeyProblems(config, routes),
    ...userProblems(config, routes, services),
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
  return routes.flatMap((value, index) => {
    const route = tableOf(value);
    const named: readonly (readonly [unknown, readonly PropertyKey[]])[] = [
      [route["service"], ["service"]],
      [tableOf(route["fallback"])["service"], ["fallback", "service"]],
      ...Object.keys(tableOf(route["weights"])).map((name) => [name, ["weights", name]] as const),
    ];
    return named.flatMap(([name, place]) =>
      typeof name !== "string" || services.includes(name)
        ? []
        : [
            {
              path: ["routes", index, ...place],
              message: `unknown service "${name}"`,
              params: { found: name, allowed: services },
            },
          ],
    );
  });
}

/** A split that leaves out the route's own service, or gives nobody anything, is not what was meant. */
function splits(routes: readonly unknown[]): Inconsistency[] {
  return routes.flatMap((value, index) => {
    const { weights, service } = tableOf(value);
    if (weights === undefined) return [];
    const path = ["routes", index, "weights"];
    const shares = tableOf(weights);
    if (typeof service === "string" && !Object.hasOwn(shares, service))
      return [
        {
          path,
          message: `the route's own service "${service}" has no weight: write ${service}: 0 when it gets nothing`,
        },
      ];
    return Object.values(shares).some((weight) => typeof weight === "number" && weight > 0)
      ? []
      : [{ path, message: "every weight is 0: nobody would get the requests" }];
  });
}

/** Two routes that match the same requests: which one wins would be an accident. */
function conflicts(routes: readonly unknown[], everyMethod: readonly string[]): Inconsistency[] {
  const claims = new Map<string, { readonly index: number; readonly claim: Claim }[]>();
  return routes.flatMap((route, index) => {
    const claim = claimOf(tableOf(tableOf(route)["match"]), everyMethod);
    if (claim === undefined) return [];
    const shape = shapeOf(claim.path);
    const earlier = claims.get(shape) ?? [];
    claims.set(shape, [...earlier, { index, claim }]);
    for (const first of earlier) {
      const method = contested(claim, first.claim);
      if (method === undefined) continue;
      const owner = tableOf(routes[first.index])["id"];
      const name = typeof owner === "string" ? `"${owner}"` : `routes[${first.index}]`;
      return [
        {
          path: ["routes", index, "match"],
          message: `${method} ${claim.path} is already matched by the route ${name}`,
        },
      ];
    }
    return [];
  });
}

function claimOf(match: Table, everyMethod: readonly string[]): Claim | undefined {
  const path = match["path"];
  if (typeof path !== "string") return undefined;
  const texts = (value: unknown) =>
    Object.fromEntries(
      Object.entries(tableOf(value)).map(([name, text]) => [name, String(text)] as const),
    );
  const headers = texts(match["headers"]);
  const body = tableOf(match["body"]);
  const methods =
    match["methods"] === undefined ? everyMethod : listOf(match["methods"]).map(String);
  return {
    path,
    methods:
      Object.keys(body).length === 0 ? methods : methods.filter((method) => !bodyless.has(method)),
    hosts: match["hosts"] === undefined ? ["*"] : listOf(match["hosts"]).map(hostOf),
    headers: Object.fromEntries(
      Object.entries(headers).map(([name, text]) => [name.toLowerCase(), text]),
    ),
    query: texts(match["query"]),
    body,
  };
}

/** A route for a host that is not served can never be reached. */
function unreachableHosts(routes: readonly unknown[], served: unknown): Inconsistency[] {
  if (served === undefined) return [];
  const patterns = listOf(served).map(hostOf);
  const isServed = (host: string) =>
    patterns.some(
      (pattern) =>
        pattern === host ||
        (pattern.startsWith("*.") && host.replace(/^\*/, "").endsWith(pattern.slice(1))),
    );
  return routes.flatMap((route, index) =>
    listOf(tableOf(tableOf(route)["match"])["hosts"]).flatMap((host, at) =>
      typeof host !== "string" || isServed(hostOf(host))
        ? []
        : [
            {
              path: ["routes", index, "match", "hosts", at],
              message: `"${host}" is not served: listen.hosts has ${patterns.join(", ")}`,
            },
          ],
    ),
  );
}

/** Conditions on a body that none of the methods has. */
function withoutBody(routes: readonly unknown[]): Inconsistency[] {
  return routes.flatMap((route, index) => {
    const match = tableOf(tableOf(route)["match"]);
    const methods = listOf(match["methods"]).map(String);
    if (match["body"] === undefined || methods.length === 0) return [];
    if (!methods.every((method) => bodyless.has(method))) return [];
    return [
      {
        path: ["routes", index, "match", "body"],
        message: `a body counts with POST, PUT and PATCH only (RFC 9110 §9.3), found ${methods.join(", ")}`,
      },
    ];
  });
}

/** Routes whose requests others take, all of them; and automatic routes. */
function hiddenRoutes(
  config: Table,
  routes: readonly unknown[],
  everyMethod: readonly string[],
): Inconsistency[] {
  const reaches = routes.map((route, index) => {
    const { id, match } = tableOf(route);
    const claim = claimOf(tableOf(match), everyMethod);
    const name = typeof id === "string" ? `"${id}"` : `routes[${index}]`;
    return claim && reachOf(name, claim, tableOf(match)["methods"] === undefined);
  });
  const served = tableOf(config["listen"])["hosts"];
  const hiddenBy = hiding(
    reaches.filter((reach) => reach !== undefined),
    served === undefined ? undefined : listOf(served).map(hostOf),
  );
  const found = reaches.flatMap((reach, index) => {
    const by = reach && hiddenBy(reach);
    return by === undefined ? [] : [{ path: ["routes", index, "match"], by }];
  });
  const auto = tableOf(config["discovery"])["autoRoutes"];
  if (auto !== undefined) {
    const { prefix } = tableOf(auto);
    const path = `${(typeof prefix === "string" ? prefix : "/api").replace(/\/+$/, "")}/{service}/*`;
    const claim = claimOf({ path }, everyMethod);
    const by = claim && hiddenBy(reachOf("", claim, true, true));
    if (by !== undefined) found.push({ path: ["discovery", "autoRoutes"], by });
  }
  return found.map(({ path, by }) => ({
    path,
    message: `no request gets here: ${by.join(" and ")} take${by.length === 1 ? "s" : ""} them all`,
  }));
}

const hostOf = (host: unknown) => String(host).toLowerCase();

/** Keys that travel unprotected can be replaced by whoever stands in between; production does not take them. */
function openKeySets(config: Table): Inconsistency[] {
  if ((config["environment"] ?? "production") !== "production") return [];
  return listOf(tableOf(config["identity"])["issuers"]).flatMap((issuer, index) => {
    const { issuer: name, jwks } = tableOf(issuer);
    const discovered = tableOf(jwks)["discover"] === true;
    const text = discovered ? name : tableOf(jwks)["url"];
    const url = typeof text === "string" ? URL.parse(text) : null;
    if (url?.protocol !== "http:" || /^(localhost|127\.[\d.]+|\[::1\])$/.test(url.hostname))
      return [];
    const path = ["identity", "issuers", index, ...(discovered ? ["issuer"] : ["jwks", "url"])];
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
