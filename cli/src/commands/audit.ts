import { parseDuration, sleep } from "@tocsin/shared";
import { AuditPage, type AuditView } from "@tocsin/shared/contract";
import { adminClient, type AdminClient } from "../admin-client.ts";
import { understood } from "../answer.ts";
import { painter } from "../paint.ts";
import { span, table } from "../table.ts";
import { CommandFailed, printJson, type ExitCode, type Invocation } from "../terminal.ts";
import { secondsOf } from "./revoke.ts";

export interface AuditOptions {
  readonly since?: string;
  readonly until?: string;
  readonly action?: string;
  readonly outcome?: string;
  readonly who?: string;
  readonly limit: string;
  readonly follow?: true;
}

/** Records asked for at once, at most. */
const pageSize = 1_000;
/** How often something new is asked for while it is followed, in milliseconds. */
const everyMs = 1_000;

const heading = ["TIME", "WHO", "FROM", "ACTION", "ABOUT", "OUTCOME", "APPLIED", "REASON"];
/** Of a list that goes on: wide enough for most, so that its columns stay where they are. */
const followedWidths = [24, 14, 20, 14, 36, 24, 16];

/** `tocsin audit` */
export async function showAudit(invocation: Invocation<AuditOptions>): Promise<ExitCode> {
  const { terminal, json, options } = invocation;
  const client = adminClient(terminal);
  const filters = filtersOf(options, client.clock.wall());
  const follow = options.follow === true;
  const stop = follow ? terminal.untilStopped() : undefined;
  // Asked before the list, so that nothing falls in between.
  let last = follow ? await newest(client) : 0;
  const { records, more } = await read(client, limitOf(options.limit), filters, last);
  if (json && !follow) {
    printJson(terminal, { records, ...(more ? { more } : {}) });
    return 0;
  }
  const show = (views: readonly AuditView[], isFirst = false) => {
    if (json) for (const view of views) printJson(terminal, view);
    else if (views.length > 0 || follow) write(invocation, views.map(rowOf), isFirst, follow);
  };
  if (records.length === 0 && !follow) {
    terminal.stderr.write("Nothing like that is in the audit.\n");
    return 0;
  }
  show(records.toReversed(), true);
  if (more && !follow) terminal.stderr.write(`The newest ${records.length}; --limit shows more.\n`);
  if (stop === undefined) return 0;
  for (;;) {
    await sleep(client.clock, everyMs, stop).catch(() => {});
    if (stop.aborted) return 0;
    const page = await ask(client, `?limit=${pageSize}&after=${last}${filters}`);
    show(page.records);
    last = page.next ?? last;
  }
}

function write(
  { terminal }: Invocation,
  rows: readonly (readonly string[])[],
  withHeading: boolean,
  follow: boolean,
): void {
  const paint = painter(terminal, terminal.stdout);
  const first = withHeading ? 1 : 0;
  terminal.stdout.write(
    table([...(withHeading ? [heading] : []), ...rows], {
      ...(follow ? { least: followedWidths } : {}),
      paint(cell, row, column) {
        if (row < first) return paint("grey", cell);
        if (column !== 5) return cell;
        return cell.startsWith("done") ? paint("green", cell) : paint("red", cell);
      },
    }),
  );
}

/** The newest first; as many as are asked for, or as there are. */
async function read(
  client: AdminClient,
  limit: number,
  filters: string,
  upTo: number,
): Promise<{ readonly records: readonly AuditView[]; readonly more: boolean }> {
  const records: AuditView[] = [];
  let next: number | undefined = upTo === 0 ? undefined : upTo + 1;
  for (;;) {
    const wanted = Math.min(pageSize, limit - records.length);
    const before: string = next === undefined ? "" : `&before=${next}`;
    const page = await ask(client, `?limit=${wanted}${before}${filters}`);
    records.push(...page.records);
    next = page.next;
    if (next === undefined || records.length >= limit) return { records, more: next !== undefined };
  }
}

/** The position of the newest record. 0: there is none. */
async function newest(client: AdminClient): Promise<number> {
  return (await ask(client, "?limit=1")).records[0]?.position ?? 0;
}

async function ask(client: AdminClient, query: string): Promise<AuditPage> {
  const { document } = await client.callJson({ path: `/v1/audit${query}` });
  return understood(AuditPage, document);
}

function filtersOf(options: AuditOptions, now: number): string {
  const { since, until, action, outcome, who } = options;
  const given = {
    since: since === undefined ? undefined : String(momentOf("--since", since, now)),
    until: until === undefined ? undefined : String(momentOf("--until", until, now)),
    action,
    outcome,
    who,
  };
  return Object.entries(given)
    .flatMap(([name, value]) =>
      value === undefined ? [] : [`&${name}=${encodeURIComponent(value)}`],
    )
    .join("");
}

/** @returns Unix milliseconds */
function momentOf(option: string, text: string, now: number): number {
  const durationMs = parseDuration(text);
  return Math.floor(durationMs === undefined ? secondsOf(option, text) * 1_000 : now - durationMs);
}

function limitOf(text: string): number {
  const limit = /^\d{1,6}$/.test(text) ? Number(text) : 0;
  if (limit >= 1) return limit;
  throw new CommandFailed(
    `--limit: ${JSON.stringify(text)} is not a whole number from 1 to 999999`,
  );
}

function rowOf(view: AuditView): string[] {
  const { at, who, from = "", agent, action, reason } = view;
  const person = /^tocsin\/\S+ \((.+)\)$/.exec(agent ?? "")?.[1];
  return [
    new Date(at).toISOString(),
    who,
    person === undefined ? from : `${from} ${person}`,
    action === "unknown" ? `${view.method ?? ""} ${view.path ?? ""}`.trim() || action : action,
    aboutOf(view),
    outcomeOf(view),
    appliedOf(view),
    reason ?? "",
  ];
}

function aboutOf({ target = {}, count, at, since }: AuditView): string {
  const words = Object.entries(target).map(([name, value]) =>
    name === "kind" ? String(value) : `${name} ${value}`,
  );
  if (count !== undefined) words.unshift(`${count} times in ${span(at - (since ?? at))}`);
  return words.join(" ");
}

function outcomeOf({ outcome, status, code }: AuditView): string {
  return outcome === "done"
    ? outcome
    : `${outcome} ${status}${code === undefined ? "" : ` ${code}`}`;
}

function appliedOf({ applied, repeated }: AuditView): string {
  if (repeated === true) return "repeated";
  if (applied === undefined) return "";
  const { expected, count, ms, missing = [] } = applied;
  const time = count === 0 ? "" : ` in ${span(ms)}`;
  const without = missing.length === 0 ? "" : `, without ${missing.join(", ")}`;
  return `${count}/${expected}${time}${without}`;
}
