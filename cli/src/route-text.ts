/** Routes and their parts in a few words. */
import type { ListedRoute } from "@tocsin/proxy";
import type { WebSocketPolicy } from "@tocsin/shared/contract";
import { span } from "./table.ts";

type Auth = ListedRoute["auth"];

/** `x-beta=1 ?preview=on /plan="premium"`: fields, parameters, members of the body. */
export function conditionTexts({ headers, query, body }: ListedRoute["match"]): string[] {
  return [
    ...Object.entries(headers ?? {}).map(([name, value]) => `${name}=${value}`),
    ...Object.entries(query ?? {}).map(([name, value]) => `?${name}=${value}`),
    ...Object.entries(body ?? {}).map(
      ([pointer, value]) => `${pointer}=${value === "*" ? value : JSON.stringify(value)}`,
    ),
  ];
}

/** `users`, or with its share of the requests `users 95 users-next 5`. */
export function servicesText({
  service,
  weights,
}: Pick<ListedRoute, "service" | "weights">): string {
  if (weights === undefined) return service;
  return Object.entries(weights)
    .map(([name, weight]) => `${name} ${weight}`)
    .join(" ");
}

/** `required`, `required roles any of admin, ops` */
export function authText({ mode, roles, scopes }: Auth): string {
  return [mode, ...needsTexts("roles", roles), ...needsTexts("scopes", scopes)].join(" ");
}

function needsTexts(what: string, needs: Auth["roles"]): string[] {
  return (["any", "all"] as const).flatMap((of) =>
    needs?.[of] === undefined ? [] : [`${what} ${of} of ${needs[of].join(",")}`],
  );
}

/** `64 KiB` */
export function sizeText(bytes: number): string {
  for (const [unit, size] of [
    ["GiB", 2 ** 30],
    ["MiB", 2 ** 20],
    ["KiB", 2 ** 10],
  ] as const)
    if (bytes >= size) return `${Number((bytes / size).toFixed(1))} ${unit}`;
  return `${bytes} B`;
}

export function websocketText(websocket: WebSocketPolicy): string {
  const { maxMessage, idle, maxLifetime } = websocket;
  return `messages up to ${sizeText(maxMessage)}, idle ${span(idle)}, life ${span(maxLifetime)}`;
}
