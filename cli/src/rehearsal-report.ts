/** What becomes of a request, for people and for programs. */
import type { Rehearsal, RehearsedRequest, Verdict } from "@tocsin/proxy";
import type { Config } from "@tocsin/shared/contract";
import { nearest } from "./nearest.ts";
import { painter, plain } from "./paint.ts";
import { foundText, reasonsAgainst } from "./route-reasons.ts";
import { authText, servicesText, sizeText, websocketText } from "./route-text.ts";
import { span, table } from "./table.ts";
import type { Terminal } from "./terminal.ts";

type Taken = NonNullable<Rehearsal["route"]>;

export function rehearsalJson(
  config: Config,
  request: RehearsedRequest,
  rehearsal: Rehearsal,
): object {
  const { route, refusal, path, readings, verdicts, automatic } = rehearsal;
  const host = hostOf(request);
  return {
    request: { method: request.method, host, target: request.target, ...(path && { path }) },
    ...(route && { route: policiesOf(config, route) }),
    ...(refusal && { refusal }),
    candidates: verdicts.map((verdict) => ({
      route: verdict.route.id,
      path: verdict.route.match.path,
      taken: isTaken(verdict, route),
      parameters: verdict.fit.parameters,
      ...(verdict.fit.host !== undefined && { host: verdict.fit.host }),
      conditions: verdict.fit.checks,
      reasons: isTaken(verdict, route)
        ? []
        : reasonsAgainst(verdict, { method: request.method, host }, route?.id),
    })),
    ...(readings.length > 0 && { readings }),
    ...(automatic && { automatic }),
  };
}

function policiesOf(config: Config, { id, service, auth, websocket, upstream }: Taken) {
  const { weights, fallback } = writtenOf(config, id) ?? {};
  const { timeouts, balance, circuit, retry } = upstream;
  const { headers, uri, body, matchBody } = config.listen.limits;
  return {
    id,
    service,
    ...(weights && { weights }),
    auth,
    ...(websocket && { websocket }),
    ...(fallback && { fallback }),
    timeouts,
    balance,
    ...(circuit && { circuit }),
    ...(retry && { retry }),
    limits: { headers, uri, ...(body !== undefined && { body }), matchBody },
  };
}

/** Undefined: an automatic route. */
function writtenOf(config: Config, id: string) {
  return config.routes.find((route) => route.id === id);
}

export function rehearsalText(
  terminal: Terminal,
  config: Config,
  request: RehearsedRequest,
  rehearsal: Rehearsal,
): string {
  const paint = painter(terminal, terminal.stdout);
  const { route, refusal, path, readings, verdicts, automatic } = rehearsal;
  const host = hostOf(request);
  const rows: [string, string][] = [["request", `${request.method} ${request.target} on ${host}`]];
  if (route !== undefined) rows.push(...takenRows(config, rehearsal, route));
  if (refusal !== undefined) {
    const { status, code, title, detail, allow } = refusal;
    rows.push(["refused", `${status} ${code}: ${detail ?? title}`]);
    if (allow !== undefined) rows.push(["", `allowed: ${allow}`]);
  }
  for (const reading of readings)
    rows.push(["also read", `${reading.path}, which is ${reading.route ?? "no written route"}`]);
  if (automatic?.known === false)
    rows.push(["automatic", `no instance of the service ${automatic.service} is known`]);
  const others = verdicts.filter((verdict) => !isTaken(verdict, route));
  const lines = others.flatMap((verdict) =>
    reasonsAgainst(verdict, { method: request.method, host }, route?.id).map(({ text }, index) => [
      index === 0 ? verdict.route.id : "",
      index === 0 ? verdict.route.match.path : "",
      text,
    ]),
  );
  const elsewhere = verdicts.every(({ fit }) => fit.host === undefined);
  if (elsewhere && path !== undefined && route === undefined)
    for (const near of nearest(config.routes, path))
      lines.push([near.route.id, near.route.match.path, near.text]);
  const colour = route === undefined ? "red" : "green";
  const text = table(rows, {
    paint: (cell, row, column) =>
      column === 0 ? paint("grey", cell) : row === 1 ? paint(colour, cell) : cell,
  });
  return lines.length === 0
    ? text
    : `${text}${paint("grey", "why not")}\n${indented(table(lines))}`;
}

const indented = (text: string) => text.replace(/^(?=.)/gm, "  ");

function takenRows(config: Config, rehearsal: Rehearsal, route: Taken): [string, string][] {
  const { timeouts, balance, circuit, retry } = route.upstream;
  const { body } = config.listen.limits;
  const { weights, fallback } = writtenOf(config, route.id) ?? {};
  const rows: [string, string][] = [
    ["route", route.id],
    ["service", `${servicesText({ service: route.service, weights })}, ${balance.algorithm}`],
    ["auth", authText(route.auth)],
    ["timeouts", timesText(timeouts)],
    ["limits", `body ${body === undefined ? "of any size" : `up to ${sizeText(body)}`}`],
  ];
  if (circuit !== undefined)
    rows.push(["circuit", `opens after ${circuit.failures} failures, rests ${span(circuit.rest)}`]);
  if (retry !== undefined)
    rows.push(["retry", `${retry.attempts} attempts, on ${retry.on.join(", ")}`]);
  if (fallback !== undefined)
    rows.push([
      "fallback",
      "service" in fallback ? `service ${fallback.service}` : `answer ${fallback.answer.status}`,
    ]);
  if (route.websocket !== undefined) rows.push(["websocket", websocketText(route.websocket)]);
  const verdict = rehearsal.verdicts.find((each) => isTaken(each, route));
  for (const [index, text] of whyTexts(verdict, rehearsal).entries())
    rows.push([index === 0 ? "why" : "", text]);
  return rows;
}

function timesText({ connect, firstByte, idle, total }: Taken["upstream"]["timeouts"]): string {
  const all = total === undefined ? "" : `, total ${span(total)}`;
  return `connect ${span(connect)}, first byte ${span(firstByte)}, idle ${span(idle)}${all}`;
}

/** What was asked, and is so. */
function whyTexts(verdict: Verdict | undefined, { automatic }: Rehearsal): string[] {
  if (verdict === undefined)
    return [`no written route fits, and the service ${automatic?.service ?? ""} is known`];
  const { route, fit } = verdict;
  const parameters = Object.entries(fit.parameters ?? {})
    .filter(([, value]) => value !== "")
    .map(([name, value]) => `${name} = ${value}`);
  return [
    `path ${route.match.path}${parameters.length === 0 ? "" : `, with ${parameters.join(", ")}`}`,
    ...(fit.host === undefined || fit.host === "*" ? [] : [`host ${fit.host}`]),
    ...(fit.method === 2 ? ["method, by its name"] : []),
    ...(fit.method === 1 ? ["method, as GET without the content"] : []),
    ...fit.checks.map(
      (check) =>
        `${check.of} ${check.name}: ${foundText(check)}${check.wanted === "*" ? ", any value will do" : ""}`,
    ),
  ].map(plain);
}

function isTaken(verdict: Verdict, route: Taken | undefined): boolean {
  return verdict.taken && route !== undefined && verdict.route.id === route.id;
}

function hostOf({ fields }: RehearsedRequest): string {
  const at = fields.findIndex((name, index) => index % 2 === 0 && name.toLowerCase() === "host");
  return fields[at + 1] ?? "";
}
