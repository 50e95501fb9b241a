import { listRoutes as listed, rehearse } from "@tocsin/proxy";
import { painter } from "../paint.ts";
import { rehearsalJson, rehearsalText } from "../rehearsal-report.ts";
import { hosted, requestOf, type RequestOptions } from "../route-request.ts";
import { authText, conditionTexts, servicesText } from "../route-text.ts";
import { routingConfig } from "../routing-config.ts";
import { table } from "../table.ts";
import { printJson, type ExitCode, type Invocation } from "../terminal.ts";

export interface RoutesOptions {
  readonly config?: string;
}

const heading = ["ROUTE", "METHODS", "HOST", "PATH", "CONDITIONS", "SERVICE", "AUTH"];

/** `tocsin routes list`: in the order in which they are tried. */
export async function listRoutes(invocation: Invocation<RoutesOptions>): Promise<ExitCode> {
  const { terminal, json, options } = invocation;
  const { config, services } = await routingConfig(terminal, options.config);
  const routes = listed(config, services);
  if (json) {
    printJson(terminal, { routes });
    return 0;
  }
  if (routes.length === 0) {
    terminal.stderr.write("There is no route: the config has none, and no service an instance.\n");
    return 0;
  }
  const paint = painter(terminal, terminal.stdout);
  const rows = routes.map((route) => [
    route.id,
    route.match.methods?.join(",") ?? "*",
    route.match.hosts?.join(",") ?? "*",
    route.match.path,
    conditionTexts(route.match).join(" ") || "-",
    servicesText(route),
    authText(route.auth),
  ]);
  terminal.stdout.write(
    table([heading, ...rows], { paint: (cell, row) => (row === 0 ? paint("grey", cell) : cell) }),
  );
  return 0;
}

/** `tocsin routes test METHOD TARGET`: which route a request takes, why, and why none of the others. */
export async function testRoute(
  { terminal, json, options }: Invocation<RoutesOptions & RequestOptions>,
  method: string,
  target: string,
): Promise<ExitCode> {
  const words = await requestOf(terminal, { method, target }, options);
  const { config, services } = await routingConfig(terminal, options.config);
  const request = hosted(words, config);
  const rehearsal = await rehearse(config, services, request);
  if (json) printJson(terminal, rehearsalJson(config, request, rehearsal));
  else terminal.stdout.write(rehearsalText(terminal, config, request, rehearsal));
  return rehearsal.route === undefined ? 1 : 0;
}
